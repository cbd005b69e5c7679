package feed

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"slices"
	"strconv"
	"strings"

	"github.com/reachback/reachback"
)

// namespace is that of every element, in all versions ([MS-TSWP], section 2.2).
const namespace = "http://schemas.microsoft.com/ts/2007/05/tswf"

// append appends the document as v has it to x, element by element in the order of the
// schema. All dates are those of the content: the same workspace is the same bytes, also
// after a restart.
func (w *workspace) append(x *xmlWriter, v view) {
	newest := w.newest(v)
	x.begin("ResourceCollection")
	x.attr("xmlns", namespace)
	x.attr("SchemaVersion", string(v.schema))
	x.attr("PubDate", newest)
	x.version2(v)
	x.body()
	x.begin("Publisher")
	x.attr("LastUpdated", newest)
	x.attr("Name", w.name)
	x.attr("ID", w.publisherID())
	x.attr("Description", "")
	x.version2(v)
	x.body()
	if v.schema != schema11 && v.folder == "/" {
		x.folders("SubFolders", w.subFolders()...)
	}
	x.begin("Resources")
	x.body()
	for _, r := range w.resources {
		if v.has(r) {
			w.appendResource(x, v.schema, r)
		}
	}
	x.end("Resources")
	x.begin("TerminalServers")
	x.body()
	x.begin("TerminalServer")
	x.attr("ID", terminalServer)
	x.attr("Name", w.host)
	x.attr("LastUpdated", dateTime(never))
	x.empty()
	x.end("TerminalServers")
	x.end("Publisher")
	x.end("ResourceCollection")
}

// version2 writes the attributes that the two outer elements have since version 2.0: the
// prose of the specification has them on one, its schema on the other. Unless it says
// that there is none, Windows asks for a SOAP service beside the feed.
func (x *xmlWriter) version2(v view) {
	if v.schema == schema11 {
		return
	}
	x.attr("SupportsReconnect", "false")
	if v.folder != "" {
		x.attr("DisplayFolder", v.folder)
	}
}

func (w *workspace) appendResource(x *xmlWriter, s schema, r *reachback.Resource) {
	x.begin("Resource")
	x.attr("ID", elementID(r.ID))
	x.attr("Alias", r.ID)
	x.attr("Title", cmp.Or(r.Title, r.ID))
	x.attr("LastUpdated", dateTime(r.UpdatedAt))
	x.attr("Type", typeOf(r.Kind))
	if s == schema21 {
		x.attr("ShowByDefault", "true")
	}
	x.body()
	w.appendIcons(x, iconOf(r))
	x.begin("FileExtensions")
	x.body()
	for _, e := range r.Extensions {
		x.begin("FileExtension")
		x.attr("Name", e)
		if s != schema11 {
			x.attr("PrimaryHandler", "True") // so spelled in [MS-TSWP], section 2.2.2.2
		}
		x.empty()
	}
	x.end("FileExtensions")
	if s != schema11 {
		x.folders("Folders", folderOf(r))
	}
	x.begin("HostingTerminalServers")
	x.body()
	x.begin("HostingTerminalServer")
	x.body()
	x.begin("ResourceFile")
	x.attr("FileExtension", ".rdp")
	x.attr("URL", w.root, pathRDP, r.ID, ".rdp")
	x.empty()
	x.begin("TerminalServerRef")
	x.attr("Ref", terminalServer)
	x.empty()
	x.end("HostingTerminalServer")
	x.end("HostingTerminalServers")
	x.end("Resource")
}

func (w *workspace) appendIcons(x *xmlWriter, hash string) {
	x.begin("Icons")
	x.body()
	x.begin("IconRaw")
	x.attr("FileType", "Ico")
	x.attr("FileURL", w.root, pathIcon, hash, ".ico")
	x.empty()
	for _, size := range iconSizes {
		n := strconv.Itoa(size)
		x.begin("Icon", n)
		x.attr("Dimensions", n, "x", n)
		x.attr("FileType", "Png")
		x.attr("FileURL", w.root, pathIcon, hash, "-", n, ".png")
		x.empty()
	}
	x.end("Icons")
}

// subFolders are the folders that are not empty.
func (w *workspace) subFolders() []string {
	var names []string
	for _, r := range w.resources {
		if f := folderOf(r); f != "/" {
			names = append(names, f)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// An xmlWriter makes a document of some hundred kilobytes in a tenth of the time that
// encoding/xml takes, which a feed's users ask for all at the same hour. Values are given
// in parts, to be written one after another.
type xmlWriter struct {
	b     []byte
	depth int
}

// begin writes a start-tag up to its attributes, which body or empty closes.
func (x *xmlWriter) begin(name ...string) {
	x.indent()
	x.b = append(x.b, '<')
	for _, part := range name {
		x.b = append(x.b, part...)
	}
	x.depth++
}

func (x *xmlWriter) attr(name string, value ...string) {
	x.b = append(append(append(x.b, ' '), name...), `="`...)
	for _, part := range value {
		x.b = appendEscaped(x.b, part)
	}
	x.b = append(x.b, '"')
}

func (x *xmlWriter) body() { x.b = append(x.b, ">\n"...) }

func (x *xmlWriter) empty() {
	x.b = append(x.b, "/>\n"...)
	x.depth--
}

func (x *xmlWriter) end(name string) {
	x.depth--
	x.indent()
	x.b = append(append(append(x.b, "</"...), name...), ">\n"...)
}

func (x *xmlWriter) indent() {
	for range x.depth {
		x.b = append(x.b, ' ')
	}
}

// folders writes a list of folders; an empty one is left out.
func (x *xmlWriter) folders(name string, folders ...string) {
	if len(folders) == 0 {
		return
	}
	x.begin(name)
	x.body()
	for _, f := range folders {
		x.begin("Folder")
		x.attr("Name", f)
		x.empty()
	}
	x.end(name)
}

// appendEscaped appends the value of an attribute. It has no line ends or other control
// characters, which would need more than this; see fitsXML.
func appendEscaped(b []byte, s string) []byte {
	for {
		i := strings.IndexAny(s, `"&<>`)
		if i < 0 {
			return append(b, s...)
		}
		b = append(b, s[:i]...)
		switch s[i] {
		case '"':
			b = append(b, "&quot;"...)
		case '&':
			b = append(b, "&amp;"...)
		case '<':
			b = append(b, "&lt;"...)
		case '>':
			b = append(b, "&gt;"...)
		}
		s = s[i+1:]
	}
}

// encodeXML returns v as a document, with its declaration.
func encodeXML(v any) ([]byte, error) {
	b := bytes.NewBufferString(xml.Header)
	if err := xml.NewEncoder(b).Encode(v); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
