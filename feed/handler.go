package feed

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
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
// see is asked of the source at each request.
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
	Logger *slog.Logger // nil is silent

	refusals limit.Failures // by address: of a flood no more is recorded
}

// ServeHTTP serves /feed and what is below it, and of /reachback/v1/ connect, keys
// and signin.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// net/http takes the deadline back when this request has its answer.
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
	ctx, cancel := context.WithTimeout(r.Context(), sourceTimeout)
	defer cancel()

	x := &exchange{Handler: h, w: w, r: r.WithContext(ctx), correlationID: rand.Text()}
	if err := x.serve(); err != nil {
		x.refuse(err)
	}
}

// An exchange is one request on its way to its answer.
type exchange struct {
	*Handler
	w             http.ResponseWriter
	r             *http.Request
	correlationID string
	base          *url.URL        // set by serve
	user          *reachback.User // nil until authenticated
}

func (x *exchange) serve() (err error) {
	if x.base, err = baseURL(x.URL); err != nil {
		return err
	}
	if x.Source == nil {
		return errors.New("feed: the handler has no source")
	}
	if err := carrier.Single(x.r.Header, "Authorization", "Cookie", "If-None-Match"); err != nil {
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
	case path == pathFeed:
		return x.workspace()
	case isFile:
		return x.file(id)
	case isIcon:
		return x.icon(icon)
	}
	return reachback.Refuse(reachback.CodeNotFound)
}

// resources authenticates the user and returns what he may see now. It never
// answers 404 of its own or of the source: to a client that would mean that the
// workspace is gone, and it would drop its files.
func (x *exchange) resources() ([]reachback.Resource, error) {
	user, err := x.Source.Authenticate(x.r)
	if err != nil {
		return nil, notGone(err)
	}
	if user == nil {
		return nil, reachback.Refuse(reachback.CodeTokenInvalid)
	}
	x.user = user
	rs, err := x.Source.Resources(x.r.Context(), user)
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

// workspace answers with the document of the user's resources.
func (x *exchange) workspace() error {
	if err := carrier.CheckMethod(x.w, x.r, http.MethodGet, http.MethodHead); err != nil {
		return err
	}
	rs, err := x.resources()
	if err != nil {
		return err
	}
	name, err := x.Source.Workspace(x.r.Context(), x.user.Tenant)
	if err != nil {
		return notGone(err)
	}
	ws, err := newWorkspace(x.base, cmp.Or(name, x.Name), x.user.Tenant, rs)
	if err != nil {
		return err
	}
	v := schemaFor(x.r)
	doc, err := ws.document(v)
	if err != nil {
		return err
	}
	x.private(ws.tag(doc))
	x.send(v.contentType(), doc)
	x.log(slog.LevelInfo, "feed read", "resources", len(rs))
	return nil
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
	id, ok := strings.CutSuffix(name, ".rdp")
	i := slices.IndexFunc(rs, func(r reachback.Resource) bool { return r.ID == id })
	if !ok || i < 0 || !validID(id) {
		return reachback.Refuse(reachback.CodeResourceNotFound)
	}
	f, err := fileOf(x.base, &rs[i])
	if err != nil {
		return err
	}
	data := f.Encode()
	sum := sha256.Sum256(data)
	x.private(etag(sum[:]))
	x.w.Header().Set("Content-Disposition", `attachment; filename="`+id+`.rdp"`)
	x.send("application/x-rdp", data)
	x.log(slog.LevelDebug, "file read", "resource", id)
	return nil
}

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
		args = append(args, "user", x.user.Subject, "tenant", x.user.Tenant)
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
