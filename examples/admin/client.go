package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/examples/internal/admin/api"
	"github.com/reachback/reachback/examples/internal/program"
)

const (
	askTimeout = 40 * time.Second
	maxAnswer  = 64 << 20
)

// A client asks one admin address.
type client struct {
	base string // without a slash at its end
	http *http.Client
}

func dial(o *options) (*client, error) {
	u, err := url.Parse(o.server)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Path != "" && u.Path != "/") ||
		u.Scheme != "https" && u.Scheme != "http" {
		return nil, program.UsageError(fmt.Sprintf("flag -server: %q is not http://HOST:PORT or https://HOST:PORT", o.server))
	}
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: askTimeout}
	switch {
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, program.UsageError(fmt.Sprintf("flag -server: %q is not on loopback, so it needs https", o.server))
	case u.Scheme == "http" && (o.ca != "" || o.cert != "" || o.key != ""):
		return nil, program.UsageError("flags -ca, -cert and -key are for https")
	case (o.cert == "") != (o.key == ""):
		return nil, program.UsageError("flags -cert and -key come together")
	case u.Scheme == "https":
		if t.TLSClientConfig, err = program.TrustFile(o.ca); err != nil {
			return nil, fmt.Errorf("flag -ca: %w", err)
		}
		if o.cert != "" {
			pair, err := tls.LoadX509KeyPair(o.cert, o.key)
			if err != nil {
				return nil, fmt.Errorf("flags -cert and -key: %w", err)
			}
			t.TLSClientConfig.Certificates = []tls.Certificate{pair}
		}
	}
	return &client{
		base: u.Scheme + "://" + u.Host,
		http: &http.Client{
			Transport: t, Timeout: askTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (c *client) close() { c.http.CloseIdleConnections() }

// get reads what stands under the path of the API into out.
func (c *client) get(ctx context.Context, path string, query url.Values, out any) error {
	return c.change(ctx, http.MethodGet, path, query, nil, out)
}

// change sends a body, or none where it is nil, and reads the answer into out
// unless that is nil.
func (c *client) change(ctx context.Context, method, path string, query url.Values, in, out any) error {
	status, data, err := c.send(ctx, method, api.Prefix+path, query, in)
	if err != nil {
		return err
	}
	if status >= 300 {
		e := &api.Error{}
		if json.Unmarshal(data, e) != nil || e.Code == "" {
			return fmt.Errorf("%s answered with status %d and not as an admin address would", c.base, status)
		}
		if e.Code == string(reachback.CodeNotFound) {
			return fmt.Errorf("%s: %w", path, e)
		}
		return e
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("%s answered what is no answer of the API: %w", c.base, err)
	}
	return nil
}

// send sends a request and returns status and body of the answer.
func (c *client) send(ctx context.Context, method, path string, query url.Values, in any) (status int, data []byte, err error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return 0, nil, err
		}
		body = bytes.NewReader(data)
	}
	address := c.base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return 0, nil, err
	}
	if method != http.MethodGet {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	data, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return 0, nil, fmt.Errorf("read the answer: %w", err)
	case len(data) > maxAnswer:
		return 0, nil, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	return resp.StatusCode, data, nil
}

// path joins an address of the API: words as they are, arguments after a colon
// escaped, as path("hosts", ":pc 1", "drain").
func path(words ...string) string {
	var b strings.Builder
	for _, w := range words {
		b.WriteByte('/')
		if arg, ok := strings.CutPrefix(w, ":"); ok {
			w = url.PathEscape(arg)
			if strings.Trim(arg, ".") == "" { // no name, and a place that servers would clean away
				w = strings.ReplaceAll(w, ".", "%2E")
			}
		}
		b.WriteString(w)
	}
	return b.String()
}

// queryOf makes a query of names and values in turn, without those that are empty.
func queryOf(pairs ...string) url.Values {
	q := make(url.Values)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}
