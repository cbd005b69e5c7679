package relay

import (
	"cmp"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/framing"
)

const (
	// framedGrace is how long one direction of a framed leg outlives the other.
	framedGrace = 2 * time.Second
	// goodbye is how long a framed leg that is cut may take to tell its client, and
	// its client to close.
	goodbye = 500 * time.Millisecond
)

// A framedLeg is a client's leg with the framing of a front door. Unlike any other
// leg it is told why it ends.
type framedLeg struct {
	*framing.Conn
	timeout time.Duration
	records *recordLeg // where they are the relay's
	in      *recordLeg // records, or those of In
	from    source     // set by begin, as to, unless the records are the relay's
	to      sink

	// why is what the relay cuts it for. The host's leg is cut at the same time, and
	// that must not be taken for the reason.
	why atomic.Pointer[reachback.Code]

	writing chan struct{} // holds a token while somebody writes
	greeted bool          // the client knows that both legs are there; under writing, as ended
	ended   bool          // nothing more is to be sent
}

func newFramedLeg(c *framing.Conn, timeout time.Duration) *framedLeg {
	return &framedLeg{Conn: c, timeout: timeout, writing: make(chan struct{}, 1)}
}

// greet tells the client that both legs are there.
func (l *framedLeg) greet() error {
	l.writing <- struct{}{}
	defer func() { <-l.writing }()
	if l.ended {
		return net.ErrClosed
	}
	l.greeted = true
	l.SetWriteDeadline(time.Now().Add(carrier.HeadTimeout))
	defer l.SetWriteDeadline(time.Time{})
	_, err := l.Conn.Write(l.Framing.Ready())
	return err
}

// canTakeOver reports whether takeOver can be called once it was greeted.
func (l *framedLeg) canTakeOver() bool {
	return canTakeOverLater(l.Conn.Conn) && (l.In == nil || canTakeOverLater(l.In))
}

// takeOver makes the records of the leg the relay's, once it was greeted.
func (l *framedLeg) takeOver() (err error) {
	l.writing <- struct{}{}
	defer func() { <-l.writing }()
	if l.ended {
		return net.ErrClosed
	}
	l.records, err = takeOver(l.Conn.Conn, l.timeout)
	if l.in = l.records; err == nil && l.In != nil {
		l.in, err = takeOver(l.In, l.timeout)
	}
	l.ended = err != nil // it has nothing to seal with
	return err
}

// begin makes ready for reading and writing as a leg. It may be cut already.
func (l *framedLeg) begin() {
	l.writing <- struct{}{}
	defer func() { <-l.writing }()
	if l.records != nil {
		l.to = l.records
		return
	}
	leg := newLeg(l.Conn.Conn, l.timeout)
	l.from, l.to = leg, leg
	if l.In != nil {
		l.from = newLeg(l.In, l.timeout)
	}
}

func (l *framedLeg) wait() {
	if len(l.Early) == 0 {
		l.from.wait()
	}
}

func (l *framedLeg) read(p []byte) (int, error) {
	if len(l.Early) > 0 {
		n := copy(p, l.Early)
		l.Early = l.Early[n:]
		return n, nil
	}
	for {
		n, rerr := l.from.read(p)
		n, err := l.strip(p[:n])
		if err = cmp.Or(err, rerr); n > 0 || err != nil {
			return n, err
		}
	}
}

// strip takes the framing off p, and answers what is to be answered.
func (l *framedLeg) strip(p []byte) (n int, err error) {
	n, answer, err := l.Framing.Strip(p)
	if len(answer) > 0 {
		if werr := l.send(answer); werr != nil && werr != errNoHalfClose && err == nil {
			err = werr
		}
	}
	if err == io.EOF {
		l.leave()
	}
	return n, err
}

// leave notes that the client has ended the session, and takes nothing more.
func (l *framedLeg) leave() {
	l.writing <- struct{}{}
	defer func() { <-l.writing }()
	if !l.ended {
		l.ended = true
		l.closeWrite()
	}
}

// put sends p at once, and closeWrite ends the leg in this direction. The caller has
// the right to write.
func (l *framedLeg) put(p []byte) {
	if l.records != nil {
		l.records.Write(p)
	} else {
		l.Conn.Write(p)
	}
}

func (l *framedLeg) closeWrite() {
	if l.records != nil {
		l.records.finish()
	} else {
		l.CloseWrite()
	}
	switch {
	case l.In == nil:
	case l.records != nil:
		l.in.Write(l.Answer)
		l.in.finish()
	default:
		l.In.Write(l.Answer)
		l.In.CloseWrite()
	}
}

// write sends p, which is no longer than the framing's MaxPiece.
func (l *framedLeg) write(p []byte) error {
	c := chunks.Get().(*chunk)
	defer chunks.Put(c)
	room := l.Framing.Room()
	copy(c[room:], p)
	return l.send(c[l.Framing.Wrap(c[:], len(p)) : room+len(p)])
}

// send sends what is a whole number of frames. Behind the end of the session it fails
// with errNoHalfClose.
func (l *framedLeg) send(p []byte) error {
	l.writing <- struct{}{}
	defer func() { <-l.writing }()
	if l.ended {
		return errNoHalfClose
	}
	return l.to.write(p)
}

// finish tells the client that the session has ended regularly. A client that is slow
// has the same time for that as for anything else.
func (l *framedLeg) finish() error {
	l.farewell(reachback.Refuse(reachback.CodeClosed), l.timeout)
	return nil
}

// farewell sends the last that the client gets, if there is a chance within that time.
func (l *framedLeg) farewell(e *reachback.Error, within time.Duration) {
	by := time.Now().Add(within)
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case l.writing <- struct{}{}:
	case <-timer.C: // it takes nothing
		return
	}
	defer func() { <-l.writing }()
	if l.ended {
		return
	}
	l.ended = true
	if c := l.why.Load(); c != nil {
		e = reachback.Refuse(*c)
	}
	stuck := time.AfterFunc(time.Until(by), l.drop)
	defer stuck.Stop()
	l.SetWriteDeadline(by) // the last one may be long past
	if l.greeted {
		l.put(l.Framing.End(e.Code))
	} else {
		l.put(l.Framing.Refusal(e))
	}
	l.closeWrite()
}

// cut ends the leg within twice goodbye. A client that is still there is told why, and
// has a moment to take it: what is on its way would be lost if the connection was
// closed under what it sends.
func (l *framedLeg) cut(why reachback.Code) { l.cutFor(reachback.Refuse(why)) }

// cutFor is cut for a refusal that has more than its code.
func (l *framedLeg) cutFor(why *reachback.Error) {
	if why.Code == reachback.CodeClientLost && l.why.Load() == nil {
		l.drop()
		return
	}
	l.farewell(why, goodbye)
	end := l.drop
	if why.Code == reachback.CodeClosed { // the system goes on sending what a slow client has not taken yet
		end = l.hangUp
	}
	// It is a timer, because whoever still reads the leg may set deadlines of its own.
	late := time.AfterFunc(goodbye, end)
	nc := l.NetConn()
	if w, ok := nc.(*wire); ok {
		nc = w.Conn // what comes is not for TLS any more
	}
	io.Copy(io.Discard, nc)
	late.Stop()
	end()
}

// drop closes both of the client's connections without a word.
func (l *framedLeg) drop() {
	l.Abort()
	if l.In != nil {
		l.In.Abort()
	}
}

// hangUp closes both of the client's connections, behind what was sent.
func (l *framedLeg) hangUp() {
	l.NetConn().Close()
	if l.In != nil {
		l.In.NetConn().Close()
	}
}

// Close closes both of the client's connections.
func (l *framedLeg) Close() error {
	if l.records != nil {
		l.writing <- struct{}{}
		defer func() { <-l.writing }()
		l.ended = true
		if l.in != nil && l.in != l.records {
			l.in.Close()
		}
		return l.records.Close()
	}
	if l.In != nil {
		l.In.Close()
	}
	return l.Conn.Close()
}

// spliceFramed is splice for a client's leg with a framing.
func spliceFramed(client *framedLeg, host io.Closer, o spliceOptions) spliceResult {
	client.begin()
	up, down := client.directions(host, o)

	var beat sync.WaitGroup
	done := make(chan struct{})
	if p, every := client.Framing.KeepAlive(); p != nil {
		beat.Go(func() { client.keepAlive(p, every, done) })
	}
	r := spliceLegs(client, host, up, down)
	close(done)
	beat.Wait()
	return r
}

func (l *framedLeg) directions(host io.Closer, o spliceOptions) (up, down *direction) {
	h, ok := host.(*recordLeg)
	if !ok {
		leg := newLeg(host.(net.Conn), o.WriteTimeout)
		return &direction{src: l, dst: leg, counter: o.ToHost},
			&direction{src: leg, dst: l, counter: o.ToClient, most: l.Framing.MaxPiece()}
	}
	down = &direction{
		records: [2]*recordLeg{h, l.records}, counter: o.ToClient,
		wrap: &wrapper{leg: l, room: l.Framing.Room(), most: l.Framing.MaxPiece()},
	}
	return &direction{records: [2]*recordLeg{l.in, h}, counter: o.ToHost, strip: l.strip, first: l.Early}, down
}

// keepAlive sends p again and again until done or the leg fails. Where the client's
// bytes come over another connection nobody else may notice that.
func (l *framedLeg) keepAlive(p []byte, every time.Duration, done chan struct{}) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-done:
			return
		case <-t.C:
			if err := l.send(p); err != nil {
				if err != errNoHalfClose {
					l.drop()
				}
				return
			}
		}
	}
}
