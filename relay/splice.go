package relay

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reachback/reachback"
)

// spliceOptions say how two legs are joined.
type spliceOptions struct {
	// WriteTimeout is how long a leg may take no byte while bytes wait for it.
	// It is kept to within an eighth.
	WriteTimeout time.Duration
	// ToHost and ToClient, where not nil, are raised as bytes are handed over.
	ToHost, ToClient *atomic.Int64
}

// spliceResult says what was copied and why it ended. Err is nil when Code is
// [reachback.CodeClosed].
type spliceResult struct {
	ToHost, ToClient int64
	Code             reachback.Code
	Err              error
}

// splice copies between the legs until both directions have ended, and closes
// both. The end of one direction is carried to the other leg as its half-close;
// an error of either leg cuts both, so that neither peer can take it for an end.
// It uses the calling goroutine and one more, for which it waits. Whoever wants
// a pair to end sooner cuts both legs.
func splice(client, host net.Conn, o spliceOptions) spliceResult {
	c, h := newLeg(client, o.WriteTimeout), newLeg(host, o.WriteTimeout)
	return spliceLegs(client, host,
		&direction{src: c, dst: h, counter: o.ToHost},
		&direction{src: h, dst: c, counter: o.ToClient})
}

// spliceRecords is splice for two legs whose records are the relay's.
func spliceRecords(client, host *recordLeg, o spliceOptions) spliceResult {
	return spliceLegs(client, host,
		&direction{records: [2]*recordLeg{client, host}, counter: o.ToHost},
		&direction{records: [2]*recordLeg{host, client}, counter: o.ToClient})
}

func spliceLegs(client, host io.Closer, up, down *direction) spliceResult {
	s := &pair{client: client, host: host}

	var wg sync.WaitGroup
	wg.Go(func() { s.run(down, up, reachback.CodeHostLost, reachback.CodeClientLost) })
	s.run(up, down, reachback.CodeClientLost, reachback.CodeHostLost)
	wg.Wait()
	s.stopGrace()

	client.Close()
	host.Close()
	r := spliceResult{ToHost: up.copied, ToClient: down.copied, Code: s.code, Err: s.err}
	if r.Code == "" {
		r.Code = reachback.CodeClosed
	}
	return r
}

// A pair is two joined legs.
type pair struct {
	client, host io.Closer

	once sync.Once // for the first thing that ends both directions
	code reachback.Code
	err  error

	grace sync.Once
	timer *time.Timer // set by grace
	late  sync.WaitGroup
}

// run copies d, and ends the pair where d fails. The codes are for the loss of
// the two ends of d.
func (s *pair) run(d, reverse *direction, srcLost, dstLost reachback.Code) {
	err := d.copy()
	if err == nil {
		s.startGrace()
		return
	}
	var code reachback.Code
	switch {
	case errors.Is(err, errStalled):
		code = reachback.CodeStalled
	case errors.Is(err, errNoHalfClose):
		code, err = reachback.CodeClosed, nil
	case d.srcFailed:
		code = srcLost
		if e, ok := errors.AsType[*reachback.Error](err); ok { // it is there, and breaks its protocol
			code = e.Code
		}
	case reverse.ended.Load():
		// Who said goodbye may close without taking the rest: a user who
		// closes the window of a session does.
		code, err = reachback.CodeClosed, nil
	default:
		code = dstLost
	}
	s.end(code, err)
}

// end cuts both legs, the host's first: a client with a framing is told why, and that
// may take a moment.
func (s *pair) end(code reachback.Code, err error) {
	first := false
	s.once.Do(func() { s.code, s.err, first = code, err, true })
	if first {
		cut(s.host, code)
		cut(s.client, code)
	}
}

// startGrace gives the other direction a moment to end too, where the client's
// protocol knows no half-close: with one direction the session has ended.
func (s *pair) startGrace() {
	if _, ok := s.client.(*framedLeg); !ok {
		return
	}
	s.grace.Do(func() {
		s.late.Add(1)
		s.timer = time.AfterFunc(framedGrace, func() {
			defer s.late.Done()
			s.end(reachback.CodeClosed, nil)
		})
	})
}

// stopGrace is called when both directions have ended, and waits for what
// startGrace has started.
func (s *pair) stopGrace() {
	if s.timer != nil && s.timer.Stop() {
		s.late.Done()
	}
	s.late.Wait()
}

// cut closes a leg, without a goodbye where it has one to leave out. The code is for
// a client whose protocol can name it.
func cut(c io.Closer, why reachback.Code) {
	if f, ok := c.(*framedLeg); ok {
		f.cut(why)
		return
	}
	if a, ok := c.(interface{ Abort() error }); ok {
		a.Abort()
		return
	}
	c.Close()
}
