package rdgateway

import (
	"bufio"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
)

// ask sends a head and returns the code of the refusal, or "" where it was served.
func (w *world) ask(head string) reachback.Code {
	w.t.Helper()
	code, _ := w.askFor(head)
	return code
}

func (w *world) askFor(head string) (reachback.Code, *http.Response) {
	w.t.Helper()
	c := w.dial()
	defer c.Close()
	_, err := io.WriteString(c, head)
	require.NoError(w.t, err)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(w.t, err)
	if resp.StatusCode < 300 {
		return "", resp
	}
	return reachback.CodeOf(carrier.ReadRefusal(resp)), resp
}

func TestC5_RequestsThatCanBeReadInTwoWays(t *testing.T) {
	const id = "RDG-Connection-Id: {1}"
	out := func(more ...string) string { return halfRequest(methodOut, "{1}", more...) }
	in := func(more ...string) string { return halfRequest(methodIn, "{1}", more...) }
	for _, c := range []struct {
		name, head string
		want       reachback.Code
	}{
		{"WebSocket", webSocketRequest(id), ""},
		{"a list of connection options", request(methodOut, Path, id, "Connection: keep-alive, Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: x"), ""},
		{"a protocol that is offered", webSocketRequest(id, "Sec-WebSocket-Protocol: binary"), ""},
		{"two ids", webSocketRequest(id, "RDG-Connection-Id: {2}"), reachback.CodeBadRequest},
		{"the same id twice", webSocketRequest(id, id), reachback.CodeBadRequest},
		{"two ids on OUT", out(id), reachback.CodeBadRequest},
		{"two ids on IN", in("RDG-Connection-Id: {2}"), reachback.CodeBadRequest},
		{"no id on OUT", request(methodOut, Path), reachback.CodeBadRequest},
		{"no id on IN", request(methodIn, Path), reachback.CodeBadRequest},
		{"a long id", halfRequest(methodOut, "{"+strings.Repeat("1", 64)+"}"), reachback.CodeBadRequest},
		{"two keys", webSocketRequest(id, "Sec-WebSocket-Key: other"), reachback.CodeBadRequest},
		{"a long key", request(methodOut, Path, id, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: "+strings.Repeat("x", 257)), reachback.CodeBadRequest},
		{"another version of WebSocket", request(methodOut, Path, id, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 8", "Sec-WebSocket-Key: x"), reachback.CodeVersionUnsupported},
		{"two cookies", webSocketRequest(id, "Cookie: a=1", "Cookie: a=2"), reachback.CodeBadRequest},
		{"two authorizations", out("Authorization: NTLM x", "Authorization: Bearer y"), reachback.CodeBadRequest},
		{"a cookie of its own and an authorization", out("Authorization: NTLM x"), reachback.CodeBadRequest},
		{"an authorization", request(methodOut, Path, id, "Authorization: Negotiate x"), reachback.CodeTokenMissing},
		{"NTLM in the tunnel", request(methodOut, Path, id, "RDG-Auth-Scheme: SSPI_NTLM"), reachback.CodeTokenMissing},
		{"two ways to sign in", out("RDG-Auth-Scheme: SSPI_NTLM"), reachback.CodeBadRequest},
		{"a body on OUT", out("Content-Length: 1"), reachback.CodeBadRequest},
		{"chunks on OUT", out("Transfer-Encoding: chunked"), reachback.CodeBadRequest},
		{"a body of known length on IN", in("Content-Length: 5") + "hello", reachback.CodeBadRequest},
		{"a WebSocket on IN", in("Connection: Upgrade", "Upgrade: websocket"), reachback.CodeBadRequest},
		{"GET", request("GET", Path, id), reachback.CodeMethodNotAllowed},
		{"what a browser asks first", request("OPTIONS", Path, "Origin: https://evil.example", "Access-Control-Request-Method: RDG_OUT_DATA"), reachback.CodeMethodNotAllowed},
		{"below the path", request(methodOut, Path+"x", id), reachback.CodeNotFound},
		{"bare RDP: no token", rawRequest(), reachback.CodeTokenMissing},
		{"bare RDP: two tokens", rawRequest("Authorization: Bearer a", "Authorization: Bearer b"), reachback.CodeBadRequest},
		{"bare RDP: a ticket of a host", rawRequest("Authorization: Bearer a", carrier.HeaderTicket+": x"), reachback.CodeBadRequest},
		{"bare RDP: no WebSocket", request("GET", RawPath, "Authorization: Bearer a"), reachback.CodeBadRequest},
		{"bare RDP: POST", request("POST", RawPath, "Content-Length: 0"), reachback.CodeMethodNotAllowed},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				got, resp := w.askFor(c.head)
				require.Equal(t, c.want, got)
				require.Empty(t, resp.Header.Get("Sec-WebSocket-Protocol"))
				require.Empty(t, resp.Header.Get("Sec-WebSocket-Extensions"))
			})
		})
	}
}

func TestHTTP2IsRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for method, path := range map[string]string{methodOut: Path, methodIn: Path, "GET": RawPath} {
			r := httptest.NewRequest(method, path, nil)
			r.Header = http.Header{"Rdg-Connection-Id": {"{1}"}, "Authorization": {"Bearer x"}, "Connection": {"Upgrade"}, "Upgrade": {"websocket"},
				"Sec-Websocket-Key": {"x"}, "Sec-Websocket-Version": {"13"}}
			if path == Path {
				r.Header.Del("Authorization")
			}
			if method == methodIn {
				r.Header.Del("Upgrade")
			}
			r.ProtoMajor, r.ProtoMinor, r.TLS = 2, 0, &tls.ConnectionState{}
			answer := httptest.NewRecorder()
			w.door.ServeHTTP(answer, r)
			require.Equal(t, http.StatusBadRequest, answer.Code)
		}
	})
}

func TestC4_ForwardedForIsNotRead(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.door.Limits.PerAddress = 1
		w.webSocket()
		require.Equal(t, reachback.CodeTooManyWaiting, w.ask(webSocketRequest("RDG-Connection-Id: {1}", "X-Forwarded-For: 192.0.2.9", "Forwarded: for=192.0.2.9")))

		// Nor in the binding of two halves.
		w.comeFrom("192.0.2.1:1")
		id := newConnectionID()
		c := &client{t: t}
		c.openOut(w, id)
		w.comeFrom("192.0.2.2:1")
		other := &client{t: t, in: w.dial()}
		other.write(other.in, halfRequest(methodIn, id, "Transfer-Encoding: chunked", "X-Forwarded-For: 192.0.2.1"))
		other.send(handshakePacket())
		c.requireQuiet()
	})
}

// Every port and header that clients vary: the host without its port, on any port.
func TestTheHostFieldIsNotRead(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		require.Empty(t, w.ask(strings.Replace(webSocketRequest("RDG-Connection-Id: {1}"), "Host: gw.example", "Host: elsewhere", 1)))
	})
}
