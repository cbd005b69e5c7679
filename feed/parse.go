package feed

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/url"
	"strings"

	"github.com/reachback/reachback"
)

// Limits of a document beside its size. One of MaxDocument bytes that is made of
// nothing but attributes takes some twenty times as much memory to read.
const (
	maxDepth      = 16
	maxElements   = 64 << 10
	maxAttributes = 64
)

var errDocument = errors.New("feed: the workspace document is malformed, over its limits, or names files at another origin than the feed's URL")

// An entry is one resource of a document that a client reads.
type entry struct {
	id    string
	title string
	kind  reachback.Kind
	file  *url.URL
}

// parseDocument reads a workspace document of any version that was had from
// base. It refuses one that is not as the client needs it as a whole, so that a
// damaged document changes nothing: files on another origin above all, to which
// the user's token would go.
func parseDocument(base *url.URL, data []byte) ([]entry, error) {
	if len(data) > MaxDocument {
		return nil, errDocument
	}
	var doc struct {
		XMLName   xml.Name `xml:"http://schemas.microsoft.com/ts/2007/05/tswf ResourceCollection"`
		Publisher []struct {
			Resources []struct {
				Alias   string `xml:",attr"`
				Title   string `xml:",attr"`
				Type    string `xml:",attr"`
				Servers []struct {
					File *struct {
						Extension string `xml:"FileExtension,attr"`
						URL       string `xml:",attr"`
					} `xml:"http://schemas.microsoft.com/ts/2007/05/tswf ResourceFile"`
				} `xml:"http://schemas.microsoft.com/ts/2007/05/tswf HostingTerminalServers>HostingTerminalServer"`
			} `xml:"http://schemas.microsoft.com/ts/2007/05/tswf Resources>Resource"`
		} `xml:"http://schemas.microsoft.com/ts/2007/05/tswf Publisher"`
	}
	d := xml.NewTokenDecoder(&boundedTokens{decoder: xml.NewDecoder(bytes.NewReader(data))})
	if d.Decode(&doc) != nil || len(doc.Publisher) != 1 || len(doc.Publisher[0].Resources) > MaxResources {
		return nil, errDocument
	}
	// Nothing but white space and comments may follow.
	for {
		t, err := d.Token()
		if err == io.EOF {
			break
		}
		text, isText := t.(xml.CharData)
		_, isComment := t.(xml.Comment)
		if err != nil || !isComment && (!isText || len(bytes.TrimSpace(text)) > 0) {
			return nil, errDocument
		}
	}
	var entries []entry
	seen := make(map[string]bool)
	for _, r := range doc.Publisher[0].Resources {
		if !validID(r.Alias) || seen[r.Alias] || !fitsXML(r.Title) || len(r.Servers) == 0 || r.Servers[0].File == nil {
			return nil, errDocument
		}
		seen[r.Alias] = true
		e := entry{id: r.Alias, title: r.Title}
		for _, k := range []reachback.Kind{reachback.KindDesktop, reachback.KindRemoteApp} {
			if typeOf(k) == r.Type {
				e.kind = k
			}
		}
		file := r.Servers[0].File
		var err error
		e.file, err = base.Parse(file.URL)
		if err != nil || e.kind == "" || file.URL == "" || (file.Extension != "" && file.Extension != ".rdp") || !sameOrigin(base, e.file) {
			return nil, errDocument
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// sameOrigin reports whether u is https and at base's host and port.
func sameOrigin(base, u *url.URL) bool {
	port := func(u *url.URL) string {
		if p := u.Port(); p != "" {
			return p
		}
		return "443"
	}
	return base.Scheme == "https" && u.Scheme == "https" && u.User == nil && u.Opaque == "" &&
		strings.EqualFold(base.Hostname(), u.Hostname()) && port(base) == port(u)
}

// boundedTokens passes the tokens of a document on. It refuses a document type,
// with which entities would come, other processing instructions than the XML
// declaration, and more than the limits.
type boundedTokens struct {
	decoder         *xml.Decoder
	depth, elements int
	begun           bool
}

// Token implements [xml.TokenReader].
func (b *boundedTokens) Token() (xml.Token, error) {
	t, err := b.decoder.RawToken() // the reader of these tokens does names and nesting
	if err != nil {
		return nil, err
	}
	ok := true
	switch t := t.(type) {
	case xml.StartElement:
		b.depth++
		b.elements++
		ok = b.depth <= maxDepth && b.elements <= maxElements && len(t.Attr) <= maxAttributes && !repeats(t.Attr)
	case xml.EndElement:
		b.depth--
	case xml.Directive:
		ok = false
	case xml.ProcInst:
		ok = t.Target == "xml" && !b.begun
	}
	if !ok {
		return nil, errDocument
	}
	b.begun = true
	return t, nil
}

// repeats reports whether a name stands twice, of which readers would take
// different ones.
func repeats(attrs []xml.Attr) bool {
	for i, a := range attrs {
		for _, b := range attrs[:i] {
			if a.Name == b.Name {
				return true
			}
		}
	}
	return false
}
