package relay

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
)

// FuzzServeHTTP shows a relay with one waiting call the fields of any request. It
// may refuse, with a code that it knows; it may neither join nor orchestrate.
func FuzzServeHTTP(f *testing.F) {
	w := newWorld(f)
	w.relay.Logger = nil
	w.relay.Limits.CallTimeout = 1 << 62
	w.call("alice")
	c := <-w.summons
	tok := w.token("mallory")
	f.Add(carrier.PathCall, "Bearer "+tok[:len(tok)-4]+"AAAA", nonce, "", "")
	f.Add(carrier.PathCall, "Bearer x", "", "", "")
	f.Add(carrier.PathAnswer, "", "", c.ID, random(ticketBytes))
	f.Add(carrier.PathAnswer, "", "", random(idBytes), string(c.Ticket))
	f.Add(carrier.PathAnswer, "", "", c.ID, "short")
	f.Add(carrier.PathHealth, "", "", "", "")
	host := httptest.NewUnstartedServer(nil) // only for a certificate of another installation
	host.StartTLS()
	foreign := host.Certificate()
	host.Close()

	f.Fuzz(func(t *testing.T, path, authorization, nonce, call, ticket string) {
		h := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"reachback"}}
		for field, v := range map[string]string{"Authorization": authorization, carrier.HeaderNonce: nonce, carrier.HeaderCall: call, carrier.HeaderTicket: ticket} {
			if v != "" {
				h.Set(field, v)
			}
		}
		req := &http.Request{
			Method: http.MethodGet, URL: &url.URL{Path: path}, ProtoMajor: 1, ProtoMinor: 1, Header: h,
			TLS:        &tls.ConnectionState{HandshakeComplete: true},
			RemoteAddr: fmt.Sprintf("[2001:db8:%x:%x::1]:1", rand.Uint32()&0xffff, rand.Uint32()&0xffff), // never slowed down
		}
		req.TLS.PeerCertificates = append(req.TLS.PeerCertificates, foreign)
		rec := httptest.NewRecorder()
		w.relay.ServeHTTP(rec, req.WithContext(t.Context()))
		if path == carrier.PathHealth {
			return
		}
		err := carrier.ReadRefusal(rec.Result())
		if code := reachback.CodeOf(err); code.Text() == "" || code == reachback.CodeInternal || rec.Code != code.Status() {
			t.Fatalf("%d %v", rec.Code, err)
		}
		if n := len(w.summons); n != 0 {
			t.Fatal("a call was let through")
		}
	})
}
