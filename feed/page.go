package feed

import (
	"bytes"
	"cmp"
	"crypto/sha1"
	"crypto/sha256"
	"embed"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
)

// Paths of the page.
const (
	pathPage      = "/"
	pathAsset     = "/page/"
	pathOpen      = "/open/"
	pathPublisher = "/feed/publisher.cer"

	maxQuery = 200 // bytes of a search
)

//go:embed page
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "page/*.html"))

// assets are the files that the pages refer to.
var assets = map[string]string{
	"page.css": "text/css; charset=utf-8",
	"page.js":  "text/javascript; charset=utf-8",
	"icon.svg": "image/svg+xml",
}

// pagePolicy lets a page load what it refers to at this origin, send forms there, and nothing else.
const pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// A pageView is what the templates show.
type pageView struct {
	Workspace string
	User      string // "" before the sign-in
	Subject   string // of the user, where his name is another

	// Of the workspace.
	Query     string
	Shown     int
	Total     int
	Folders   []pageFolder
	Opens     bool           // some of them in stock clients
	Publisher *publisherView // nil where files are not signed
	Origin    string
	FeedURL   string
	Subscribe template.URL

	// Of an error.
	Title, Message, CorrelationID string
	Return                        string // where a new sign-in leads
}

type pageFolder struct {
	Name  string // "" for the root
	Tiles []pageTile
	Shown int
}

type pageTile struct {
	Title, Kind, File string
	Open              string // where the pool admits stock clients: what opens it in one
	Icon, LargeIcon   string
	Hidden            bool // by the search
}

type publisherView struct {
	Name         string
	SHA1, SHA256 string
	NotAfter     string
}

// servePage serves the page and what belongs to it.
func (x *exchange) servePage() error {
	path := x.r.URL.Path
	asset, isAsset := strings.CutPrefix(path, pathAsset)
	file, isOpen := strings.CutPrefix(path, pathOpen)
	switch {
	case path == pathPage:
		return x.page()
	case path == pathBrowserSignIn:
		return x.beginSignIn()
	case path == pathCallback:
		return x.endSignIn()
	case path == pathSignOut:
		return x.signOut()
	case path == pathPublisher:
		return x.publisher()
	case isOpen:
		return x.open(file)
	case isAsset:
		return x.asset(asset)
	}
	return reachback.Refuse(reachback.CodeNotFound)
}

// page shows the user his workspace, or where to sign in.
func (x *exchange) page() error {
	if err := carrier.CheckMethod(x.w, x.r, http.MethodGet, http.MethodHead); err != nil {
		return err
	}
	rs, err := x.resources()
	if err != nil {
		if reachback.AsError(err).Code.Status() == http.StatusUnauthorized {
			return x.welcome(err)
		}
		return err
	}
	name, err := x.workspaceName()
	if err != nil {
		return err
	}
	ws, err := newWorkspace(x.base, name, x.user.Tenant, rs)
	if err != nil {
		return err
	}
	if err := ws.check(); err != nil {
		return err
	}
	v := &pageView{
		Workspace: ws.name, User: cmp.Or(x.user.Name, x.user.Subject), Total: len(rs), Origin: ws.root, FeedURL: ws.root + pathFeed,
		Subscribe: template.URL(subscribeScheme + ws.root + pathFeed),
	}
	if v.User != x.user.Subject {
		v.Subject = x.user.Subject
	}
	if v.Query = strings.TrimSpace(x.r.URL.Query().Get("q")); len(v.Query) > maxQuery {
		return reachback.Refuse(reachback.CodeBadRequest)
	}
	v.fill(ws)
	if s := x.signer(); s != nil {
		v.Publisher = publisherOf(s)
	}
	x.log(slog.LevelInfo, "page read", "resources", len(rs))
	return x.show(http.StatusOK, "workspace.html", v)
}

// fill sorts the tiles into their folders: those without one first.
func (v *pageView) fill(ws *workspace) {
	byName := make(map[string]*pageFolder)
	for _, r := range ws.resources {
		name := strings.TrimPrefix(folderOf(r), "/")
		f := byName[name]
		if f == nil {
			f = &pageFolder{Name: name}
			byName[name] = f
		}
		t := pageTile{Title: cmp.Or(r.Title, r.ID), Kind: kindText(r.Kind), File: pathRDP + r.ID + extRDP}
		t.Icon, t.LargeIcon = pathIcon+iconOf(r)+"-64.png", pathIcon+iconOf(r)+"-256.png"
		if r.Raw {
			t.Open, v.Opens = pathOpen+r.ID+extRDP, true
		}
		t.Hidden = !matches(v.Query, t.Title, name, t.Kind)
		if !t.Hidden {
			f.Shown++
			v.Shown++
		}
		f.Tiles = append(f.Tiles, t)
	}
	for _, f := range byName {
		v.Folders = append(v.Folders, *f)
	}
	slices.SortFunc(v.Folders, func(a, b pageFolder) int { return strings.Compare(a.Name, b.Name) })
}

// matches reports whether every word of the query is in what the tile shows, as the script of
// the page has it too.
func matches(query string, texts ...string) bool {
	text := strings.ToLower(strings.Join(texts, " "))
	for _, word := range strings.Fields(strings.ToLower(query)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

func kindText(k reachback.Kind) string {
	if k == reachback.KindRemoteApp {
		return "Application"
	}
	return "Desktop"
}

func publisherOf(s *Signer) *publisherView {
	c := s.Certificate()
	return &publisherView{
		Name: s.Publisher(), SHA1: fmt.Sprintf("%X", sha1.Sum(c.Raw)), SHA256: fmt.Sprintf("%X", sha256.Sum256(c.Raw)),
		NotAfter: s.NotAfter().UTC().Format("2 January 2006"),
	}
}

// welcome asks the user to sign in, and says why if he was signed in before.
func (x *exchange) welcome(cause error) error {
	v := &pageView{Workspace: cmp.Or(x.Name, "Workspace"), Return: localPath(x.r.URL.RequestURI())}
	if _, err := x.r.Cookie(cookieSession); err == nil {
		x.clearCookie(cookieSession)
		v.Message = "Your sign-in has ended. Please sign in again."
		x.log(slog.LevelDebug, "browser's sign-in has ended", "err", cause)
	}
	return x.show(http.StatusOK, "welcome.html", v)
}

// asset answers with a file of the pages.
func (x *exchange) asset(name string) error {
	if err := carrier.CheckMethod(x.w, x.r, http.MethodGet, http.MethodHead); err != nil {
		return err
	}
	contentType, ok := assets[name]
	if !ok {
		return reachback.Refuse(reachback.CodeNotFound)
	}
	data, err := pageFiles.ReadFile("page/" + name)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	x.w.Header().Set("Cache-Control", "public, no-cache")
	x.w.Header().Set("ETag", etag(sum[:]))
	x.w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	x.send(contentType, data)
	return nil
}

// publisher answers with the certificate that signs the files, which is in each of them.
func (x *exchange) publisher() error {
	if err := carrier.CheckMethod(x.w, x.r, http.MethodGet, http.MethodHead); err != nil {
		return err
	}
	s := x.signer()
	if s == nil {
		return reachback.Refuse(reachback.CodeNotFound)
	}
	data := s.Certificate().Raw
	sum := sha256.Sum256(data)
	h := x.w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", etag(sum[:]))
	h.Set("Content-Disposition", `attachment; filename="publisher.cer"`)
	x.send("application/pkix-cert", data)
	return nil
}

// wantsPage reports whether a refusal is to be a page: the request is a browser's, on its way
// from page to page. Programs, and scripts, do not ask for HTML.
func (x *exchange) wantsPage() bool {
	if x.browsers == nil || strings.HasPrefix(x.r.URL.Path, "/reachback/") {
		return false
	}
	return slices.ContainsFunc(parseAccept(x.r.Header.Values("Accept")), func(r mediaRange) bool { return r.typ == "text/html" })
}

// refusePage tells a person what a refusal tells a program.
func (x *exchange) refusePage(e *reachback.Error) {
	status := e.Code.Status()
	v := &pageView{Workspace: cmp.Or(x.Name, "Workspace"), Message: e.Message, CorrelationID: e.CorrelationID, Return: pathPage}
	switch {
	case status == http.StatusUnauthorized:
		v.Title = "Please sign in"
	case e.Code == reachback.CodeSignInFailed:
		v.Title = "You are not signed in"
	case status == http.StatusNotFound:
		v.Title = "There is nothing here"
	case status == http.StatusTooManyRequests:
		v.Title = "Too many requests"
	case status >= http.StatusInternalServerError:
		v.Title = "That did not work"
	default:
		v.Title = "That is not possible"
	}
	if err := x.show(status, "error.html", v); err != nil {
		carrier.Refuse(x.w, e, "")
	}
}

// show answers with a page, which is not kept: after the user has signed out, the way back
// must not show it.
func (x *exchange) show(status int, name string, v *pageView) error {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, v); err != nil {
		return err
	}
	h := x.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept, Authorization, Cookie")
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		x.w.Write(b.Bytes())
	}
	return nil
}
