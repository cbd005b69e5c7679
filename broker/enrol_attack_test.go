package broker

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
)

// A machine that was set up anew, and still has its old key, is the same host.
func TestB7_AnOldKeyHandsItsHostOver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		old := w.enrol("pc1", "own").run()
		synctest.Wait()
		_, p := w.joined(alice(), "mine") // alice's own from now on
		require.Equal(t, old.id, p.Host)

		h := w.newcomer()
		spent := w.token("own", time.Hour, 1)
		require.NoError(t, w.newcomer().enrol(spent, ""))
		got, err := h.agent.Enrol(t.Context(), EnrolOptions{Token: spent, Name: "pc1", Old: old.agent.Identity})
		require.NoError(t, err, "it makes no host, and so spends nothing")
		require.Equal(t, old.id, got.Host)
		require.Equal(t, "pc1", got.Name)
		require.False(t, got.NameTaken)
		h.id = got.Host

		// The old key is worth nothing any more, neither its channel nor its
		// certificate, and to enrol it again makes somebody else.
		time.Sleep(2 * supersededWait)
		select {
		case <-old.done:
		default:
			t.Fatal("the old machine goes on")
		}
		requireCode(t, reachback.CodeCertificateInvalid, old.err)
		again, err := old.agent.Enrol(t.Context(), EnrolOptions{Token: w.token("own", time.Hour, 1), Name: "pc1"})
		require.NoError(t, err)
		require.NotEqual(t, h.id, again.Host)
		require.True(t, again.NameTaken)

		h.run()
		synctest.Wait()
		c := call(w.connect(alice(), "mine"))
		p, err = w.orchestrate(c)
		require.NoError(t, err)
		require.Equal(t, h.id, p.Host, "it kept its user")
		row, err := w.dir.Host(t.Context(), h.id)
		require.NoError(t, err)
		key, err := thumbprint(&h.agent.Identity.key.PublicKey)
		require.NoError(t, err)
		require.EqualValues(t, key, row.Key)
	})
}

func TestB7_OnlyTheOldKeyItselfHandsItsHostOver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		victim := w.enrol("pc1", "own")
		thief, other := w.newcomer().agent.Identity, w.newcomer().agent.Identity
		csr, err := thief.csr()
		require.NoError(t, err)
		otherCSR, err := other.csr()
		require.NoError(t, err)
		forged, err := thief.prove(csr)
		require.NoError(t, err)
		genuine, err := victim.agent.Identity.prove(otherCSR) // it agreed to another key once
		require.NoError(t, err)
		victims, err := victim.agent.Identity.prove(csr)
		require.NoError(t, err)
		stranger, err := other.prove(csr)
		require.NoError(t, err)
		token := w.token("own", time.Hour, 1)
		for _, tt := range []struct {
			name string
			old  *keyProof
			code reachback.Code
		}{
			{"signed by another key", &keyProof{victims.Key, forged.Signature}, reachback.CodeCSRInvalid},
			{"of another request", genuine, reachback.CodeCSRInvalid},
			{"no signature", &keyProof{Key: victims.Key}, reachback.CodeCSRInvalid},
			{"no key", &keyProof{Signature: victims.Signature}, reachback.CodeCSRInvalid},
			{"cut", &keyProof{victims.Key, victims.Signature[:len(victims.Signature)-1]}, reachback.CodeCSRInvalid},
			{"a key that is nobody's", stranger, ""},
		} {
			body, err := json.Marshal(&enrolRequest{Token: token, CSR: csr, Name: "pc1", Old: tt.old})
			require.NoError(t, err)
			_, answer := w.post(bytes.NewReader(body))
			var got struct {
				enrolAnswer
				Code reachback.Code `json:"code"`
			}
			require.NoError(t, json.Unmarshal(answer, &got), tt.name)
			if tt.code != "" {
				require.Equal(t, tt.code, got.Code, tt.name)
				continue
			}
			require.NotEqual(t, victim.id, got.Host, tt.name)
			require.Equal(t, reachback.CodeNameTaken, got.Code)
		}
		row, err := w.dir.Host(t.Context(), victim.id)
		require.NoError(t, err)
		key, err := thumbprint(&victim.agent.Identity.key.PublicKey)
		require.NoError(t, err)
		require.EqualValues(t, key, row.Key)
	})
}

func TestG5_ANameIsFreeWhenAnOperatorSaysSo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first := w.enrol("pc1", "own").run()
		synctest.Wait()
		_, p := w.joined(alice(), "mine")
		require.Equal(t, first.id, p.Host)
		next := w.newcomer()
		token := w.token("own", time.Hour, 1)
		named := func() *Welcome {
			got, err := next.agent.Enrol(t.Context(), EnrolOptions{Token: token, Name: "pc1"})
			require.NoError(t, err)
			next.id = got.Host
			return got
		}
		require.True(t, named().NameTaken)
		require.NoError(t, w.dir.Rename(t.Context(), first.id, "pc1-old"))
		got := named()
		require.False(t, got.NameTaken)
		require.Equal(t, "pc1", got.Name)

		// The name is a label: what is assigned stays with the host that had it.
		next.run()
		synctest.Wait()
		_, p = w.joined(alice(), "mine")
		require.Equal(t, first.id, p.Host)

		// So it is when the first is revoked, which frees its names at once.
		require.NoError(t, w.broker.RevokeHost(t.Context(), first.id))
		got, err := w.newcomer().agent.Enrol(t.Context(), EnrolOptions{Token: w.token("own", time.Hour, 1), Name: "pc1-old"})
		require.NoError(t, err)
		require.False(t, got.NameTaken)
	})
}

// CVE-2025-68121: a session that was begun before the revocation is resumed after.
func TestB9_ARevokedCertificateIsNotUsedAgainByResumption(t *testing.T) {
	for _, tt := range []struct {
		name       string
		configured bool // the server as ConfigureServer makes it
		code       reachback.Code
	}{
		{"our server, which gives no tickets", true, reachback.CodeHostRevoked},
		{"a server that resumes", false, reachback.CodeCertificateInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				h, other := w.enrol("pc1", "desktops"), w.enrol("pc2", "desktops")
				addr := "broker.example:443"
				if !tt.configured {
					addr = "broker.example:444"
					cert, err := w.broker.Keys.ServerCertificate("broker.example")
					require.NoError(t, err)
					srv := &http.Server{
						Handler: w.broker, ErrorLog: log.New(io.Discard, "", 0),
						TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert},
					}
					l, err := w.net.Listen(addr)
					require.NoError(t, err)
					w.serving.Go(func() { srv.ServeTLS(l, "", "") })
					t.Cleanup(func() { srv.Close() })
				}
				cache := tls.NewLRUClientSessionCache(4)
				// ask opens a control channel as a stolen program could, with
				// a session to resume.
				ask := func(h *host) (code reachback.Code, resumed bool) {
					nc, err := w.net.Dial(t.Context(), "tcp", addr)
					require.NoError(t, err)
					config := w.tls.Clone()
					config.ServerName, config.NextProtos, config.ClientSessionCache = "broker.example", []string{carrier.ALPN, "http/1.1"}, cache
					config.Certificates = []tls.Certificate{*h.agent.Identity.Certificate()}
					c := tls.Client(nc, config)
					defer c.NetConn().Close()
					_, err = io.WriteString(c, "GET "+carrier.PathControl+" HTTP/1.1\r\nHost: broker.example\r\nConnection: Upgrade\r\nUpgrade: reachback\r\n\r\n")
					require.NoError(t, err)
					resp, err := http.ReadResponse(bufio.NewReader(c), nil)
					require.NoError(t, err)
					if resp.StatusCode != http.StatusSwitchingProtocols {
						code = reachback.CodeOf(carrier.ReadRefusal(resp))
					}
					return code, c.ConnectionState().DidResume
				}
				code, _ := ask(h)
				require.Equal(t, reachback.Code(""), code)
				require.NoError(t, w.broker.RevokeHost(t.Context(), h.id))
				code, resumed := ask(h)
				require.Equal(t, tt.code, code)
				require.Equal(t, !tt.configured, resumed)
				// Nor does it help to show another's certificate on the session.
				if !tt.configured {
					code, _ = ask(other)
					require.Equal(t, reachback.CodeCertificateInvalid, code)
				}
			})
		})
	}
}
