package feed

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/printable"
)

const (
	// requestTimeout bounds each request of a client, with its answer, and
	// refreshTimeout all of a refresh.
	requestTimeout = 30 * time.Second
	refreshTimeout = 10 * time.Minute

	maxToken    = 12 << 10
	maxGateways = 64
)

// A Client subscribes to one feed and keeps its files in a folder. Its methods
// may be called concurrently, and several processes may share a folder. Errors
// of the feed, and of reaching it, are *reachback.Error in the error's tree.
type Client struct {
	// URL is the base URL of the feed's origin, https. The user's token goes
	// there and nowhere else: redirects are refused.
	URL string
	// Token returns the user's bearer token. It is called for each refresh
	// and each connection. Required.
	Token func(ctx context.Context) (string, error)
	// Dir is where the .rdp files go, made with mode 0700. Empty: nowhere.
	Dir string
	// Signatures says how the files' signatures are taken, and Trust whose.
	Signatures Signatures
	Trust      VerifyOptions
	// HTTP has the transport for all requests; of its other fields Timeout
	// counts where it is shorter. Nil trusts the system's certificate
	// authorities and honours HTTPS_PROXY.
	HTTP *http.Client
}

// Signatures says how a client takes the signatures of .rdp files.
type Signatures string

// The ways to take signatures.
const (
	SignaturesIgnored Signatures = ""
	// SignaturesChecked stores every file, and File.Unverified says what is wrong.
	SignaturesChecked Signatures = "checked"
	// SignaturesRequired neither stores nor lists a file that does not verify. A
	// refresh that is offered one keeps the file of before, and fails.
	SignaturesRequired Signatures = "required"
)

// A File is one resource of the workspace.
type File struct {
	ID, Title string
	Kind      reachback.Kind
	Path      string // of the .rdp file; empty where the client has no folder
	// Publisher signed the file, as it is in the folder, and is trusted. Or else
	// Unverified says what is wrong. Both are empty unless signatures are looked at.
	Publisher  string
	Unverified error
}

// Connect asks for a connection to a resource; key is the thumbprint of the
// client's key for it, all zero for a raw call. It fits
// transport.Dialer.Connect.
func (c *Client) Connect(ctx context.Context, resource string, key [32]byte) (*reachback.Connection, error) {
	s, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	req := connectRequest{Resource: resource}
	if key != [32]byte{} {
		k := base64.RawURLEncoding.EncodeToString(key[:])
		req.Key = &k
	}
	body, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	a, err := s.do(ctx, http.MethodPost, s.at(carrier.PathConnect), http.Header{"Content-Type": {"application/json"}}, body, maxConnectAnswer)
	if err != nil {
		return nil, fmt.Errorf("feed: connect %s: %w", printable.Clip(resource), err)
	}
	conn, err := parseConnection(a.body)
	if err != nil {
		return nil, fmt.Errorf("feed: connect %s: %w", printable.Clip(resource), err)
	}
	return conn, nil
}

// parseConnection reads the answer of connect.
func parseConnection(body []byte) (*reachback.Connection, error) {
	bad := &reachback.Error{Code: reachback.CodeProtocolError, Message: "the feed's answer is not a connection"}
	var a connectAnswer
	if json.Unmarshal(body, &a) != nil || len(a.Gateways) == 0 || len(a.Gateways) > maxGateways {
		return nil, bad
	}
	for _, g := range a.Gateways {
		if _, err := baseURL(g); err != nil {
			return nil, bad
		}
	}
	if checkToken(a.Token) != nil || !bytes.HasPrefix(a.Keys, []byte("{")) || len(a.Keys) > maxKeys || len(a.CorrelationID) > 128 {
		return nil, bad
	}
	return &reachback.Connection{Gateways: a.Gateways, Token: a.Token, Keys: a.Keys, CorrelationID: a.CorrelationID}, nil
}

// checkToken refuses what cannot stand in a header field.
func checkToken(token string) error {
	if token == "" {
		return reachback.Refuse(reachback.CodeTokenMissing)
	}
	if len(token) > maxToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return reachback.Refuse(reachback.CodeTokenInvalid)
	}
	return nil
}

// A session is a run of requests with one token, or none.
type session struct {
	base  *url.URL
	token string // empty: none
	http  http.Client
	check func(*RDPFile) error // what more is asked of a file, or nil
	close func()               // ends idle connections that are the session's own
}

func (c *Client) open(ctx context.Context) (*session, error) {
	s, err := c.dial()
	if err != nil {
		return nil, err
	}
	if c.Token == nil {
		return nil, reachback.Refuse(reachback.CodeTokenMissing)
	}
	token, err := c.Token(ctx)
	if err != nil {
		return nil, fmt.Errorf("feed: token: %w", err)
	}
	if err := checkToken(token); err != nil {
		return nil, fmt.Errorf("feed: token: %w", err)
	}
	s.token = token
	return s, nil
}

// dial returns a session without a token. It asks nobody.
func (c *Client) dial() (*session, error) {
	base, err := baseURL(c.URL)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", reachback.Refuse(reachback.CodeBadRequest), err)
	}
	s := &session{base: base, close: func() {}}
	s.http.Timeout = requestTimeout
	s.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if c.HTTP != nil {
		s.http.Transport = c.HTTP.Transport
		if c.HTTP.Timeout > 0 {
			s.http.Timeout = min(requestTimeout, c.HTTP.Timeout)
		}
		return s, nil
	}
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSHandshakeTimeout:    carrier.HandshakeTimeout,
		MaxResponseHeaderBytes: carrier.MaxHead,
		MaxIdleConnsPerHost:    parallel,
	}
	s.http.Transport, s.close = t, t.CloseIdleConnections
	return s, nil
}

// An answer is one of status 200, or of 304 and empty.
type answer struct {
	unchanged bool
	etag      string
	body      []byte
}

// get reads at most limit bytes from u, which is of the feed's origin, unless it
// still has the ETag.
func (s *session) get(ctx context.Context, u *url.URL, accept, etag string, limit int) (*answer, error) {
	h := http.Header{"Accept": {accept}}
	if etag != "" {
		h.Set("If-None-Match", etag)
	}
	return s.do(ctx, http.MethodGet, u, h, nil, limit)
}

func (s *session) do(ctx context.Context, method string, u *url.URL, h http.Header, body []byte, limit int) (*answer, error) {
	if !sameOrigin(s.base, u) { // the last guard before the token is sent
		return nil, reachback.Refuse(reachback.CodeProtocolError)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = h
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	req.Header.Set("User-Agent", "reachback/1")
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, carrier.Explain(err, reachback.CodeBrokerUnreachable)
	}
	defer resp.Body.Close()
	a := new(answer)
	if tag := resp.Header.Get("ETag"); validTag(tag) {
		a.etag = tag
	}
	switch {
	case resp.StatusCode == http.StatusNotModified && h.Get("If-None-Match") != "":
		a.unchanged = true
		return a, nil
	case resp.StatusCode != http.StatusOK:
		return nil, carrier.ReadRefusal(resp)
	}
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	if err != nil {
		return nil, carrier.Explain(err, reachback.CodeBrokerUnreachable)
	}
	if len(a.body) > limit {
		return nil, &reachback.Error{Code: reachback.CodeProtocolError, Message: "the feed's answer is too large"}
	}
	return a, nil
}

// at is the URL of a path of the feed.
func (s *session) at(path string) *url.URL { return s.base.JoinPath(path) }

// validTag bounds what is kept of a server's ETag.
func validTag(tag string) bool {
	return len(tag) <= 256 && !strings.ContainsFunc(tag, func(r rune) bool { return r <= ' ' || r > '~' })
}
