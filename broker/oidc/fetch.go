package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/printable"
)

const (
	fetchTimeout = 8 * time.Second // discovery and key set together
	maxAnswer    = 512 << 10
	maxRedirects = 3
)

// Discover reads the issuer's discovery document under the rules that a [Verifier]
// has for it: https (http only at a loopback address), also of the endpoints that it
// names, redirects only within one origin, an answer of bounded size, and an issuer
// of exactly that name. Of the client, which may be nil, its transport and timeout
// count.
func Discover(ctx context.Context, client *http.Client, issuer string) (*gooidc.Provider, error) {
	if _, err := issuerURL(issuer); err != nil {
		return nil, err
	}
	p, err := gooidc.NewProvider(gooidc.ClientContext(ctx, guard(client)), issuer)
	if err != nil {
		return nil, fmt.Errorf("oidc: issuer %s: discovery: %w", printable.Clip(issuer), err)
	}
	e := p.Endpoint()
	for _, u := range []string{e.AuthURL, e.TokenURL, e.DeviceAuthURL, p.UserInfoEndpoint()} {
		if u != "" && !Admitted(issuer, u) {
			return nil, fmt.Errorf("oidc: issuer %s: discovery: the endpoint %q is not https", printable.Clip(issuer), printable.Clip(u))
		}
	}
	return p, nil
}

// Admitted reports whether a URL that the issuer names, also on another host, may be
// asked, or shown to a user: https, or http at a loopback address where the issuer
// is at one too.
func Admitted(issuer, named string) bool {
	u, err := url.Parse(named)
	return err == nil && admitted(u) && (u.Scheme == "https" || strings.HasPrefix(issuer, "http:"))
}

// fetch asks the issuer for its keys. Where they are is asked each time, since an
// issuer may move them.
func fetch(ctx context.Context, client *http.Client, issuer string) (*keySet, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	p, err := Discover(ctx, client, issuer)
	if err != nil {
		return nil, err
	}
	set, err := fetchKeys(ctx, client, issuer, p)
	if err != nil {
		return nil, fmt.Errorf("oidc: issuer %s: keys: %w", issuer, err)
	}
	return set, nil
}

func fetchKeys(ctx context.Context, client *http.Client, issuer string, p *gooidc.Provider) (*keySet, error) {
	var doc struct {
		JWKS string `json:"jwks_uri"`
	}
	if err := p.Claims(&doc); err != nil {
		return nil, err
	}
	if !Admitted(issuer, doc.JWKS) {
		return nil, fmt.Errorf("the address %q is not https", printable.Clip(doc.JWKS))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, doc.JWKS, nil)
	if err != nil {
		return nil, err
	}
	resp, err := guard(client).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	return parseKeySet(body)
}

// parseKeySet reads a key set. A key that cannot be read is passed over, because an
// issuer may have keys of kinds that are yet to come.
func parseKeySet(body []byte) (*keySet, error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, errors.New("the answer is not a JSON Web Key Set")
	}
	var keys []jose.JSONWebKey
	for _, raw := range doc.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(raw) == nil {
			keys = append(keys, k)
		}
	}
	return newKeySet(keys)
}

// issuerURL reads an issuer's name, which is also where it is.
func issuerURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || !admitted(u) || u.RawQuery != "" || u.ForceQuery {
		return nil, fmt.Errorf("oidc: the issuer %q is not an https URL without query and fragment (http only at a loopback address)", printable.Clip(s))
	}
	return u, nil
}

// admitted reports whether the issuer, or what it names, may be asked at u.
func admitted(u *url.URL) bool {
	return (u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname())) &&
		u.Hostname() != "" && u.User == nil && u.Fragment == "" && u.Opaque == ""
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// guard returns a client with the transport of c that follows a redirect only
// within its origin, takes no other status than 200, and reads a bounded answer.
func guard(c *http.Client) *http.Client {
	g := &http.Client{Timeout: fetchTimeout}
	var t http.RoundTripper
	if c != nil {
		t = c.Transport
		if c.Timeout > 0 {
			g.Timeout = min(g.Timeout, c.Timeout)
		}
	}
	if t == nil {
		// Requests are rare: no connection is kept for the next one.
		t = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSHandshakeTimeout:    carrier.HandshakeTimeout,
			MaxResponseHeaderBytes: carrier.MaxHead,
			DisableKeepAlives:      true,
		}
	}
	g.Transport = bounded{t}
	g.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		first := via[0].URL
		if len(via) > maxRedirects || req.URL.Scheme != first.Scheme || !strings.EqualFold(req.URL.Host, first.Host) || req.URL.User != nil {
			return errors.New("redirected to another origin, or too often")
		}
		return nil
	}
	return g
}

// bounded makes an error of every answer that is no use, before a word of it gets
// into a message of ours.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	redirect := resp.StatusCode >= 300 && resp.StatusCode < 400
	if resp.StatusCode != http.StatusOK && !redirect {
		resp.Body.Close()
		return nil, fmt.Errorf("answered %d", resp.StatusCode)
	}
	resp.Body = &boundedBody{resp.Body, maxAnswer}
	return resp, nil
}

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	return n, err
}
