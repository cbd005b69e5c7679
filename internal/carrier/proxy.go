package carrier

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/proxy"
)

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
