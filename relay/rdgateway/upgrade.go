package rdgateway

import (
	"bytes"
	"crypto/fips140"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
)

// maxKey bounds a WebSocket key, which has 24 characters where the client keeps to
// RFC 6455.
const maxKey = 256

// isWebSocket reports whether r asks for a WebSocket. Connection is a list, and may
// stand in several fields.
func isWebSocket(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket") && listed(r.Header.Values("Connection"), "upgrade")
}

func listed(values []string, token string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// acceptKey returns the answer to the request's key. FreeRDP 2 sends one that is no
// base64 and not of 16 bytes, so it is hashed as it came, whatever it is.
func acceptKey(w http.ResponseWriter, r *http.Request) (string, error) {
	if v := r.Header.Get("Sec-WebSocket-Version"); v != "13" {
		w.Header().Set("Sec-WebSocket-Version", "13")
		return "", reachback.Refuse(reachback.CodeVersionUnsupported)
	}
	key := r.Header.Get("Sec-WebSocket-Key")
	if key == "" || len(key) > maxKey {
		return "", reachback.Refuse(reachback.CodeBadRequest)
	}
	var sum [sha1.Size]byte
	fips140.WithoutEnforcement(func() { // it protects nothing
		sum = sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	})
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

// switchHead is the answer that opens a WebSocket: no protocol and no extension is
// ever agreed on.
func switchHead(accept string, more http.Header) string {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + "\r\n")
	more.Write(&b)
	b.WriteString("\r\n")
	return b.String()
}

// refusal is e as the answer on a connection that was taken from the HTTP server.
func refusal(e *reachback.Error) []byte {
	body, _ := json.Marshal(e) // three strings cannot fail
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
		e.Code.Status(), http.StatusText(e.Code.Status()), len(body), body)
}

// checkRequest refuses what no client of either kind sends: another version of HTTP,
// or a field that is read here and stands twice, of which two readers could take
// different ones.
func checkRequest(r *http.Request) error {
	if r.ProtoMajor != 1 || r.ProtoMinor != 1 || r.TLS == nil {
		return reachback.Refuse(reachback.CodeBadRequest)
	}
	return carrier.Single(r.Header, "Authorization", "Cookie", "Origin", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version",
		"RDG-Connection-Id", "RDG-Correlation-Id", "RDG-Auth-Scheme", "RDG-User-Id",
		carrier.HeaderCall, carrier.HeaderTicket, carrier.HeaderNonce)
}

// hasBody reports whether a body follows the head.
func hasBody(r *http.Request) bool { return r.ContentLength != 0 || len(r.TransferEncoding) > 0 }
