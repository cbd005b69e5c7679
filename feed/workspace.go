package feed

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/reachback/reachback"
)

// namespace is that of every element, in all versions ([MS-TSWP], section 2.2).
const namespace = "http://schemas.microsoft.com/ts/2007/05/tswf"

const (
	typeWorkspace = "application/x-msts-radc+xml"
	paramVersion  = "radc_schema_version"
)

// A schema is a version of the document. Clients that know version 2.0 take 2.1
// too; the others get 1.1, which has nothing that it does not define.
type schema string

const (
	schema11 schema = "1.1"
	schema21 schema = "2.1"
)

func (s schema) contentType() string {
	if s == schema11 {
		return "text/xml; charset=utf-8"
	}
	return typeWorkspace + "; charset=utf-8"
}

// schemaFor chooses the version by the Accept fields or by the parameter of the
// URL, either of which may ask for 2.0 ([MS-TSWP], section 2.1).
func schemaFor(r *http.Request) schema {
	if v := r.URL.Query()[paramVersion]; len(v) == 1 && v[0] == "2.0" {
		return schema21
	}
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		t, params, err := mime.ParseMediaType(part)
		if err == nil && t == typeWorkspace && params[paramVersion] == "2.0" && params["q"] != "0" {
			return schema21
		}
	}
	return schema11
}

// The elements, in the order of the schema, with the attributes that we write.
// Pointers and omitempty are what version 1.1 does not have.
type (
	xmlCollection struct {
		XMLName           xml.Name     `xml:"http://schemas.microsoft.com/ts/2007/05/tswf ResourceCollection"`
		SchemaVersion     schema       `xml:",attr"`
		PubDate           string       `xml:",attr"`
		SupportsReconnect string       `xml:",attr,omitempty"`
		Publisher         xmlPublisher `xml:"Publisher"`
	}
	xmlPublisher struct {
		LastUpdated       string              `xml:",attr"`
		Name              string              `xml:",attr"`
		ID                string              `xml:",attr"`
		Description       string              `xml:",attr"`
		SupportsReconnect string              `xml:",attr,omitempty"`
		Resources         xmlResources        `xml:"Resources"`
		TerminalServers   []xmlTerminalServer `xml:"TerminalServers>TerminalServer"`
	}
	// xmlResources is written also when it is empty, which a>b would not be.
	xmlResources struct {
		Resources []xmlResource `xml:"Resource"`
	}
	xmlResource struct {
		ID             string       `xml:",attr"`
		Alias          string       `xml:",attr"`
		Title          string       `xml:",attr"`
		LastUpdated    string       `xml:",attr"`
		Type           string       `xml:",attr"`
		ShowByDefault  string       `xml:",attr,omitempty"`
		IconRaw        xmlIcon      `xml:"Icons>IconRaw"`
		Icon32         xmlIcon      `xml:"Icons>Icon32"`
		FileExtensions struct{}     `xml:"FileExtensions"`
		Folders        *xmlFolders  `xml:"Folders"`
		File           xmlFile      `xml:"HostingTerminalServers>HostingTerminalServer>ResourceFile"`
		Server         xmlServerRef `xml:"HostingTerminalServers>HostingTerminalServer>TerminalServerRef"`
	}
	xmlIcon struct {
		Dimensions string `xml:",attr,omitempty"`
		FileType   string `xml:",attr"`
		FileURL    string `xml:",attr"`
	}
	xmlFolders struct{ Folder xmlFolder }
	xmlFolder  struct {
		Name string `xml:",attr"`
	}
	xmlFile struct {
		FileExtension string `xml:",attr"`
		URL           string `xml:",attr"`
	}
	xmlServerRef struct {
		Ref string `xml:",attr"`
	}
	xmlTerminalServer struct {
		ID          string `xml:",attr"`
		Name        string `xml:",attr"`
		LastUpdated string `xml:",attr"`
	}
)

// never is the date of what has none. A document must not change by itself.
var never = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// terminalServer is the one server of the document: which gateway a session goes
// through is decided when it is opened.
const terminalServer = "gateway"

// A workspace is what one user sees, sorted and checked.
type workspace struct {
	base      *url.URL
	name      string
	tenant    string
	resources []reachback.Resource
}

// newWorkspace sorts the resources, by title, and refuses those that no document
// can carry: clients would drop the rest with them.
func newWorkspace(base *url.URL, name, tenant string, resources []reachback.Resource) (*workspace, error) {
	w := &workspace{base, cmp.Or(name, "Workspace"), tenant, slices.Clone(resources)}
	if len(resources) > MaxResources {
		return nil, fmt.Errorf("feed: a user has %d resources, and clients take %d", len(resources), MaxResources)
	}
	if !fitsXML(w.name) {
		return nil, fmt.Errorf("feed: the workspace's name %q does not fit into a document", w.name)
	}
	seen := make(map[string]bool)
	for _, r := range w.resources {
		switch {
		case !validID(r.ID) || seen[r.ID]:
			return nil, fmt.Errorf("feed: %q is no resource id, or stands twice", r.ID)
		case !fitsXML(r.Title) || !fitsXML(r.Folder):
			return nil, fmt.Errorf("feed: resource %s: title or folder does not fit into a document", r.ID)
		case r.Folder != "" && strings.LastIndexByte(r.Folder, '/') != 0:
			return nil, fmt.Errorf("feed: resource %s: folder %q is neither / nor /name", r.ID, r.Folder)
		case typeOf(r.Kind) == "":
			return nil, fmt.Errorf("feed: resource %s: %q is not a kind", r.ID, r.Kind)
		}
		seen[r.ID] = true
	}
	slices.SortFunc(w.resources, func(a, b reachback.Resource) int {
		return cmp.Or(strings.Compare(a.Title, b.Title), strings.Compare(a.ID, b.ID))
	})
	return w, nil
}

func typeOf(k reachback.Kind) string {
	switch k {
	case reachback.KindDesktop:
		return "Desktop"
	case reachback.KindRemoteApp:
		return "RemoteApp"
	}
	return ""
}

// fitsXML refuses what XML 1.0 cannot carry, or what a list cannot show.
func fitsXML(s string) bool {
	return len(s) <= MaxTitle && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return breaksLine(r) || r == 0xfffe || r == 0xffff })
}

// document returns the workspace in that version. The same workspace is the same
// bytes, also after a restart: all dates are those of the content.
func (w *workspace) document(v schema) ([]byte, error) {
	newest := never
	for _, r := range w.resources {
		if r.UpdatedAt.After(newest) {
			newest = r.UpdatedAt
		}
	}
	doc := xmlCollection{SchemaVersion: v, PubDate: dateTime(newest), Publisher: xmlPublisher{
		LastUpdated:     dateTime(newest),
		Name:            w.name,
		ID:              w.publisherID(),
		TerminalServers: []xmlTerminalServer{{terminalServer, w.base.Hostname(), dateTime(never)}},
	}}
	if v == schema21 {
		// Without it Windows asks for a SOAP service beside the feed.
		doc.SupportsReconnect, doc.Publisher.SupportsReconnect = "false", "false"
	}
	for i := range w.resources {
		doc.Publisher.Resources.Resources = append(doc.Publisher.Resources.Resources, w.element(v, &w.resources[i]))
	}
	b := bytes.NewBufferString(xml.Header)
	e := xml.NewEncoder(b)
	e.Indent("", " ")
	if err := e.Encode(&doc); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	if b.Len() > MaxDocument {
		return nil, fmt.Errorf("feed: the document has %d bytes, and clients take %d", b.Len(), MaxDocument)
	}
	return b.Bytes(), nil
}

func (w *workspace) element(v schema, r *reachback.Resource) xmlResource {
	ico, png := iconPaths(r)
	x := xmlResource{
		ID:          elementID(r.ID),
		Alias:       r.ID,
		Title:       cmp.Or(r.Title, r.ID),
		LastUpdated: dateTime(r.UpdatedAt),
		Type:        typeOf(r.Kind),
		IconRaw:     xmlIcon{FileType: "Ico", FileURL: w.url(ico)},
		Icon32:      xmlIcon{Dimensions: "32x32", FileType: "Png", FileURL: w.url(png)},
		File:        xmlFile{FileExtension: ".rdp", URL: w.url(pathRDP + r.ID + ".rdp")},
		Server:      xmlServerRef{terminalServer},
	}
	if v == schema21 {
		x.ShowByDefault = "true"
		x.Folders = &xmlFolders{xmlFolder{cmp.Or(r.Folder, "/")}}
	}
	return x
}

func (w *workspace) url(path string) string {
	return strings.TrimSuffix(w.base.String(), "/") + path
}

// publisherID is the UUID (RFC 9562, version 8) by which clients know the
// subscription: one for a URL and a tenant, for ever.
func (w *workspace) publisherID() string {
	u := sha256.Sum256([]byte(w.url("") + "\x00" + w.tenant))
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

// elementID makes the ID attribute of a resource. Some clients take it for an
// XML name, which starts with a letter; the resource's own id is its Alias.
func elementID(id string) string {
	sum := sha256.Sum256([]byte(id))
	return "r" + hex.EncodeToString(sum[:16])
}

// dateTime is an xs:dateTime in UTC with whole seconds.
func dateTime(t time.Time) string {
	if t.IsZero() {
		t = never
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// tag is the strong validator of a workspace's document. It covers the files
// too, so that a client whose document has not changed need not ask for them.
func (w *workspace) tag(document []byte) string {
	h := sha256.New()
	h.Write(document)
	for i := range w.resources {
		if f, err := fileOf(w.base, &w.resources[i]); err == nil {
			h.Write(f.Encode())
		}
	}
	return etag(h.Sum(nil))
}

func etag(sum []byte) string { return `"` + hex.EncodeToString(sum[:16]) + `"` }
