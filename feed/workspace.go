package feed

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/reachback/reachback"
)

// never is the date of what has none. A document must not change by itself.
var never = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// terminalServer is the one server of the document: which gateway a session goes
// through is decided when it is opened.
const terminalServer = "gateway"

// A workspace is what one user sees, sorted and checked.
type workspace struct {
	root      string // URL of the feed's origin, which every link starts with
	host      string
	name      string
	tenant    string
	resources []reachback.Resource
}

// newWorkspace sorts the resources, by title, and refuses those that no document
// can carry: clients would drop the rest with them.
func newWorkspace(base *url.URL, name, tenant string, resources []reachback.Resource) (*workspace, error) {
	w := &workspace{strings.TrimSuffix(base.String(), "/"), base.Hostname(), cmp.Or(name, "Workspace"), tenant, slices.Clone(resources)}
	if len(resources) > MaxResources {
		return nil, fmt.Errorf("feed: a user has %d resources, and clients take %d", len(resources), MaxResources)
	}
	if !fitsXML(w.name) {
		return nil, fmt.Errorf("feed: the workspace's name %q does not fit into a document", w.name)
	}
	seen := make(map[string]bool, len(resources))
	for i := range w.resources {
		r := &w.resources[i]
		switch {
		case !validID(r.ID) || seen[r.ID]:
			return nil, fmt.Errorf("feed: %q is no resource id, or stands twice", r.ID)
		case !fitsXML(r.Title) || !fitsXML(r.Folder):
			return nil, fmt.Errorf("feed: resource %s: title or folder does not fit into a document", r.ID)
		case r.Folder != "" && !validFolder(r.Folder):
			return nil, fmt.Errorf("feed: resource %s: folder %q is neither / nor /name", r.ID, r.Folder)
		case !validExtensions(r.Extensions):
			return nil, fmt.Errorf("feed: resource %s: its file extensions are not 1 to %d of the form .name", r.ID, MaxExtensions)
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

// validFolder reports whether s is the root or a folder in it; there are no others.
func validFolder(s string) bool { return strings.LastIndexByte(s, '/') == 0 }

// validExtensions reports whether these are the extensions of file names that clients
// may open with one resource.
func validExtensions(extensions []string) bool {
	for i, e := range extensions {
		name, ok := strings.CutPrefix(e, ".")
		if !ok || name == "" || len(e) > 32 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-+~") != "" || slices.Contains(extensions[:i], e) {
			return false
		}
	}
	return len(extensions) <= MaxExtensions
}

// A view is a form in which a workspace is asked for: a version and, from 2.0 on, a
// folder, "" for all of them.
type view struct {
	schema schema
	folder string
}

// document returns the workspace as v has it. The same workspace is the same bytes,
// also after a restart: all dates are those of the content.
func (w *workspace) document(v view) ([]byte, error) {
	doc := xmlCollection{SchemaVersion: v.schema, Publisher: xmlPublisher{
		Name:            w.name,
		ID:              w.publisherID(),
		TerminalServers: []xmlTerminalServer{{terminalServer, w.host, dateTime(never)}},
	}}
	p := &doc.Publisher
	if v.schema != schema11 {
		// Without it Windows asks for a SOAP service beside the feed.
		doc.SupportsReconnect, p.SupportsReconnect = "false", "false"
		doc.DisplayFolder, p.DisplayFolder = v.folder, v.folder
		if v.folder == "/" {
			p.SubFolders = w.subFolders()
		}
	}
	newest := never
	p.Resources.Resources = make([]xmlResource, 0, len(w.resources))
	for i := range w.resources {
		r := &w.resources[i]
		if v.folder != "" && v.schema != schema11 && v.folder != cmp.Or(r.Folder, "/") {
			continue
		}
		if r.UpdatedAt.After(newest) {
			newest = r.UpdatedAt
		}
		p.Resources.Resources = append(p.Resources.Resources, w.element(v.schema, r))
	}
	doc.PubDate, p.LastUpdated = dateTime(newest), dateTime(newest)
	b, err := encodeXML(&doc)
	if err == nil && len(b) > MaxDocument {
		err = fmt.Errorf("feed: the document has %d bytes, and clients take %d", len(b), MaxDocument)
	}
	return b, err
}

func (w *workspace) element(v schema, r *reachback.Resource) xmlResource {
	x := xmlResource{
		ID:          elementID(r.ID),
		Alias:       r.ID,
		Title:       cmp.Or(r.Title, r.ID),
		LastUpdated: dateTime(r.UpdatedAt),
		Type:        typeOf(r.Kind),
		Icons:       w.icons(iconOf(r)),
		File:        xmlFile{FileExtension: ".rdp", URL: w.root + pathRDP + r.ID + ".rdp"},
		Server:      xmlServerRef{terminalServer},
	}
	for _, e := range r.Extensions {
		x.FileExtensions.Extensions = append(x.FileExtensions.Extensions, xmlExtension{Name: e})
	}
	if v == schema11 {
		return x
	}
	for i := range x.FileExtensions.Extensions {
		x.FileExtensions.Extensions[i].PrimaryHandler = "True" // so spelled in [MS-TSWP], section 2.2.2.2
	}
	x.Folders = &xmlFolders{[]xmlFolder{{cmp.Or(r.Folder, "/")}}}
	if v == schema21 {
		x.ShowByDefault = "true"
	}
	return x
}

// subFolders are the folders that are not empty, or nil.
func (w *workspace) subFolders() *xmlFolders {
	var names []string
	for i := range w.resources {
		if f := cmp.Or(w.resources[i].Folder, "/"); f != "/" {
			names = append(names, f)
		}
	}
	if names == nil {
		return nil
	}
	slices.Sort(names)
	folders := &xmlFolders{}
	for _, name := range slices.Compact(names) {
		folders.Folders = append(folders.Folders, xmlFolder{name})
	}
	return folders
}

// publisherID is the UUID (RFC 9562, version 8) by which clients know the
// subscription: one for a URL and a tenant, for ever.
func (w *workspace) publisherID() string {
	u := sha256.Sum256([]byte(w.root + "\x00" + w.tenant))
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

func etag(sum []byte) string { return `"` + hex.EncodeToString(sum[:16]) + `"` }
