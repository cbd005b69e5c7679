package feed

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
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

// A workspace is what one user sees, sorted.
type workspace struct {
	root      string // URL of the feed's origin, which every link starts with
	host      string
	name      string
	tenant    string
	resources []*reachback.Resource // of the source; not changed
}

// newWorkspace sorts the resources, by title.
func newWorkspace(base *url.URL, name, tenant string, resources []reachback.Resource) (*workspace, error) {
	if len(resources) > MaxResources {
		return nil, fmt.Errorf("feed: a user has %d resources, and clients take %d", len(resources), MaxResources)
	}
	w := &workspace{
		root: strings.TrimSuffix(base.String(), "/"), host: base.Hostname(), name: cmp.Or(name, "Workspace"), tenant: tenant,
		resources: make([]*reachback.Resource, len(resources)),
	}
	for i := range resources {
		w.resources[i] = &resources[i]
	}
	slices.SortFunc(w.resources, func(a, b *reachback.Resource) int {
		return cmp.Or(strings.Compare(a.Title, b.Title), strings.Compare(a.ID, b.ID))
	})
	return w, nil
}

// check refuses what no document can carry: clients would drop the rest with it.
func (w *workspace) check() error {
	if !fitsXML(w.name) {
		return fmt.Errorf("feed: the workspace's name %q does not fit into a document", w.name)
	}
	seen := make(map[string]bool, len(w.resources))
	for _, r := range w.resources {
		switch {
		case !validID(r.ID) || seen[r.ID]:
			return fmt.Errorf("feed: %q is no resource id, or stands twice", r.ID)
		case !fitsXML(r.Title) || !fitsXML(r.Folder):
			return fmt.Errorf("feed: resource %s: title or folder does not fit into a document", r.ID)
		case !validFolder(folderOf(r)):
			return fmt.Errorf("feed: resource %s: folder %q is neither / nor /name", r.ID, r.Folder)
		case !validExtensions(r.Extensions):
			return fmt.Errorf("feed: resource %s: its file extensions are more than %d, or not all of the form .name", r.ID, MaxExtensions)
		case typeOf(r.Kind) == "":
			return fmt.Errorf("feed: resource %s: %q is not a kind", r.ID, r.Kind)
		}
		seen[r.ID] = true
	}
	return nil
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

// has reports whether the document has the resource.
func (v view) has(r *reachback.Resource) bool {
	return v.schema == schema11 || v.folder == "" || v.folder == folderOf(r)
}

func folderOf(r *reachback.Resource) string { return cmp.Or(r.Folder, "/") }

// document returns the workspace as v has it.
func (w *workspace) document(v view) ([]byte, error) {
	if err := w.check(); err != nil {
		return nil, err
	}
	x := xmlWriter{b: make([]byte, 0, 1<<10+(2<<10)*len(w.resources))}
	x.b = append(x.b, xml.Header...)
	w.append(&x, v)
	if len(x.b) > MaxDocument {
		return nil, fmt.Errorf("feed: the document has %d bytes, and clients take %d", len(x.b), MaxDocument)
	}
	return x.b, nil
}

// newest is when the content of the document changed last.
func (w *workspace) newest(v view) string {
	newest := never
	for _, r := range w.resources {
		if v.has(r) && r.UpdatedAt.After(newest) {
			newest = r.UpdatedAt
		}
	}
	return dateTime(newest)
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
