// Package clientside is the user's end: it subscribes to the feed and lets any
// RDP client in through a loopback port.
package clientside

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/examples/internal/forward"
	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/feed"
	"github.com/reachback/reachback/relay"
	"github.com/reachback/reachback/transport"
)

// dialTimeout bounds a connection's set-up: a little more than a call may wait.
const dialTimeout = 30 * time.Second

// A Config is what the flags of a client say.
type Config struct {
	Server string // base URL of the feed
	Token  string // path of a file with the user's bearer token
	Login  bool   // sign the user in, and keep that file up to date
	Dir    string // where the .rdp files go
	CA     string // path of the CA file; empty: the system's
}

// A Client is subscribed to one feed.
type Client struct {
	program *program.Program
	feed    *feed.Client
	dialer  *transport.Dialer
	closers []func() // in the order of their making
	login   *login   // nil: the token file is somebody else's to write

	stopLogin context.CancelFunc // set by SignIn, which starts what keeping waits for
	keeping   sync.WaitGroup
}

// New returns a client, which has the folder to itself until Close. It reads the
// token file again for each request.
func New(p *program.Program, cfg *Config) (_ *Client, err error) {
	c := &Client{program: p, stopLogin: func() {}}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	origin, err := program.Origin("-server", cfg.Server)
	if err != nil {
		return nil, err
	}
	if err := program.MakeDir(cfg.Dir); err != nil {
		return nil, err
	}
	unlock, err := program.Lock(cfg.Dir)
	if err != nil {
		return nil, err
	}
	c.closers = append(c.closers, unlock)
	tlsConfig, err := program.TrustFile(cfg.CA)
	if err != nil {
		return nil, err
	}
	files := tokenFiles(cfg.Token)
	if !cfg.Login {
		if _, err := files.accessToken(); err != nil {
			return nil, err
		}
	}
	transporter := http.DefaultTransport.(*http.Transport).Clone()
	transporter.TLSClientConfig = tlsConfig
	transporter.MaxResponseHeaderBytes = 20 << 10
	c.feed = &feed.Client{
		URL:   origin.String(),
		Token: func(context.Context) (string, error) { return files.accessToken() },
		Dir:   cfg.Dir,
		HTTP:  &http.Client{Transport: transporter},
	}
	c.dialer = &transport.Dialer{Connect: c.feed.Connect, Relay: &relay.Dialer{TLS: tlsConfig}, Logger: p.Logger.With("part", "client")}
	if !cfg.Login {
		return c, nil
	}
	if unlock, err = files.lock(); err != nil {
		return nil, err
	}
	c.closers = append(c.closers, unlock)
	c.login = &login{program: p, feed: c.feed, files: files}
	c.login.http, err = issuerHTTP(cfg.CA)
	return c, err
}

// issuerHTTP is for the issuer, which may be the server's neighbour or somebody
// else's: it trusts the authorities of the system and those of the file.
func issuerHTTP(ca string) (*http.Client, error) {
	tlsConfig, err := program.TrustAlso(ca)
	if err != nil {
		return nil, err
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = tlsConfig
	t.MaxResponseHeaderBytes = 20 << 10
	return &http.Client{
		Transport: t,
		Timeout:   issuerTimeout,
		// A refresh token is not for whomever the issuer redirects to.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// SignIn signs the user in, and keeps him so until Close. Where that is not asked
// for it does nothing.
func (c *Client) SignIn(ctx context.Context) error {
	if c.login == nil {
		return nil
	}
	due, err := c.login.signIn(ctx)
	if err != nil {
		return err
	}
	ctx, c.stopLogin = context.WithCancel(ctx)
	c.keeping.Go(func() { c.login.keep(ctx, due) }) // ended and awaited by Close
	return nil
}

// Close lets another process have the folder.
func (c *Client) Close() {
	c.stopLogin()
	c.keeping.Wait()
	for _, closer := range slices.Backward(c.closers) {
		closer()
	}
}

// Subscribe reads the feed and stores its files.
func (c *Client) Subscribe(ctx context.Context) ([]feed.File, error) { return c.feed.Refresh(ctx) }

// Listen opens addr, which must be a loopback address.
func Listen(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, program.UsageError(fmt.Sprintf("address to listen on: %v", err))
	}
	if ip := net.ParseIP(host); (ip == nil || !ip.IsLoopback()) && host != "localhost" {
		return nil, program.UsageError(fmt.Sprintf("address to listen on: %q is not a loopback address, and everybody who reaches it would be you", addr))
	}
	return net.Listen("tcp", addr)
}

// Carry carries each connection made to l to the resource, until ctx ends. It
// closes l, and returns when nothing is left.
func (c *Client) Carry(ctx context.Context, l net.Listener, resource string) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	for {
		local, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				local.Close()
			}
			return nil
		}
		if ne, ok := errors.AsType[net.Error](err); ok && !errors.Is(err, net.ErrClosed) {
			// Out of descriptors, most likely: what is open goes on.
			c.program.Logger.Warn("accept failed", "err", ne)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			continue
		}
		if err != nil {
			return err
		}
		wg.Go(func() { // ends with the session, which ends with ctx at the latest
			defer local.Close()
			c.one(ctx, local, resource)
		})
	}
}

func (c *Client) one(ctx context.Context, local net.Conn, resource string) {
	start := time.Now()
	dctx, cancel := context.WithTimeout(ctx, dialTimeout)
	nc, err := c.dialer.DialContext(dctx, "tcp", resource)
	cancel()
	if err != nil {
		e := reachback.AsError(err)
		c.program.Logger.Warn("no connection", "resource", resource, "correlation_id", e.CorrelationID, "err", program.OneLine(err.Error()))
		c.program.Event("end", "resource", resource, "code", e.Code, "message", e.Message, "correlation_id", e.CorrelationID)
		return
	}
	conn := nc.(*transport.Conn)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	g := conn.Grant()
	c.program.Event("connected", "session", g.Session, "path", conn.Path(), "host", g.Host, "gateway", conn.Gateway(),
		"setup_ms", time.Since(start).Milliseconds(), "correlation_id", g.CorrelationID)
	forward.Join(local, conn)
	s := conn.Stats()
	c.program.Event("end", "session", g.Session, "code", reachback.CodeOf(conn.Err()), "bytes_in", s.BytesIn, "bytes_out", s.BytesOut, "correlation_id", g.CorrelationID)
}
