// Package framing is where a relay and its front doors for other protocols meet: a
// client's leg on which the session's bytes have a framing of the door's around
// them. The framing is pure; the relay does the reading, the copying and the writing,
// so that such a leg costs hardly more than a plain one.
package framing

import (
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
)

// A Conn is a client's leg with a framing, as [relay.Pending.Splice] takes it. The
// relay owns it from then on.
type Conn struct {
	*carrier.Conn // carries what goes to the client and, without In, what comes from it
	// In is where the client's bytes come from, where that is another connection, and
	// Answer the only thing that is sent there, when the session has ended.
	In      *carrier.Conn
	Answer  []byte
	Framing Framing
	// Early are bytes of the session that the client has sent already.
	Early []byte
}

// A Framing frames one leg. Strip is called by the goroutine that reads; the other
// methods change nothing and may be called by several.
type Framing interface {
	// Room is the most that stands in front of a piece, and MaxPiece the most that
	// one holds so that a single TLS record carries it.
	Room() int
	MaxPiece() int
	// Wrap puts the framing in front of the n bytes at b[Room():], and returns where
	// in b it begins.
	Wrap(b []byte, n int) int
	// Strip takes bytes that have come, cut anywhere, and moves those of the session
	// to the front of p. answer, if any, is to be sent. The error is io.EOF where the
	// client has ended; whatever it is, n and answer count.
	Strip(p []byte) (n int, answer []byte, err error)

	// Ready tells the client that both legs are there, Refusal that the call was
	// refused after all, and End that the session has ended.
	Ready() []byte
	Refusal(e *reachback.Error) []byte
	End(c reachback.Code) []byte
	// KeepAlive returns what to send each time that long has passed; nil for never.
	KeepAlive() (packet []byte, every time.Duration)
}
