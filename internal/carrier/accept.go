package carrier

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"net"
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

// Refuse answers a request with err's code as HTTP status and JSON. Of an error
// that is no [*reachback.Error] it tells nothing.
func Refuse(w http.ResponseWriter, err error, correlationID string) {
	e := *reachback.AsError(err)
	if e.CorrelationID == "" {
		e.CorrelationID = correlationID
	}
	body, _ := json.Marshal(&e) // three strings cannot fail
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Connection", "close")
	if e.Code.Status() == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(e.Code.Status())
	w.Write(append(body, '\n'))
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

// TakeEarly returns what the peer has sent before the 101 and nobody has read,
// for who does without c from now on. stop makes the transport connection return
// a temporary error, so that only what TLS has opened already is read.
func (c *Conn) TakeEarly(stop func()) []byte {
	stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	early := c.rest
	c.rest = nil
	for p := make([]byte, 512); ; {
		n, err := c.Conn.Read(p)
		early = append(early, p[:n]...)
		if err != nil {
			return early
		}
	}
}

// RefuseConn answers on a hijacked connection that got no 101 yet, and closes it.
func (c *Conn) RefuseConn(err error, correlationID string) {
	e := *reachback.AsError(err)
	if e.CorrelationID == "" {
		e.CorrelationID = correlationID
	}
	body, _ := json.Marshal(&e)
	resp := http.Response{
		StatusCode: e.Code.Status(), ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(body)), Close: true,
		Header: http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}},
		Body:   readCloser{bytes.NewReader(body)},
	}
	c.SetDeadline(time.Now().Add(HeadTimeout))
	resp.Write(c.Conn)
	c.Close()
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// Abort closes the transport connection without TLS's goodbye, so that the peer
// cannot take a cut for an end.
//
// It is a reset where the transport has one, because not every TLS tells an end of
// the transport from the goodbye.
func (c *Conn) Abort() error { return Abort(c.NetConn()) }

// Abort is [Conn.Abort] for the transport connection.
func Abort(nc net.Conn) error {
	if l, ok := nc.(interface{ SetLinger(int) error }); ok {
		l.SetLinger(0)
	}
	return nc.Close()
}

// Tune sets keepalive and user timeout on c where it is a TCP connection.
func Tune(c net.Conn) {
	tc, ok := c.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
		SetNoDelay(bool) error
	})
	if !ok {
		return
	}
	tc.SetNoDelay(true)
	tc.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: KeepAlive, Interval: KeepAlive / 3, Count: 3})
	setUserTimeout(c)
}
