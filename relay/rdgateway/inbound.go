package rdgateway

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/token"
)

// An inbound is where a client's packets come from until its session begins. One
// goroutine at a time owns it, but for Close.
type inbound struct {
	conn    *carrier.Conn
	coding  coding
	come    []byte     // packets that were not looked at yet
	watched chan error // from watch to rest
}

// A coding is what stands around a client's packets: frames, whose pings and closes
// are answered on the same connection, or chunks.
type coding interface {
	strip(p []byte) (n int, answer []byte, err error)
}

var (
	_ coding = (*deframer)(nil)
	_ coding = (*dechunker)(nil)
)

const (
	// maxWaiting is what a client may send while it is to wait, before it is not
	// read any more.
	maxWaiting = 4 << 10
	// maxSetUp bounds a packet of the set-up: the longest token there is in UTF-16,
	// and more than clients have beside it.
	maxSetUp = 2*token.MaxLen + 8<<10
	// goodbye is how long a client may take for the last that it is sent, and to
	// close then.
	goodbye = 500 * time.Millisecond
)

// next returns the client's next packet, whose body is good until the next call, or
// the type of one that is too long.
func (in *inbound) next() (p packetType, body []byte, err error) {
	for {
		if len(in.come) >= headerLen {
			p, n, err := parseHeader(in.come)
			if err != nil || n > maxSetUp {
				return p, nil, reachback.Refuse(reachback.CodeProtocolError)
			}
			if len(in.come) >= n {
				body, in.come = in.come[headerLen:n], in.come[n:]
				return p, body, nil
			}
		}
		if err := in.fill(); err != nil {
			return 0, nil, err
		}
	}
}

// fill takes what the client has sent, without what stands around its packets. It
// fails with io.EOF where the client says that no more comes, and with client_lost
// where the connection has ended.
func (in *inbound) fill() error {
	buf := make([]byte, 2<<10)
	n, err := in.conn.Read(buf)
	n, answer, cerr := in.coding.strip(buf[:n])
	in.come = append(in.come, buf[:n]...)
	if len(answer) > 0 {
		if _, werr := in.conn.Write(answer); werr != nil {
			return werr
		}
	}
	switch {
	case cerr != nil:
		return protocolError(cerr)
	case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
		return reachback.Refuse(reachback.CodeClientLost)
	}
	return err
}

// watch notices a client that leaves while it is to wait, and calls gone then. Until
// rest has returned nobody else uses what comes.
func (in *inbound) watch(gone func()) {
	done := make(chan error, 1)
	in.watched = done
	go func() { // ends with rest, or before
		for len(in.come) < maxWaiting {
			if err := in.fill(); err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					err = nil
				} else {
					gone()
				}
				done <- err
				return
			}
		}
		done <- nil
	}()
}

// rest ends a watch, and returns an error where the client has left.
func (in *inbound) rest() error {
	in.conn.SetReadDeadline(time.Unix(1, 0))
	stuck := time.AfterFunc(goodbye, func() { in.conn.Abort() }) // a pong that is not taken
	defer stuck.Stop()
	err := <-in.watched
	in.conn.SetReadDeadline(time.Time{})
	return err
}

// Close cuts the connection at once, whatever is done with it.
func (in *inbound) Close() error { return in.conn.Abort() }

// end sends b as the last that the client gets, and closes.
func (in *inbound) end(b []byte) {
	sayLast(in.conn, b)
	in.conn.Close()
}

// sayLast sends b and waits a moment for the client to close: never for its Close
// frame, which FreeRDP 2 answers with another one. What the client has sent until
// then is dropped, so that it does not cost it what it was sent.
func sayLast(c *carrier.Conn, b []byte) {
	c.SetDeadline(time.Now().Add(goodbye))
	if _, err := c.Write(b); err == nil && c.CloseWrite() == nil {
		io.Copy(io.Discard, c.NetConn())
	}
}
