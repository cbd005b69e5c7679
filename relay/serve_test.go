package relay

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/identity"
	"github.com/reachback/reachback/internal/limit"
	"github.com/reachback/reachback/internal/printable"
	tokens "github.com/reachback/reachback/internal/token"
)

func TestMalformedRequestsAreRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		bearer := "Authorization: Bearer " + w.token("alice")
		rawBearer := "Authorization: Bearer " + w.token("alice", func(c *tokens.Connection) { c.ClientKey = [32]byte{} })
		nonceLine := carrier.HeaderNonce + ": "
		good := head(carrier.PathCall, bearer, nonceLine+nonce)
		with := func(old, new string) []string {
			return strings.Split(strings.Replace(strings.Join(good, "\n"), old, new, 1), "\n")
		}
		for _, tt := range []struct {
			name string
			head []string
			want reachback.Code
		}{
			{"another method", with("GET", "POST"), reachback.CodeMethodNotAllowed},
			{"HTTP/1.0", with("HTTP/1.1", "HTTP/1.0"), reachback.CodeBadRequest},
			{"no upgrade", with("Upgrade: reachback", "X: y"), reachback.CodeBadRequest},
			{"another protocol", with("Upgrade: reachback", "Upgrade: websocket"), reachback.CodeBadRequest},
			{"a body", append(good, "Content-Length: 3"), reachback.CodeBadRequest},
			{"a chunked body", append(good, "Transfer-Encoding: chunked"), reachback.CodeBadRequest},
			{"no token", with(bearer, "X: y"), reachback.CodeTokenMissing},
			{"another scheme", with("Bearer", "Basic"), reachback.CodeTokenMissing},
			{"nonce too short", with(nonceLine+nonce, nonceLine+nonce[:15]), reachback.CodeBadRequest},
			{"nonce too long", with(nonce, strings.Repeat("n", 65)), reachback.CodeBadRequest},
			{"nonce of other characters", with(nonce, nonce+"="), reachback.CodeBadRequest},
			{"framed token without nonce", with(nonceLine+nonce, "X: y"), reachback.CodeBadRequest},
			{"raw token with nonce", head(carrier.PathCall, rawBearer, nonceLine+nonce), reachback.CodeBadRequest},
			{"answer without call", head(carrier.PathAnswer, carrier.HeaderTicket+": "+random(ticketBytes)), reachback.CodeBadRequest},
			{"answer with a long ticket", head(carrier.PathAnswer, carrier.HeaderCall+": "+random(idBytes), carrier.HeaderTicket+": "+random(ticketBytes+1)), reachback.CodeBadRequest},
			{"answer to an unknown call", head(carrier.PathAnswer, carrier.HeaderCall+": "+random(idBytes), carrier.HeaderTicket+": "+random(ticketBytes)), reachback.CodeTicketInvalid},
			{"unknown path", with(carrier.PathCall, "/reachback/v1/other"), reachback.CodeNotFound},
			{"case C7: a browser's page", append(good, "Origin: https://evil.example"), reachback.CodeBadRequest},
		} {
			require.Equal(t, tt.want, w.ask(nil, tt.head...), tt.name)
		}
		require.Empty(t, w.summons, "nobody was asked")
		time.Sleep(time.Second) // net/http lingers where a body may follow
	})
}

func TestA4_ForgedTokensAreRefusedAtTheDoor(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		good := w.token("alice")
		for _, forged := range []string{good[:len(good)-2], good + "AA", strings.Repeat("A", tokens.MaxLen-10), newWorldsToken(t)} {
			requireCode(t, reachback.CodeTokenInvalid, (<-w.callWith(forged, nonce)).err)
		}
		require.Empty(t, w.summons)
	})
}

// newWorldsToken is good at another installation whose key has the same id.
func newWorldsToken(t *testing.T) string {
	w := &world{t: t, signing: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	return w.token("alice")
}

func TestC1_RelayDialsNobody(t *testing.T) {
	canary, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer canary.Close()
	touched := make(chan struct{}, 100)
	go func() {
		for {
			c, err := canary.Accept()
			if err != nil {
				return
			}
			touched <- struct{}{}
			c.Close()
		}
	}()
	addr := canary.Addr().String()
	w := newWorld(t)
	tok := w.token("alice", func(c *tokens.Connection) {
		c.Resource, c.CorrelationID, c.User.Issuer = "https://"+addr, addr, "https://"+addr
	})
	c := w.raw(nil)
	_, err = io.WriteString(c, strings.Join([]string{
		"GET https://" + addr + carrier.PathCall + "?target=" + url.QueryEscape(addr) + " HTTP/1.1", "Host: " + addr,
		"Connection: Upgrade", "Upgrade: reachback", "Authorization: Bearer " + tok, carrier.HeaderNonce + ": " + nonce,
		"X-Forwarded-Host: " + addr, "Forwarded: for=" + addr, "Reachback-Gateway: https://" + addr, "Destination: " + addr,
		"", "",
	}, "\r\n"))
	require.NoError(t, err)
	call := <-w.summons
	require.Equal(t, gateway, call.Gateway, "the host is sent to this relay's own URL")
	w.answer(call, w.host("host-1"))
	_, err = c.Read(make([]byte, 1))
	require.NoError(t, err, "the call itself is good")
	require.Empty(t, touched)

	// And it could not: what dials is the Dialer's alone.
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || name == "dialer.go" || name == "nearest.go" {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				require.NotContains(t, s.Sel.Name, "Dial", name)
			}
			return true
		})
	}
}

func TestC4_ForwardedAddressesAreNotBelieved(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.comeFrom("192.0.2.9:1000")
		guess := func(claimed string) reachback.Code {
			return w.ask(nil, head(carrier.PathAnswer, carrier.HeaderCall+": "+random(idBytes), carrier.HeaderTicket+": "+random(ticketBytes),
				"X-Forwarded-For: "+claimed, "Forwarded: for="+claimed, "X-Real-Ip: "+claimed)...)
		}
		for i := range limit.Burst {
			require.Equal(t, reachback.CodeTicketInvalid, guess("198.51.100."+string(rune('0'+i%10))))
		}
		require.Equal(t, reachback.CodeRateLimited, guess("198.51.100.77"))
		require.NotContains(t, w.logs.String(), "198.51.100.")
		require.Contains(t, w.logs.String(), `"remote":"192.0.2.9:1000"`)

		w.comeFrom("192.0.2.10:1000")
		require.Equal(t, reachback.CodeTicketInvalid, guess("192.0.2.9"), "nobody is blamed for what another claims")
	})
}

func TestC5_DuplicateFieldsAreRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		call := head(carrier.PathCall, "Authorization: Bearer "+w.token("alice"), carrier.HeaderNonce+": "+nonce)
		called := w.call("bob")
		answer := answerHead(<-w.summons)
		host := w.host("host-1")
		for _, tt := range []struct {
			head []string
			more string
		}{
			{call, "Authorization: Bearer " + w.token("bob")},
			{call, "authorization: Basic YTpi"},
			{call, carrier.HeaderNonce + ": another-0123456789"},
			{call, "Connection: keep-alive"},
			{call, "Upgrade: websocket"},
			{call, carrier.HeaderCorrelation + ": a\r\n" + carrier.HeaderCorrelation + ": b"},
			{answer, carrier.HeaderCall + ": " + random(idBytes)},
			{answer, carrier.HeaderTicket + ": " + random(ticketBytes)},
			{answer, strings.ToLower(carrier.HeaderTicket) + ": "},
		} {
			require.Equal(t, reachback.CodeBadRequest, w.ask(host, append(tt.head[:len(tt.head):len(tt.head)], tt.more)...), tt.more)
		}
		require.Empty(t, w.ask(host, answer...))
		require.NoError(t, must(t, called).Close())
	})
}

func TestCertificatesGetTheirOwnCodes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		uri := func(c *x509.Certificate) { c.URIs = []*url.URL{identity.HostURI("host-1")} }
		called := w.call("alice")
		c := <-w.summons
		for _, tt := range []struct {
			name string
			cert *tls.Certificate
			want reachback.Code
		}{
			{"missing", nil, reachback.CodeCertificateMissing},
			{"of another installation", newAuthority(t).issue(t, uri), reachback.CodeCertificateInvalid},
			{"for a server", w.hostCA.issue(t, func(c *x509.Certificate) {
				uri(c)
				c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
			}), reachback.CodeCertificateInvalid},
			{"expired", w.hostCA.issue(t, func(c *x509.Certificate) {
				uri(c)
				c.NotAfter = time.Now().Add(-time.Second)
			}), reachback.CodeCertificateExpired},
		} {
			err := (<-w.answer(c, tt.cert)).err
			requireCode(t, tt.want, err)
			require.Equal(t, "cid-of-alice", reachback.AsError(err).CorrelationID, tt.name)
		}
		answered := w.answer(c, w.host("host-1"))
		requireCarries(t, must(t, called), must(t, answered), "undisturbed")
	})
}

func TestD12_LogRecordsAreEscapedAndCut(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		evil := "x\r\n{\"level\":\"INFO\",\"msg\":\"forged\"}\x1b[2J" + strings.Repeat("y", 4<<10)
		w.decide = func(_ context.Context, c *Call) (*Permit, error) {
			w.summons <- c
			return &Permit{Session: evil, Host: "host-1"}, nil
		}
		tok := w.token("alice", func(c *tokens.Connection) { c.CorrelationID, c.User.Name = evil, evil })
		called := w.callWith(tok, nonce)
		c := <-w.summons
		w.ask(w.host("host-2"), append(answerHead(c), "User-Agent: "+strings.Repeat("z", 4<<10))...)
		w.ask(nil, "GET /%0a%0dforged/"+strings.Repeat("z", 4<<10)+" HTTP/1.1", "Host: gw.example")
		w.answer(c, w.host("host-1"))
		require.NoError(t, must(t, called).Close())
		synctest.Wait()
		w.relay.Close()

		lines := strings.Split(strings.TrimSpace(w.logs.String()), "\n")
		var messages []string
		for _, line := range lines {
			var record map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &record))
			require.Less(t, len(line), 1<<10)
			messages = append(messages, record["msg"].(string))
			require.NotContains(t, line, string(c.Ticket))
			require.NotContains(t, line, tok[:40])
		}
		require.Equal(t, []string{"answer refused", "call joined", "call ended"}, messages)
	})
}

func TestD12_CorrelationIDsThatNoRecordHoldsAreReplaced(t *testing.T) {
	for _, id := range []string{"", "a b", "a\r\nb", "\x1b[2J", "\u202e", strings.Repeat("x", printable.MaxLen+1)} {
		require.False(t, visible(id), "%q", id)
	}
	require.True(t, visible("0b9e6f0c-1d2a:"+strings.Repeat("x", printable.MaxLen-14)))
}

func TestTicketsPrintRedacted(t *testing.T) {
	var logs lockedBuffer
	c := &Call{Ticket: "secret-ticket"}
	newJSONLogger(&logs).Info("call", "ticket", c.Ticket, "text", fmt.Sprint(c.Ticket), "whole", fmt.Sprintf("%v", *c))
	require.NotContains(t, logs.String(), "secret")
}

func TestD13_NoRouteButOurs(t *testing.T) {
	require.ErrorContains(t, ConfigureServer(&http.Server{TLSConfig: &tls.Config{Certificates: make([]tls.Certificate, 1)}}), "Handler")
	w := newWorld(t)
	for _, path := range []string{"/", "/debug/pprof/", "/debug/vars", "/metrics", "/admin", "/reachback/v1/", "/reachback/v1/call/", "//reachback/v1/call", "/reachback/v1/../v1/call", "*"} {
		rec := httptest.NewRecorder()
		w.relay.ServeHTTP(rec, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: path}, ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: "192.0.2.1:1"})
		require.Equal(t, http.StatusNotFound, rec.Code, path)
		requireCode(t, reachback.CodeNotFound, carrier.ReadRefusal(rec.Result()))
	}
}

func TestAnotherMethodIsToldWhichOnesFit(t *testing.T) {
	w := newWorld(t)
	for path, allow := range map[string]string{carrier.PathCall: "GET", carrier.PathAnswer: "GET", carrier.PathHealth: "GET, HEAD"} {
		rec := httptest.NewRecorder()
		w.relay.ServeHTTP(rec, httptest.NewRequest(http.MethodDelete, path, nil))
		require.Equal(t, http.StatusMethodNotAllowed, rec.Code, path)
		require.Equal(t, allow, rec.Header().Get("Allow"), path)
		requireCode(t, reachback.CodeMethodNotAllowed, carrier.ReadRefusal(rec.Result()))
	}
}

func TestHealth(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		resp, err := (&carrier.Dialer{TLS: &tls.Config{RootCAs: w.roots}, NetDial: w.net.Dial}).Client(time.Second).Get(gateway + carrier.PathHealth)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.JSONEq(t, `{"status":"ok"}`, string(body))
	})
}

func TestCallsAreRefusedUntilTheKeysAreKnown(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		keys := w.trust.Keys
		w.trust.Keys = nil
		for range 200 { // more than an address that guesses has forgiven
			requireCode(t, reachback.CodeUnavailable, (<-w.call("alice")).err)
		}
		w.trust.Keys = keys
		w.pair("alice")
	})
}
