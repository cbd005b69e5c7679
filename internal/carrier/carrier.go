// Package carrier opens and accepts the connections that everything else of
// reachback runs on: TLS to a gateway or broker, then one HTTP/1.1 Upgrade whose
// answer, 101, comes when the thing asked for is ready; after it the stream is
// bare (SPEC.md, section 2).
package carrier

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/proxy"

	"github.com/reachback/reachback"
)

const (
	// ALPN is offered by our own peers ahead of http/1.1, which is what the
	// server chooses. The offer tells the server to ask for a client
	// certificate; browsers, which do not make it, are never asked.
	ALPN = "reachback/1"

	// HandshakeTimeout and HeadTimeout are absolute, from the first byte
	// awaited to the last.
	HandshakeTimeout = 5 * time.Second
	HeadTimeout      = 5 * time.Second

	// MaxHead bounds a request's or an answer's head, and MaxRefusal the
	// body of a refusal.
	MaxHead    = 20 << 10
	MaxRefusal = 4 << 10

	// KeepAlive and UserTimeout are set on outer connections that live long.
	KeepAlive   = 15 * time.Second
	UserTimeout = 30 * time.Second

	// Paths of the requests.
	PathControl = "/reachback/v1/control"
	PathCall    = "/reachback/v1/call"
	PathAnswer  = "/reachback/v1/answer"
	PathEnrol   = "/reachback/v1/enrol"
	PathConnect = "/reachback/v1/connect"
	PathHealth  = "/reachback/v1/health"
	PathKeys    = "/reachback/v1/keys"

	// Header fields of ours.
	HeaderCall        = "Reachback-Call"
	HeaderTicket      = "Reachback-Ticket"
	HeaderNonce       = "Reachback-Nonce"
	HeaderGrant       = "Reachback-Grant"
	HeaderCorrelation = "Reachback-Correlation-Id"
)

// A Dialer opens carriers. Its zero value trusts the system's certificate
// authorities and honours HTTPS_PROXY and NO_PROXY.
type Dialer struct {
	// TLS is the base configuration: roots, and server name where it is not
	// the URL's host. Nil means the system's roots. It is cloned at each use.
	TLS *tls.Config
	// NetDial opens the transport connection. Nil means TCP, through the
	// proxy that the environment names for the URL.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// A Conn is a carrier after its 101. It is the TLS connection, with what the
// peer sent right behind its answer put first.
type Conn struct {
	*tls.Conn
	// Header is that of the answer.
	Header http.Header

	mu   sync.Mutex
	rest []byte
}

// Read implements [net.Conn].
func (c *Conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	if len(c.rest) > 0 {
		n := copy(p, c.rest)
		if c.rest = c.rest[n:]; len(c.rest) == 0 {
			c.rest = nil
		}
		c.mu.Unlock()
		return n, nil
	}
	c.mu.Unlock()
	return c.Conn.Read(p)
}

// Upgrade dials base, an https URL, and sends an Upgrade request for path with
// the header fields h and, where cert is not nil, that client certificate. ctx
// bounds everything up to the answer. A refusal by the server, and a server that
// cannot be reached or trusted, is a [*reachback.Error] in the error's tree;
// unreachable is the code of the latter.
func (d *Dialer) Upgrade(ctx context.Context, base, path string, h http.Header, cert *tls.Certificate, unreachable reachback.Code) (*Conn, error) {
	u, err := parseBase(base)
	if err != nil {
		return nil, err
	}
	tc, err := d.dialTLS(ctx, u, cert)
	if err != nil {
		return nil, Explain(err, unreachable)
	}
	// The connection is torn when ctx ends before the answer is there.
	stop := context.AfterFunc(ctx, func() { tc.NetConn().SetDeadline(time.Unix(1, 0)) })
	c, err := upgrade(tc, u, path, h)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		tc.NetConn().Close()
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, Explain(err, unreachable)
	}
	return c, nil
}

func upgrade(tc *tls.Conn, u *url.URL, path string, h http.Header) (*Conn, error) {
	req := newRequest(u, path, h)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "reachback")
	if err := req.Write(tc); err != nil {
		return nil, err
	}
	limited := &io.LimitedReader{R: tc, N: MaxHead}
	br := bufio.NewReaderSize(limited, 4<<10)
	resp, err := http.ReadResponse(br, req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		limited.N += MaxRefusal
		return nil, ReadRefusal(resp)
	}
	if !strings.EqualFold(resp.Header.Get("Upgrade"), "reachback") {
		return nil, reachback.Refuse(reachback.CodeProtocolError)
	}
	c := &Conn{Conn: tc, Header: resp.Header}
	if n := br.Buffered(); n > 0 {
		c.rest = make([]byte, n)
		if _, err := io.ReadFull(br, c.rest); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func parseBase(base string) (*url.URL, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("%q is not an https URL: %w", base, reachback.Refuse(reachback.CodeBadRequest))
	}
	return u, nil
}

func newRequest(u *url.URL, path string, h http.Header) *http.Request {
	req := &http.Request{
		Method: http.MethodGet,
		URL:    &url.URL{Scheme: "https", Host: u.Host, Path: strings.TrimSuffix(u.Path, "/") + path},
		Host:   u.Host,
		Header: h.Clone(),
	}
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Header.Set("User-Agent", "reachback/1")
	return req
}

// ReadRefusal returns the error in the body of a refusal, or one made from the
// status where the body is not ours. It does not close the body. Its text comes
// from a peer and goes to people and logs: what is not one short line of printable
// characters is left out.
func ReadRefusal(resp *http.Response) error {
	var e reachback.Error
	err := json.NewDecoder(io.LimitReader(resp.Body, MaxRefusal)).Decode(&e)
	if err != nil || e.Code == "" {
		return &reachback.Error{Code: reachback.CodeProtocolError, Message: fmt.Sprintf("the server answered %d, and not as reachback does", resp.StatusCode)}
	}
	if !printable(e.Message) {
		e.Message = e.Code.Text()
	}
	if !printable(e.CorrelationID) {
		e.CorrelationID = ""
	}
	return &e
}

func printable(s string) bool {
	return len(s) <= 256 && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// Client returns an HTTP client for plain requests to the same servers, bounded
// by timeout each. Its connections are not kept.
func (d *Dialer) Client(timeout time.Duration) *http.Client {
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        d.TLS.Clone(),
		TLSHandshakeTimeout:    HandshakeTimeout,
		MaxResponseHeaderBytes: MaxHead,
		DisableKeepAlives:      true,
		ForceAttemptHTTP2:      false,
	}
	if d.NetDial != nil {
		t.Proxy, t.DialContext = nil, d.NetDial
	}
	return &http.Client{Transport: t, Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

func (d *Dialer) dialTLS(ctx context.Context, u *url.URL, cert *tls.Certificate) (*tls.Conn, error) {
	nc, err := d.dial(ctx, u)
	if err != nil {
		return nil, err
	}
	cfg := d.TLS.Clone()
	if cfg == nil {
		cfg = &tls.Config{}
	}
	if cfg.ServerName == "" {
		cfg.ServerName = u.Hostname()
	}
	cfg.NextProtos = []string{ALPN, "http/1.1"}
	cfg.Certificates, cfg.GetClientCertificate = nil, nil
	if cert != nil {
		cfg.Certificates = []tls.Certificate{*cert}
	}
	cfg.ClientSessionCache = nil
	if cfg.MinVersion < tls.VersionTLS12 {
		cfg.MinVersion = tls.VersionTLS12
	}
	Tune(nc)
	tc := tls.Client(Strict(nc), cfg)
	hctx, cancel := context.WithTimeoutCause(ctx, HandshakeTimeout, errHandshake)
	defer cancel()
	if err := tc.HandshakeContext(hctx); err != nil {
		nc.Close()
		if hctx.Err() != nil {
			err = context.Cause(hctx)
		}
		return nil, err
	}
	return tc, nil
}

var errHandshake = errors.New("the TLS handshake took too long")

func (d *Dialer) dial(ctx context.Context, u *url.URL) (net.Conn, error) {
	addr := u.Host
	if u.Port() == "" {
		addr = net.JoinHostPort(u.Hostname(), "443")
	}
	if d.NetDial != nil {
		return d.NetDial(ctx, "tcp", addr)
	}
	var nd net.Dialer
	p, err := httpproxy.FromEnvironment().ProxyFunc()(u)
	if err != nil {
		return nil, fmt.Errorf("proxy of the environment: %w", err)
	}
	if p == nil {
		return nd.DialContext(ctx, "tcp", addr)
	}
	switch p.Scheme {
	case "socks5", "socks5h":
		sd, err := proxy.FromURL(p, &nd)
		if err != nil {
			return nil, err
		}
		return sd.(proxy.ContextDialer).DialContext(ctx, "tcp", addr)
	case "http", "https":
		return dialConnect(ctx, &nd, p, addr)
	}
	return nil, fmt.Errorf("proxy scheme %q is not supported", p.Scheme)
}

// dialConnect asks an HTTP proxy for a tunnel to addr (RFC 9110, section 9.3.6).
func dialConnect(ctx context.Context, nd *net.Dialer, p *url.URL, addr string) (net.Conn, error) {
	paddr := p.Host
	if p.Port() == "" {
		port := "80"
		if p.Scheme == "https" {
			port = "443"
		}
		paddr = net.JoinHostPort(p.Hostname(), port)
	}
	var nc net.Conn
	var err error
	if p.Scheme == "https" {
		nc, err = (&tls.Dialer{NetDialer: nd}).DialContext(ctx, "tcp", paddr)
	} else {
		nc, err = nd.DialContext(ctx, "tcp", paddr)
	}
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: http.Header{}}
	if p.User != nil {
		pw, _ := p.User.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(p.User.Username()+":"+pw)))
	}
	if err := req.Write(nc); err != nil {
		nc.Close()
		return nil, fmt.Errorf("proxy: %w", err)
	}
	// The proxy sends nothing after its answer until we have spoken, so
	// nothing can be left in the reader.
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(nc, MaxHead)), req)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("proxy: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		nc.Close()
		return nil, fmt.Errorf("proxy: %s", resp.Status)
	}
	return nc, nil
}

// Explain gives an error of dialling its code, unreachable where there is no
// better one. Refusals already have theirs, and a cancelled attempt has none.
func Explain(err error, unreachable reachback.Code) error {
	if _, ok := errors.AsType[*reachback.Error](err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("%w: %w", reachback.Refuse(reachback.CodeCertificateUntrusted), err)
	}
	return fmt.Errorf("%w: %w", reachback.Refuse(unreachable), err)
}
