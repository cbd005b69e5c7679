package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reachback/reachback"
)

// spliceOptions say how two legs are joined.
type spliceOptions struct {
	// WriteTimeout is how long a leg may take no byte while bytes wait for it.
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
// an error of either leg cuts both, so that neither peer can take it for an
// end. It uses the calling goroutine and one more, for which it waits. Whoever
// wants a pair to end sooner cuts both legs.
func splice(client, host net.Conn, o spliceOptions) spliceResult {
	s := &pair{client: client, host: host}
	up := newDirection(client, host, o.WriteTimeout, o.ToHost)
	down := newDirection(host, client, o.WriteTimeout, o.ToClient)
	up.reverse, down.reverse = down, up

	var wg sync.WaitGroup
	wg.Go(func() { s.run(down, reachback.CodeHostLost, reachback.CodeClientLost) })
	s.run(up, reachback.CodeClientLost, reachback.CodeHostLost)
	wg.Wait()

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
	client, host net.Conn

	once sync.Once // for the first thing that ends both directions
	code reachback.Code
	err  error
}

// run copies one direction. The codes are for the loss of its two ends.
func (s *pair) run(d *direction, srcLost, dstLost reachback.Code) {
	err := d.copy()
	if err == nil {
		return
	}
	// A peer that has said its goodbye may close before all is sent to it.
	// Only that it no longer takes bytes is known then, not that it broke.
	code := dstLost
	switch {
	case errors.Is(err, errStalled):
		code = reachback.CodeStalled
	case errors.Is(err, errNoHalfClose):
		code, err = reachback.CodeClosed, nil
	case d.srcFailed:
		code = srcLost
	case d.reverse.ended.Load():
		code, err = reachback.CodeClosed, nil
	}
	s.once.Do(func() {
		s.code, s.err = code, err
		cut(s.client)
		cut(s.host)
	})
}

// cut closes a leg without a goodbye where it has one to leave out.
func cut(c net.Conn) {
	if a, ok := c.(interface{ Abort() error }); ok {
		a.Abort()
		return
	}
	c.Close()
}

var (
	errStalled     = errors.New("relay: the peer takes no bytes")
	errNoHalfClose = errors.New("relay: the leg cannot be closed in one direction")
)

// A direction copies from one leg to the other. It is owned by the goroutine
// that runs copy, but for ended.
type direction struct {
	src, dst net.Conn
	timeout  time.Duration
	counter  *atomic.Int64
	reverse  *direction

	copied    int64
	srcFailed bool
	ended     atomic.Bool // src has said its goodbye
}

func newDirection(src, dst net.Conn, timeout time.Duration, counter *atomic.Int64) *direction {
	if counter == nil {
		counter = new(atomic.Int64)
	}
	return &direction{src: src, dst: dst, timeout: timeout, counter: counter}
}

// copy runs until src has ended and dst knows, and returns nil then.
func (d *direction) copy() error {
	buf := make([]byte, 64<<10)
	for {
		n, err := d.src.Read(buf)
		if n > 0 {
			if werr := d.write(buf[:n]); werr != nil {
				return werr
			}
		}
		if err == io.EOF {
			d.ended.Store(true)
			return d.finish()
		}
		if err != nil {
			d.srcFailed = true
			return err
		}
	}
}

func (d *direction) write(p []byte) error {
	d.dst.SetWriteDeadline(time.Now().Add(d.timeout))
	n, err := d.dst.Write(p)
	d.copied += int64(n)
	d.counter.Add(int64(n))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errStalled
	}
	return err
}

func (d *direction) finish() error {
	hc, ok := d.dst.(interface{ CloseWrite() error })
	if !ok {
		return errNoHalfClose
	}
	return hc.CloseWrite()
}
