package carrier

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/reachback/reachback"
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
