package feed

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/limit"
	"github.com/reachback/reachback/internal/printable"
)

const (
	// sourceTimeout bounds what the source does for one request, and
	// answerTimeout the request as a whole, with a slow reader of the answer.
	sourceTimeout = 15 * time.Second
	answerTimeout = 60 * time.Second
)

// A Handler serves the workspace, its .rdp files and icons, connect and keys.
// SPEC.md, section 9, has the requests. It keeps nothing of users: what one may
// see is asked of the source at each request. Its fields are not changed after the first.
type Handler struct {
	// Source knows users and resources. Required.
	Source Source
	// URL is the base URL of this origin, https; the documents' links start
	// with it. Required: the Host field of a request is anybody's to write.
	URL string
	// Name is the workspace's, as users see it, where the source has none for
	// the tenant. Empty means "Workspace".
	Name string
	// SignIn says where users sign in. Nil: the feed does not tell.
	SignIn *SignIn
	// Classic admits clients that know neither bearer tokens nor OpenID Connect.
	// Nil: none.
	Classic *ClassicSignIn
	// Browser signs users in for the page, at the path /. Nil: there is no page.
	Browser *BrowserSignIn
	// Signer returns who signs the .rdp files now. It is called for every request, so
	// that the certificate can be renewed. Nil: they are not signed.
	Signer func() *Signer
	Logger *slog.Logger // nil is silent

	refusals limit.Failures // by address: of a flood no more is recorded

	once     sync.Once // guards the making of what follows
	base     *url.URL  // of URL
	err      error     // why the handler cannot serve
	browsers *browsers // nil without Browser
	tags     recent[contentKey, string]
	icons    recent[string, *iconSet]
	signed   recent[contentKey, []byte] // files, by what they are without their signature
	drawing  chan struct{}              // holds an element while a picture is made
}

// start reads the fields.
func (h *Handler) start() {
	h.tags.limit, h.icons.limit, h.signed.limit = maxTags, maxIconSets, maxSigned
	h.drawing = make(chan struct{}, 1)
	if h.base, h.err = baseURL(h.URL); h.err != nil {
		return
	}
	if h.Source == nil {
		h.err = errors.New("feed: the handler has no source")
		return
	}
	if h.Classic != nil {
		h.err = h.Classic.check()
	}
	if h.Browser != nil && h.err == nil {
		h.browsers, h.err = h.Browser.open(h.base)
	}
}

// ServeHTTP serves /feed and what is below it, the paths at which clients of others look
// for a feed, of /reachback/v1/ connect, keys and signin, and the page at / with what
// belongs to it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// net/http takes the deadline back when this request has its answer.
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
	ctx, cancel := context.WithTimeout(r.Context(), sourceTimeout)
	defer cancel()

	h.once.Do(h.start)
	x := &exchange{Handler: h, w: w, r: r.WithContext(ctx), correlationID: rand.Text()}
	if err := x.serve(); err != nil && !x.classicChallenge(err) {
		x.refuse(err)
	}
}

// An exchange is one request on its way to its answer.
type exchange struct {
	*Handler
	w             http.ResponseWriter
	r             *http.Request
	correlationID string
	user          *reachback.User // nil until authenticated
}

func (x *exchange) serve() error {
	if x.err != nil {
		return x.err
	}
	if err := carrier.Single(x.r.Header, "Authorization", "Cookie", "If-None-Match", "Origin"); err != nil {
		return err
	}
	if err := x.sameOrigin(); err != nil {
		return err
	}
	path := x.r.URL.Path
	id, isFile := strings.CutPrefix(path, pathRDP)
	icon, isIcon := strings.CutPrefix(path, pathIcon)
	switch {
	case path == carrier.PathConnect:
		return x.connect()
	case path == carrier.PathKeys:
		return x.keys()
	case path == pathSignIn:
		return x.signIn()
	case path == pathFeed || isFeedPath(path):
		return x.feed()
	case path == pathWCX:
		return x.wcx()
	case isReconnectPath(path):
		return x.reconnect()
	case isFile:
		return x.file(id)
	case isIcon:
		return x.icon(icon)
	case x.browsers != nil:
		return x.servePage()
	}
	return reachback.Refuse(reachback.CodeNotFound)
}

// sameOrigin refuses a request that changes something and that a page of another origin
// has a browser make: with it would come the user's cookies. Programs that are no
// browsers say nothing of origins.
func (x *exchange) sameOrigin() error {
	var p http.CrossOriginProtection
	if err := p.AddTrustedOrigin("https://" + x.base.Host); err != nil {
		return err
	}
	if err := p.Check(x.r); err != nil {
		return fmt.Errorf("%w: %w", reachback.Refuse(reachback.CodeCrossOrigin), err)
	}
	return nil
}

// authenticate finds out who the user is. It never answers 404, whatever the source
// says: to a client that would mean that the workspace is gone.
func (x *exchange) authenticate() error {
	user, err := x.classicUser()
	if user == nil && err == nil {
		var r *http.Request
		if r, err = x.browserRequest(); err == nil {
			user, err = x.Source.Authenticate(r)
		}
	}
	if err != nil {
		return notGone(err)
	}
	if user == nil {
		return reachback.Refuse(reachback.CodeTokenInvalid)
	}
	x.user = user
	return nil
}

// resources authenticates the user and returns what he may see now.
func (x *exchange) resources() ([]reachback.Resource, error) {
	if err := x.authenticate(); err != nil {
		return nil, err
	}
	rs, err := x.Source.Resources(x.r.Context(), x.user)
	return rs, notGone(err)
}

func notGone(err error) error {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*reachback.Error](err)
	if ok && e.Code.Status() != http.StatusNotFound {
		return err
	}
	return errors.Join(reachback.Refuse(reachback.CodeUnavailable), err)
}

// feed answers with the document of the user's resources, or with the one that says
// where it is.
func (x *exchange) feed() error {
	if err := carrier.CheckMethod(x.w, x.r, http.MethodGet, http.MethodHead); err != nil {
		return err
	}
	ranges := parseAccept(x.r.Header.Values("Accept"))
	if wantsDiscovery(ranges) {
		return x.discovery()
	}
	v := view{schema: schemaFor(x.r, ranges)}
	if x.r.URL.RawQuery != "" {
		v.folder = x.r.URL.Query().Get(paramFolder)
		if v.folder != "" && !validFolder(v.folder) {
			return reachback.Refuse(reachback.CodeBadRequest)
		}
	}
	rs, err := x.resources()
	if err != nil {
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
	x.log(slog.LevelInfo, "feed read", "resources", len(rs))
	key := ws.key(v, x.signer().id())
	tag, known := x.tags.get(key)
	if known && x.r.Header.Get("If-None-Match") == tag {
		x.private(tag)
		x.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	doc, err := ws.document(v)
	if err != nil {
		return err
	}
	if !known {
		tag = tagOf(doc, key)
		x.tags.put(key, tag, tagSize)
	}
	x.private(tag)
	x.send(v.schema.contentType(), doc)
	return nil
}

// workspaceName is the title of the user's workspace.
func (x *exchange) workspaceName() (string, error) {
	name, err := x.Source.Workspace(x.r.Context(), x.user.Tenant)
	return cmp.Or(name, x.Name), notGone(err)
}

// file answers with the .rdp file of one resource. Whether it is the user's is
// asked again here, and an id that is not gets the answer of one that is nobody's.
func (x *exchange) file(name string) error {
	if err := carrier.CheckMethod(x.w, x.r, http.MethodGet, http.MethodHead); err != nil {
		return err
	}
	rs, err := x.resources()
	if err != nil {
		return err
	}
	r, err := resourceOfFile(rs, name)
	if err != nil {
		return err
	}
	f, err := fileOf(x.base, r)
	if err != nil {
		return err
	}
	data, err := x.encode(f)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	x.private(etag(sum[:]))
	x.w.Header().Set("Content-Disposition", attachment(r.ID))
	x.send(typeRDP, data)
	x.log(slog.LevelDebug, "file read", "resource", r.ID)
	return nil
}

// resourceOfFile returns that of rs whose file has the name. Whose it is not gets the
// answer of one that is nobody's.
func resourceOfFile(rs []reachback.Resource, name string) (*reachback.Resource, error) {
	id, ok := strings.CutSuffix(name, extRDP)
	i := slices.IndexFunc(rs, func(r reachback.Resource) bool { return r.ID == id })
	if !ok || i < 0 || !validID(id) {
		return nil, reachback.Refuse(reachback.CodeResourceNotFound)
	}
	return &rs[i], nil
}

// attachment has a browser store the file of a resource.
func attachment(id string) string { return `attachment; filename="` + fileName(id) + `"` }

// private marks the answer as this user's: it may be kept, and is asked for
// again at each use.
func (x *exchange) private(tag string) {
	h := x.w.Header()
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Vary", "Accept, Authorization, Cookie") // a source may go by a cookie
	h.Set("ETag", tag)
}

// send answers GET and HEAD, and If-None-Match by the ETag that is set.
func (x *exchange) send(contentType string, data []byte) {
	h := x.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(x.w, x.r, "", time.Time{}, bytes.NewReader(data))
}

// refuse answers with err's code, and keeps what is not the client's to know for
// the log.
func (x *exchange) refuse(err error) {
	e := *reachback.AsError(err)
	if errors.Is(err, context.DeadlineExceeded) && e.Code == reachback.CodeInternal {
		e = *reachback.Refuse(reachback.CodeUnavailable)
	}
	if e.CorrelationID == "" {
		e.CorrelationID = x.correlationID
	}
	x.correlationID = e.CorrelationID
	level := slog.LevelWarn
	switch {
	case e.Code == reachback.CodeInternal:
		level = slog.LevelError
	case e.Code.Status() < http.StatusInternalServerError && x.flooded():
		level = slog.LevelDebug
	}
	x.log(level, "request refused", "method", x.r.Method, "path", printable.Clip(x.r.URL.Path), "code", e.Code, "err", err)
	if x.wantsPage() {
		x.refusePage(&e)
		return
	}
	carrier.Refuse(x.w, &e, "")
}

// flooded counts a refusal, and reports whether the address has had so many that the
// operator has heard enough of it. Others behind the same address are still served.
func (x *exchange) flooded() bool {
	from, _ := netip.ParseAddrPort(x.r.RemoteAddr) // of anything else: the zero address
	now := time.Now()
	if x.refusals.Blocked(from.Addr(), now) {
		return true
	}
	x.refusals.Fail(from.Addr(), now)
	return false
}

func (x *exchange) log(level slog.Level, msg string, args ...any) {
	if x.Logger == nil {
		return
	}
	args = append(args, "remote", x.r.RemoteAddr, "correlation_id", x.correlationID)
	if x.user != nil {
		args = append(args, "user", printable.Clip(x.user.Subject), "tenant", printable.Clip(x.user.Tenant))
	}
	x.Logger.Log(x.r.Context(), level, msg, args...)
}

// baseURL reads the base URL of a feed.
func baseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("feed: the URL is not an https base URL")
	}
	return u, nil
}
