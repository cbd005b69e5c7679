package admin

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/examples/internal/admin/api"
	"github.com/reachback/reachback/examples/internal/program"
)

// A page of any site may have the operator's browser send what a page can send.
func TestNoWebPageReachesTheLoopbackAddress(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.serve()
		put := func(header ...string) (int, []byte) {
			return w.ask(http.MethodPut, api.Prefix+"/pools/evil", `{}`, header...)
		}
		for _, tt := range []struct {
			name   string
			header []string
		}{
			{"a name that its owner has lead here", []string{"Host", "evil.example"}},
			{"the same with our port", []string{"Host", "evil.example:9443"}},
			{"a name that begins like ours", []string{"Host", "localhost.evil.example"}},
			{"an address of another machine", []string{"Host", "192.0.2.1:9443"}},
			{"a page of another site", []string{"Origin", "https://evil.example"}},
			{"a page in a sandbox", []string{"Origin", "null"}},
			{"a page of our own, of which there is none", []string{"Origin", "http://" + adminAddr}},
			{"a browser that says so", []string{"Sec-Fetch-Site", "cross-site"}},
			{"a page of another port", []string{"Sec-Fetch-Site", "same-site"}},
			{"a form", []string{"Content-Type", "application/x-www-form-urlencoded"}},
			{"a form that is JSON inside", []string{"Content-Type", "text/plain; x=application/json"}},
			{"no type at all", []string{"Content-Type", ""}},
		} {
			status, data := put(tt.header...)
			var e reachback.Error
			require.NoError(t, json.Unmarshal(data, &e), tt.name)
			require.Equal(t, reachback.CodeBadRequest, e.Code, tt.name)
			require.Equal(t, http.StatusBadRequest, status, tt.name)
			require.Contains(t, w.logs.String(), e.CorrelationID, tt.name)
		}
		require.Len(t, get[api.Pools](w, "/pools").Pools, 2)
		// What changes nothing may still be costly, or tell something.
		for _, path := range []string{"/metrics", "/healthz", "/debug/pprof/profile?seconds=60", api.Prefix + "/records"} {
			for _, header := range [][]string{{"Host", "evil.example"}, {"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
				status, _ := w.ask(http.MethodGet, path, "", header...)
				require.Equal(t, http.StatusBadRequest, status, "%s %s", path, header)
			}
		}
		for _, header := range [][]string{
			nil, {"Host", "localhost"}, {"Host", "LOCALHOST:9443"}, {"Host", "[::1]:9443"}, {"Host", "127.0.0.2"},
			{"Sec-Fetch-Site", "none"}, {"Content-Type", "application/json; charset=utf-8"},
		} {
			status, data := put(header...)
			require.Equal(t, http.StatusNoContent, status, "%s: %s", header, data)
		}
	})
}

func TestD13_NoAddressWithoutAGuard(t *testing.T) {
	dir := t.TempDir()
	cert, key, ca := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")
	newAuthority(t, "operators").issue(t, cert, key, ca, "admin.example", x509.ExtKeyUsageServerAuth)
	empty := filepath.Join(dir, "empty.pem")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for _, tt := range []struct {
		name  string
		cfg   Config
		usage bool
	}{
		{"every address of the machine", Config{Addr: ":0"}, true},
		{"the same by number", Config{Addr: "0.0.0.0:0"}, true},
		{"the same by another", Config{Addr: "[::]:0"}, true},
		{"an address that others reach", Config{Addr: "192.0.2.1:0"}, true},
		{"a name that is not localhost", Config{Addr: "localhost.example:0"}, true},
		{"no port", Config{Addr: "127.0.0.1"}, true},
		{"TLS that asks for no certificate", Config{Addr: ":0", CertFile: cert, KeyFile: key}, true},
		{"the same on loopback", Config{Addr: "127.0.0.1:0", CertFile: cert, KeyFile: key}, true},
		{"authorities without TLS", Config{Addr: ":0", ClientCA: ca}, true},
		{"no authority in the file", Config{Addr: ":0", CertFile: cert, KeyFile: key, ClientCA: empty}, false},
		{"no such file", Config{Addr: ":0", CertFile: cert, KeyFile: key, ClientCA: filepath.Join(dir, "none.pem")}, false},
		{"the key of another certificate", Config{Addr: ":0", CertFile: ca, KeyFile: key, ClientCA: ca}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Open(&tt.cfg)
			if s != nil {
				s.Close()
			}
			require.Error(t, err)
			_, usage := err.(program.UsageError)
			require.Equal(t, tt.usage, usage, "%v", err)
			require.NotContains(t, err.Error(), "\n")
			require.Contains(t, err.Error(), "-admin")
		})
	}
	for _, addr := range []string{"127.0.0.1:0", "localhost:0"} {
		s, err := Open(&Config{Addr: addr})
		require.NoError(t, err)
		require.Regexp(t, `^http://(127\.0\.0\.1|\[::1\]):[0-9]+$`, s.URL)
		require.NoError(t, s.Close())
	}
}

func TestMutualTLSLetsOperatorsIn(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	ours, theirs := newAuthority(t, "operators"), newAuthority(t, "somebody else's")
	ours.issue(t, file("server.pem"), file("server.key"), file("ca.pem"), "127.0.0.1", x509.ExtKeyUsageServerAuth)
	ours.issue(t, file("ann.pem"), file("ann.key"), file("ca.pem"), "ann", x509.ExtKeyUsageClientAuth)
	theirs.issue(t, file("eve.pem"), file("eve.key"), file("theirs.pem"), "eve", x509.ExtKeyUsageClientAuth)

	var logs lockedBuffer
	s, err := Open(&Config{
		Addr: "127.0.0.1:0", CertFile: file("server.pem"), KeyFile: file("server.key"), ClientCA: file("ca.pem"),
		Parts: Parts{Logger: slog.New(slog.NewJSONHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug}))},
	})
	require.NoError(t, err)
	require.Regexp(t, `^https://127\.0\.0\.1:`, s.URL)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	defer func() { stop(); require.NoError(t, <-served) }()

	ask := func(path string, names ...string) (int, error) {
		trust, err := program.TrustFile(file("ca.pem"))
		require.NoError(t, err)
		for _, n := range names {
			pair, err := tls.LoadX509KeyPair(file(n+".pem"), file(n+".key"))
			require.NoError(t, err)
			// Whatever the server asks for: an attacker is not so polite as to withhold it.
			trust.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust}, Timeout: 10 * time.Second}
		defer client.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
		require.NoError(t, err)
		req.Host = "admin.example" // TLS has checked the name
		resp, err := client.Do(req)
		if err != nil {
			return 0, err
		}
		resp.Body.Close()
		return resp.StatusCode, nil
	}
	status, err := ask("/api/v1/stats", "ann")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, logs.String(), `"by":"CN=ann"`)
	_, err = ask("/healthz")
	require.ErrorContains(t, err, "certificate required")
	_, err = ask("/healthz", "eve")
	require.Error(t, err)
	_, err = ask("/healthz", "server")
	require.Error(t, err, "a server's certificate is no operator's")

	// The operators change their authority.
	theirs.issue(t, file("eve.pem"), file("eve.key"), file("theirs.pem"), "eve", x509.ExtKeyUsageClientAuth)
	ca, err := os.ReadFile(file("theirs.pem"))
	require.NoError(t, err)
	old, err := os.ReadFile(file("ca.pem"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file("ca.pem"), append(old, ca...), 0o600))
	require.NoError(t, s.Reload())
	_, err = ask("/healthz", "eve")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file("server.pem"), []byte("half a file"), 0o600))
	require.Error(t, s.Reload())
	_, err = ask("/healthz", "ann")
	require.NoError(t, err, "what was in force stays so")
}

// Who connects and says nothing, or stops in the middle, is let go of.
func TestSilentPeersAreLetGo(t *testing.T) {
	for _, tt := range []struct {
		name, says string
		within     time.Duration
	}{
		{"nothing", "", headTimeout},
		{"half a head", "GET /metrics HTTP/1.1\r\nHost: localh", headTimeout},
		{"half a body", "PUT /api/v1/pools/lab HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{", readTimeout},
		{"no second request", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", idleTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.serve()
				c, err := w.net.Dial(t.Context(), "tcp", adminAddr)
				require.NoError(t, err)
				defer c.Close()
				began := time.Now()
				_, err = io.WriteString(c, tt.says)
				require.NoError(t, err)
				_, err = io.Copy(io.Discard, c)
				require.NoError(t, err)
				require.LessOrEqual(t, time.Since(began), tt.within+time.Second)
			})
		})
	}
	t.Run("an endless head", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			w.serve()
			status, _ := w.ask(http.MethodGet, "/metrics", "", "X-Endless", strings.Repeat("x", 2*maxHead))
			require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, status)
		})
	})
}

// More connections than there may be wait, and take up nothing but the system's queue.
func TestConnectionsAreBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.serve()
		var silent []net.Conn
		for range maxConnections {
			c, err := w.net.Dial(t.Context(), "tcp", adminAddr)
			require.NoError(t, err)
			silent = append(silent, c)
		}
		synctest.Wait()
		began := time.Now()
		status, _ := w.ask(http.MethodGet, "/healthz", "")
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, headTimeout, time.Since(began), "when the silent ones are gone")
		for _, c := range silent {
			c.Close()
		}
	})
}

// An authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{cert, key}
}

// issue writes a certificate for the name, its key and the authority's certificate.
func (a *authority) issue(t *testing.T, certFile, keyFile, caFile, name string, usage x509.ExtKeyUsage) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{usage}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: pkcs8}, caFile: {Type: "CERTIFICATE", Bytes: a.cert.Raw},
	} {
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	}
}
