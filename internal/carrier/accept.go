package carrier

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/reachback/reachback"
)

// CheckUpgrade refuses every request that is not exactly one of our Upgrades:
// another method or version, a body, a second value of a field that is read.
func CheckUpgrade(w http.ResponseWriter, r *http.Request) error {
	if err := CheckMethod(w, r, http.MethodGet); err != nil {
		return err
	}
	bad := reachback.Refuse(reachback.CodeBadRequest)
	if r.ProtoMajor != 1 || r.ProtoMinor != 1 {
		return bad
	}
	if r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
		return bad
	}
	if !strings.EqualFold(r.Header.Get("Connection"), "Upgrade") {
		return bad
	}
	if up := r.Header.Get("Upgrade"); !strings.EqualFold(up, "reachback") {
		return bad
	}
	if r.TLS == nil || !r.TLS.HandshakeComplete {
		return bad
	}
	if len(r.Header.Values("Origin")) > 0 { // a browser's page; no program of ours sends it
		return bad
	}
	return Single(r.Header, "Connection", "Upgrade", "Authorization", HeaderCall, HeaderTicket, HeaderNonce, HeaderCorrelation)
}

// CheckMethod refuses methods other than these, which the answer's Allow field
// then names.
func CheckMethod(w http.ResponseWriter, r *http.Request, methods ...string) error {
	if slices.Contains(methods, r.Method) {
		return nil
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	return reachback.Refuse(reachback.CodeMethodNotAllowed)
}

// Single refuses a header in which one of the fields has more than one value:
// two readers could take different ones.
func Single(h http.Header, fields ...string) error {
	for _, f := range fields {
		if len(h.Values(f)) > 1 {
			return reachback.Refuse(reachback.CodeBadRequest)
		}
	}
	return nil
}

// Bearer returns the bearer token of the Authorization field, "" if there is none.
func Bearer(h http.Header) string {
	scheme, token, ok := strings.Cut(h.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// Hijack takes the connection of an Upgrade request from the HTTP server, clears
// its deadlines and tunes it. The 101 is not sent yet: [Conn.Switch] does that.
func Hijack(w http.ResponseWriter) (*Conn, error) {
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	tc, ok := nc.(*tls.Conn)
	if !ok {
		nc.Close()
		return nil, reachback.Refuse(reachback.CodeInternal)
	}
	tc.SetDeadline(time.Time{})
	Tune(tc.NetConn())
	c := &Conn{Conn: tc}
	// A byte before the 101 breaks the protocol, but it is the peer's own
	// leg that it would spoil: it is kept and delivered in order.
	if n := rw.Reader.Buffered(); n > 0 {
		c.rest = append([]byte(nil), peek(rw.Reader, n)...)
	}
	return c, nil
}

func peek(r *bufio.Reader, n int) []byte {
	b, _ := r.Peek(n)
	return b
}

// Switch answers 101 with the header fields h, by an absolute deadline.
func (c *Conn) Switch(h http.Header) error {
	c.SetWriteDeadline(time.Now().Add(HeadTimeout))
	defer c.SetWriteDeadline(time.Time{})
	_, err := c.Write(SwitchHead(h))
	return err
}

// SwitchHead is the answer that Switch sends, for who sends it in another way.
func SwitchHead(h http.Header) []byte {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: reachback\r\n")
	h.Write(&b)
	b.WriteString("\r\n")
	return b.Bytes()
}
