package relay

import (
	"context"
	"crypto/fips140"
	"crypto/tls"
	"io"
	"sync/atomic"
	"time"

	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/tlsrecord"
)

// A recordLeg is a leg whose TLS records the relay protects by itself, from the
// 101 on. crypto/tls has made the handshake and read the request; nothing of it is
// kept. So a record goes from one leg to the other in the memory that it came in,
// and a leg that has carried much costs no more than a fresh one.
//
// Only the outer TLS is handled here. What a session protects is inside.
type recordLeg struct {
	wire      *wire
	maxSealed uint64
	early     []byte // came before the 101, against the rules, and is passed on first
	earlyEnd  error  // came behind early, io.EOF where the peer has ended its direction

	// Owned by the goroutine that reads.
	opener  *tlsrecord.Opener
	useless int // records in a row that carried nothing

	asked atomic.Bool // the peer wants a key update of ours

	// Owned by the goroutine that writes.
	sealer *tlsrecord.Sealer
	ended  bool // close_notify was sent
}

const (
	// maxUseless bounds records that cost work and carry nothing: empty ones,
	// key updates, warnings.
	maxUseless = 16

	alertWarning      = 1
	alertCloseNotify  = 0
	alertUserCanceled = 90
	keyUpdate         = 24
)

// keyUpdateMessage is one that asks for none in return (RFC 8446, section 4.6.3).
var keyUpdateMessage = [5]byte{keyUpdate, 0, 0, 1, 0}

// A handover is what a wire notes for the relay while crypto/tls makes the handshake.
type handover struct {
	// Set in the handshake.
	keys   tlsrecord.KeyLog
	ticket bool // one was sent, and has the first number
	flight bool // all that the handshake sends has been sent
	// over is done when the handshake is. It is when the client's last flight was
	// opened, of which nothing tells from outside how many records it has.
	over context.Context

	// Owned by who writes, of the records behind flight.
	out     framer
	sealed  uint64
	renewed bool // one of them may have been a key update
	unsent  bool // one was sealed, and not sent or in part

	// Owned by who reads, of the records after the handshake.
	opened  uint64
	updated bool // one of them may have been a key update
}

// wrote takes note of bytes that crypto/tls has sent, all that it wanted to without err.
// It does not stop at one: alerts, and answers to key updates, it sends all the same.
func (h *handover) wrote(p []byte, err error) {
	h.unsent = h.unsent || err != nil
	for h.flight && len(p) > 0 {
		n := min(len(p), h.out.left())
		h.out.passed(p[:n])
		if p = p[n:]; h.out.between() {
			h.sealed++
			h.renewed = h.renewed || likeKeyUpdate(&h.out)
		}
	}
}

// received takes note of bytes that crypto/tls gets, f being in front of them.
func (h *handover) received(f *framer, p []byte) {
	ends := f.body > 0 && len(p) == f.body
	if ends && tlsrecord.Type(f.header[0]) == tlsrecord.Application && h.over.Err() != nil {
		h.opened++
		h.updated = h.updated || likeKeyUpdate(f)
	}
}

// likeKeyUpdate reports whether a record has the length of a key update. No TLS pads
// one, and crypto/tls puts nothing else into the record.
func likeKeyUpdate(f *framer) bool {
	return int(f.header[3])<<8|int(f.header[4]) == len(keyUpdateMessage)+tlsrecord.Overhead
}

// offerHandover has the handshake of a connection from [NewListener] noted.
func offerHandover(hello *tls.ClientHelloInfo, c *tls.Config) *tls.Config {
	w, ok := hello.Conn.(*wire)
	if !ok {
		return c
	}
	h := &handover{over: hello.Context()}
	w.handover = h
	c = c.Clone()
	// A ticket goes out in the server's first flight, under the keys of the application
	// and before VerifyConnection: it would not be counted, and its number used again.
	// Who turns tickets on in what is returned here has the records left to crypto/tls.
	c.SessionTicketsDisabled = true
	wrap := c.WrapSession
	if wrap == nil {
		wrap = c.EncryptTicket
	}
	c.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		h.ticket = true
		return wrap(cs, ss)
	}
	if c.KeyLogWriter == nil {
		c.KeyLogWriter = &h.keys
	} else {
		c.KeyLogWriter = io.MultiWriter(c.KeyLogWriter, &h.keys)
	}
	// It is called when all that the server sends under the keys of the
	// handshake has been sent. Without tickets, whatever goes out later is
	// under the application's, and nothing was before.
	also := c.VerifyConnection
	c.VerifyConnection = func(s tls.ConnectionState) error {
		h.flight = true
		if also != nil {
			return also(s)
		}
		return nil
	}
	return c
}

// canTakeOver reports whether nothing was sent yet under the application's keys, so
// that the relay's first record is the first at all, and whether crypto/tls holds
// no part of a record that it was given. Where only validated modes of the ciphers
// are allowed, crypto/tls alone has one.
func canTakeOver(c *carrier.Conn) bool {
	return canTakeOverLater(c) && c.NetConn().(*wire).handover.sealed == 0
}

// canTakeOverLater is canTakeOver for a connection on which crypto/tls has sent
// already. Every record after the handshake was sealed with the first keys of the
// application, unless the peer has changed its own or had crypto/tls change ours. The
// relay would go on with the first, and come to the next by itself, of which
// crypto/tls has used some numbers. So a connection on which a record had the length
// of a key update is left to crypto/tls, whatever that record was.
func canTakeOverLater(c *carrier.Conn) bool {
	w, ok := c.NetConn().(*wire)
	if !ok || w.handover == nil || fips140.Enforced() || c.ConnectionState().Version != tls.VersionTLS13 {
		return false
	}
	h := w.handover
	return h.flight && !h.ticket && h.keys.Complete() &&
		h.out.between() && !h.renewed && !h.unsent &&
		w.frame.between() && !h.updated
}

// takeOver makes a leg of its own of c, whose TLS can send nothing any more. See
// spliceOptions about the timeout.
func takeOver(c *carrier.Conn, timeout time.Duration) (*recordLeg, error) {
	w := c.NetConn().(*wire)
	l := &recordLeg{wire: w, maxSealed: tlsrecord.MaxSealed}
	w.taken.Store(true)
	l.early, l.earlyEnd = c.TakeEarly(w.stop)
	var err error
	h := w.handover
	if l.opener, l.sealer, err = h.keys.Server(c.ConnectionState().CipherSuite, h.opened, h.sealed); err != nil {
		return nil, err
	}
	w.begin(timeout)
	return l, nil
}

// write is Write for a sink.
func (l *recordLeg) write(p []byte) error {
	_, err := l.Write(p)
	return err
}

// Write seals p, of any length, and sends it.
func (l *recordLeg) Write(p []byte) (n int, err error) {
	b := batches.Get().(*batch)
	defer batches.Put(b)
	for n < len(p) {
		if l.keysDue() {
			if err := l.updateSealer(); err != nil {
				return n, err
			}
		}
		m := copy(b[tlsrecord.HeaderLen:tlsrecord.HeaderLen+tlsrecord.MaxContent], p[n:])
		if _, err := l.wire.send(l.sealer.Seal(b[:], m, tlsrecord.Application)); err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}

// finish sends close_notify, once: the leg carries nothing more in this direction.
func (l *recordLeg) finish() error {
	if l.ended {
		return nil
	}
	l.ended = true
	return l.control(tlsrecord.Alert, alertWarning, alertCloseNotify)
}

// control sends a record of TLS's own.
func (l *recordLeg) control(t tlsrecord.Type, content ...byte) error {
	buf := make([]byte, tlsrecord.HeaderLen+len(content)+tlsrecord.Overhead)
	copy(buf[tlsrecord.HeaderLen:], content)
	_, err := l.wire.send(l.sealer.Seal(buf, len(content), t))
	return err
}

// keysDue reports whether new keys must come before the next record: these have
// sealed enough, or the peer has asked for others (RFC 8446, section 4.6.3).
func (l *recordLeg) keysDue() bool { return l.asked.Load() || l.sealer.Sealed() >= l.maxSealed }

// updateSealer tells the peer that new keys come, and takes them.
func (l *recordLeg) updateSealer() error {
	l.asked.Store(false)
	if err := l.control(tlsrecord.Handshake, keyUpdateMessage[:]...); err != nil {
		return err
	}
	return l.sealer.Update()
}

// Close sends close_notify and closes the connection.
func (l *recordLeg) Close() error {
	l.finish()
	return l.wire.Close()
}

// Abort closes the connection so that the peer cannot take it for an end.
func (l *recordLeg) Abort() error { return carrier.Abort(l.wire) }

// open opens a record. n is 0 for one that carries nothing, and the error io.EOF
// when the peer has ended its direction.
func (l *recordLeg) open(record []byte) (n int, err error) {
	t, content, err := l.opener.Open(record)
	if err != nil {
		return 0, err
	}
	if t == tlsrecord.Application && len(content) > 0 {
		l.useless = 0
		return len(content), nil
	}
	if l.useless++; l.useless > maxUseless {
		return 0, tlsrecord.ErrRecord
	}
	switch {
	case t == tlsrecord.Application:
		return 0, nil
	case t == tlsrecord.Alert && len(content) == 2 && content[1] == alertCloseNotify:
		return 0, io.EOF
	case t == tlsrecord.Alert && len(content) == 2 && content[1] == alertUserCanceled:
		return 0, nil
	case t == tlsrecord.Handshake && len(content) == 5 && [4]byte(content) == [4]byte(keyUpdateMessage[:]) && content[4] <= 1:
		if content[4] == 1 {
			l.asked.Store(true)
		}
		return 0, l.opener.Update()
	}
	return 0, tlsrecord.ErrRecord
}
