package broker

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/limit"
)

// post sends a body to enrol and returns the answer's status and body.
func (w *world) post(body io.Reader) (int, []byte) {
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, server+carrier.PathEnrol, body)
	require.NoError(w.t, err)
	d := &carrier.Dialer{TLS: w.tls, NetDial: w.dial}
	resp, err := d.Client(time.Minute).Do(req)
	require.NoError(w.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	return resp.StatusCode, b
}

func (w *world) token(pool string, life time.Duration, uses int) string {
	token, _, err := w.broker.NewRegistrationToken(w.t.Context(), TokenOptions{Pool: pool, Life: life, Uses: uses})
	require.NoError(w.t, err)
	return token
}

// certified gives a host or gateway a certificate of a while ago: to sleep for so
// long costs a test all that its broker does meanwhile.
func (w *world) certified(id *Identity, role Role, ago time.Duration) *tls.Certificate {
	der, err := w.broker.keys.hosts.identityCertificate(role, id.id(role), &id.key.PublicKey, time.Now().Add(-ago))
	require.NoError(w.t, err)
	require.NoError(w.t, id.store(der, role))
	return id.Certificate()
}

func (w *world) newcomer() *host {
	id, err := NewIdentity()
	require.NoError(w.t, err)
	return w.host(id)
}

func TestEnrolGivesAnIdentityForTheKeyAlone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		token := w.token("desktops", time.Hour, 1)
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
			Subject: pkix.Name{CommonName: "administrator"}, DNSNames: []string{"broker.example"},
		}, key)
		require.NoError(t, err)
		body, err := json.Marshal(&enrolRequest{Token: token, CSR: csr, Name: "pc1"})
		require.NoError(t, err)
		status, answer := w.post(bytes.NewReader(body))
		require.Equal(t, http.StatusOK, status)
		var a enrolAnswer
		require.NoError(t, json.Unmarshal(answer, &a))
		require.Equal(t, enrolAnswer{Host: a.Host, Name: "pc1", Pool: "desktops", Certificate: a.Certificate}, a)

		cert, err := x509.ParseCertificate(a.Certificate)
		require.NoError(t, err)
		require.Equal(t, a.Host, cert.Subject.CommonName)
		require.Equal(t, "urn:reachback:host:"+a.Host, cert.URIs[0].String())
		require.Empty(t, cert.DNSNames)
		require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, cert.ExtKeyUsage)
		require.Equal(t, IdentityLife, cert.NotAfter.Sub(time.Now().Truncate(time.Second)))
		require.False(t, cert.IsCA)
		require.True(t, key.PublicKey.Equal(cert.PublicKey))
		require.NotContains(t, w.logs.String(), token)
	})
}

func TestB8_RegistrationTokensAreRefusedWithTheirOwnCodes(t *testing.T) {
	for _, tt := range []struct {
		name string
		run  func(w *world, h *host) error
		code reachback.Code
	}{
		{"good", func(w *world, h *host) error { return h.enrol(w.token("desktops", time.Hour, 1), "desktops") }, ""},
		{"good, for any pool", func(w *world, h *host) error { return h.enrol(w.token("", time.Hour, 1), "own") }, ""},
		{"never issued", func(w *world, h *host) error {
			return h.enrol("rbr_0011223344556677_"+strings.Repeat("A", 52), "")
		}, reachback.CodeRegistrationInvalid},
		{"a good id with another secret", func(w *world, h *host) error {
			token := w.token("desktops", time.Hour, 1)
			return h.enrol(token[:len(token)-1]+"~", "")
		}, reachback.CodeRegistrationInvalid},
		{"no token's form", func(w *world, h *host) error { return h.enrol("hello", "") }, reachback.CodeRegistrationInvalid},
		{"none", func(w *world, h *host) error { return h.enrol("", "") }, reachback.CodeBadRequest},
		{"expired", func(w *world, h *host) error {
			token := w.token("desktops", time.Hour, 1)
			time.Sleep(time.Hour)
			return h.enrol(token, "")
		}, reachback.CodeRegistrationExpired},
		{"used up", func(w *world, h *host) error {
			token := w.token("desktops", time.Hour, 2)
			require.NoError(w.t, w.newcomer().enrol(token, ""))
			require.NoError(w.t, w.newcomer().enrol(token, ""))
			return h.enrol(token, "")
		}, reachback.CodeRegistrationUsedUp},
		{"of another pool", func(w *world, h *host) error {
			return h.enrol(w.token("desktops", time.Hour, 1), "open")
		}, reachback.CodeRegistrationWrongPool},
		{"for any pool, none named of several", func(w *world, h *host) error {
			return h.enrol(w.token("", time.Hour, 1), "")
		}, reachback.CodeRegistrationWrongPool},
		{"for any pool, one named that is not there", func(w *world, h *host) error {
			return h.enrol(w.token("", time.Hour, 1), "typo")
		}, reachback.CodeRegistrationWrongPool},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				h := w.newcomer()
				requireCode(t, tt.code, tt.run(w, h))
				require.Equal(t, tt.code == "", h.agent.Identity.Certificate() != nil)
			})
		})
	}
}

func (h *host) enrol(token, pool string) error {
	w, err := h.agent.Enrol(h.w.t.Context(), EnrolOptions{Token: token, Pool: pool})
	if err == nil {
		h.id = w.Host
	}
	return err
}

func TestB8_GuessesAreRateLimited(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		good := w.token("desktops", time.Hour, 1)
		csr, err := w.newcomer().agent.Identity.csr()
		require.NoError(t, err)
		remote := ""
		w.server.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			r.RemoteAddr = remote
			w.broker.ServeHTTP(rw, r)
		})
		try := func(from, token string) reachback.Code {
			remote = from
			body, err := json.Marshal(&enrolRequest{Token: token, CSR: csr})
			require.NoError(t, err)
			status, answer := w.post(bytes.NewReader(body))
			if status == http.StatusOK {
				return ""
			}
			var e reachback.Error
			require.NoError(t, json.Unmarshal(answer, &e))
			return e.Code
		}
		for range limit.Burst {
			require.Equal(t, reachback.CodeRegistrationInvalid, try("192.0.2.1:5", "rbr_00_guess"))
		}
		require.Equal(t, reachback.CodeRateLimited, try("192.0.2.1:6", good), "not even the right one")
		require.Equal(t, reachback.Code(""), try("192.0.2.2:5", good), "from elsewhere")
		time.Sleep(time.Second)
		require.Equal(t, reachback.CodeRegistrationInvalid, try("192.0.2.1:5", "rbr_00_guess"))
	})
}

func TestG5_ATakenNameMakesAHostWithoutIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first := w.enrol("pc1", "own").run()
		synctest.Wait()
		_, p := w.joined(alice(), "mine") // the host is alice's now
		require.Equal(t, first.id, p.Host)

		thief := w.newcomer()
		got, err := thief.agent.Enrol(t.Context(), EnrolOptions{Token: w.token("own", time.Hour, 1), Name: "pc1"})
		require.NoError(t, err)
		require.True(t, got.NameTaken)
		require.NotEqual(t, first.id, got.Host)
		require.Equal(t, got.Host, got.Name)
		require.Equal(t, 1, strings.Count(w.logs.String(), "another host has the name"), "one clear line")
		thief.run()
		synctest.Wait()
		for range 3 {
			_, p = w.joined(alice(), "mine")
			require.Equal(t, first.id, p.Host)
		}
		require.Equal(t, 1, w.broker.Stats().Channels-1, "the first was not displaced")

		byID := w.newcomer()
		got, err = byID.agent.Enrol(t.Context(), EnrolOptions{Token: w.token("own", time.Hour, 1), Name: first.id})
		require.NoError(t, err)
		require.True(t, got.NameTaken, "another's id is no name either")
	})
}

func TestB7_TheSameKeyIsTheSameHost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		token := w.token("desktops", time.Hour, 1)
		h := w.newcomer()
		first, err := h.agent.Enrol(t.Context(), EnrolOptions{Token: token, Name: "pc1"})
		require.NoError(t, err)
		again, err := h.agent.Enrol(t.Context(), EnrolOptions{Token: token, Name: "pc1"})
		require.NoError(t, err, "an answer that got lost can be asked for again, and spends nothing")
		require.Equal(t, first.Host, again.Host)
		require.False(t, again.NameTaken)
		renamed, err := h.agent.Enrol(t.Context(), EnrolOptions{Token: token, Name: "pc2"})
		require.NoError(t, err)
		require.Equal(t, first.Host, renamed.Host)
		require.Equal(t, "pc2", renamed.Name)
		requireCode(t, reachback.CodeRegistrationUsedUp, w.newcomer().enrol(token, ""))
		requireCode(t, reachback.CodeRegistrationWrongPool, h.enrol(w.token("open", time.Hour, 1), ""))
		require.NoError(t, w.broker.RevokeHost(t.Context(), first.Host))
		requireCode(t, reachback.CodeHostRevoked, h.enrol(w.token("desktops", time.Hour, 1), ""))
	})
}

func TestEnrolRefusesWhatIsNoRequest(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		token := w.token("desktops", time.Hour, 1)
		csr, err := w.newcomer().agent.Identity.csr()
		require.NoError(t, err)
		broken := bytes.Clone(csr)
		broken[len(broken)-1] ^= 1
		p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		require.NoError(t, err)
		wrongCurve, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, p384)
		require.NoError(t, err)
		rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
		require.NoError(t, err)
		wrongKind, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, rsaKey)
		require.NoError(t, err)
		body := func(r enrolRequest) string {
			b, err := json.Marshal(&r)
			require.NoError(t, err)
			return string(b)
		}
		good := body(enrolRequest{Token: token, CSR: csr})
		for _, tt := range []struct {
			name, body string
			code       reachback.Code
		}{
			{"nothing", "", reachback.CodeBadRequest},
			{"no JSON", "token=x", reachback.CodeBadRequest},
			{"cut", good[:len(good)-2], reachback.CodeBadRequest},
			{"no request", body(enrolRequest{Token: token}), reachback.CodeBadRequest},
			{"two tokens", strings.Replace(good, `{`, `{"token":"x",`, 1), reachback.CodeBadRequest},
			{"a name with a line break", body(enrolRequest{Token: token, CSR: csr, Name: "a\nb"}), reachback.CodeBadRequest},
			{"a long name", body(enrolRequest{Token: token, CSR: csr, Name: strings.Repeat("a", 64)}), reachback.CodeBadRequest},
			{"a pool that cannot be", body(enrolRequest{Token: token, CSR: csr, Pool: "A B"}), reachback.CodeBadRequest},
			{"a huge body", body(enrolRequest{Token: token, CSR: make([]byte, maxEnrolBody)}), reachback.CodeBadRequest},
			{"garbage for a request", body(enrolRequest{Token: token, CSR: []byte("garbage")}), reachback.CodeCSRInvalid},
			{"a wrong signature", body(enrolRequest{Token: token, CSR: broken}), reachback.CodeCSRInvalid},
			{"P-384", body(enrolRequest{Token: token, CSR: wrongCurve}), reachback.CodeCSRInvalid},
			{"RSA", body(enrolRequest{Token: token, CSR: wrongKind}), reachback.CodeCSRInvalid},
		} {
			status, answer := w.post(strings.NewReader(tt.body))
			var e reachback.Error
			require.NoError(t, json.Unmarshal(answer, &e), tt.name)
			require.Equal(t, tt.code, e.Code, tt.name)
			require.Equal(t, tt.code.Status(), status)
		}
		d := &carrier.Dialer{TLS: w.tls, NetDial: w.dial}
		get, err := d.Client(time.Minute).Get(server + carrier.PathEnrol)
		require.NoError(t, err)
		get.Body.Close()
		require.Equal(t, http.StatusMethodNotAllowed, get.StatusCode)
		require.Equal(t, "POST", get.Header.Get("Allow"))
		// A body that trickles is cut at the deadline.
		nc, err := w.net.Dial(t.Context(), "tcp", "broker.example:443")
		require.NoError(t, err)
		config := w.tls.Clone()
		config.ServerName = "broker.example"
		c := tls.Client(nc, config)
		defer c.Close()
		_, err = io.WriteString(c, "POST "+carrier.PathEnrol+" HTTP/1.1\r\nHost: broker.example\r\nContent-Length: 100\r\n\r\n")
		require.NoError(t, err)
		began := time.Now()
		for time.Since(began) < enrolWithin {
			_, err = io.WriteString(c, " ")
			require.NoError(t, err)
			time.Sleep(time.Second)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusBadRequest, resp.StatusCode)
		require.LessOrEqual(t, time.Since(began), enrolWithin+time.Second)

		status, _ := w.post(strings.NewReader(good))
		require.Equal(t, http.StatusOK, status, "none of this spent the token")
	})
}

func TestRegistrationTokensHaveBounds(t *testing.T) {
	b := &Broker{}
	defer b.Close()
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name string
		o    TokenOptions
		ok   bool
	}{
		{"nothing said", TokenOptions{}, true},
		{"shortest", TokenOptions{Pool: "p", Life: time.Hour, Uses: 1}, true},
		{"longest", TokenOptions{Pool: "p", Life: 27 * day, Uses: 1}, true},
		{"too short", TokenOptions{Life: time.Hour - 1}, false},
		{"too long", TokenOptions{Life: 27*day + 1}, false},
		{"negative life", TokenOptions{Life: -day}, false},
		{"negative uses", TokenOptions{Uses: -1}, false},
		{"no pool's name", TokenOptions{Pool: "P!"}, false},
		{"for gateways", TokenOptions{Role: RoleGateway}, true},
		{"for gateways of a pool", TokenOptions{Role: RoleGateway, Pool: "p"}, false},
		{"for nobody", TokenOptions{Role: "admin"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token, r, err := b.NewRegistrationToken(t.Context(), tt.o)
			if !tt.ok {
				requireCode(t, reachback.CodeBadRequest, err)
				return
			}
			require.NoError(t, err)
			require.NoError(t, b.CheckRegistrationToken(t.Context(), token))
			require.GreaterOrEqual(t, r.Uses, 1)
			require.NotContains(t, string(r.Hash), token)
		})
	}
	requireCode(t, reachback.CodeRegistrationInvalid, b.CheckRegistrationToken(t.Context(), "rbr_x_y"))
	requireCode(t, reachback.CodeRegistrationInvalid, b.CheckRegistrationToken(t.Context(), "x"))
}
