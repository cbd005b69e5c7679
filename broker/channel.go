package broker

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
)

const (
	// Heartbeat is how often each end of a control channel sends a ping, and
	// DeadAfter how long a silent peer is believed.
	Heartbeat = 10 * time.Second
	DeadAfter = 25 * time.Second

	// queueLength is how many messages may wait for a channel's writer. Who
	// takes them more slowly loses the channel.
	queueLength = 64
	// writeWithin bounds the writing of one message, closeWithin that of the last.
	writeWithin = 10 * time.Second
	closeWithin = time.Second
	// maxRequests is how many answers a channel waits for at once.
	maxRequests = 1024
)

// A channel is one end of a control channel after its 101. The goroutine in run
// reads. Who has something to send queues it; while there is something a single
// other goroutine writes, so that an idle channel has one stack and no queue.
type channel struct {
	conn    *carrier.Conn
	limiter *rate.Limiter // of incoming messages that are no awaited answers; nil: none
	patient bool          // what is over the limit waits in the connection, and does not end the channel
	room    int           // how many messages may wait for the writer; zero: queueLength

	// ctx ends with the channel, and its cause says why.
	ctx      context.Context
	cancel   context.CancelCauseFunc
	readDone chan struct{}  // closed by run when nobody reads any more
	writers  sync.WaitGroup // one at a time; run waits for it

	mu      sync.Mutex
	beat    *time.Timer
	queue   [][]byte
	writing bool   // a goroutine is in write
	last    []byte // written after the queue when the channel has ended
	answers map[uint64]chan message
	lastID  uint64

	overflowed atomic.Bool // the queue was full
}

func newChannel(c *carrier.Conn) *channel {
	ch := &channel{conn: c, readDone: make(chan struct{})}
	ch.ctx, ch.cancel = context.WithCancelCause(context.Background())
	return ch
}

// run reads messages and passes each to handle, until the channel ends, and
// returns why; the peer's close is the *reachback.Error that it named. first is
// how long the first message may take, which goes to handle whatever it is unless
// it is a close.
func (c *channel) run(first time.Duration, handle func(message) error) error {
	c.read(first, handle)
	close(c.readDone)
	if c.beat != nil {
		c.beat.Stop()
	}
	c.writers.Wait()
	return context.Cause(c.ctx)
}

// ping queues a ping now and has itself called again.
func (c *channel) ping() {
	if c.send(&pingMessage{}) == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.beat.Reset(Heartbeat)
	}
}

func (c *channel) read(patience time.Duration, handle func(message) error) {
	begun := false
	for {
		// One deadline for a whole message: a byte now and then is no life.
		c.conn.SetReadDeadline(time.Now().Add(patience))
		b, err := readMessage(c.conn)
		if err != nil {
			c.end(readError(err), told(err))
			return
		}
		if c.ctx.Err() != nil {
			continue // until the peer has read the last message and left
		}
		patience = DeadAfter
		m, err := parseMessage(b)
		_, leaving := m.(*closeMessage)
		switch {
		case err != nil:
		case !begun && !leaving:
			// Not even a ping comes before the greeting, or it could be put
			// off for ever, on a channel that no newer one replaces.
			begun, err = true, handle(m)
			c.mu.Lock()
			c.beat = time.AfterFunc(Heartbeat, c.ping)
			c.mu.Unlock()
		case m != nil && c.answered(m):
			// It was asked for, so how many there are is not the peer's doing.
		case !c.admit():
			err = reachback.Refuse(reachback.CodeRateLimited)
		case m != nil:
			err = c.dispatch(m, handle)
		}
		if err != nil {
			c.end(err, told(err))
		}
	}
}

// admit applies the limit to one message.
func (c *channel) admit() bool {
	if c.limiter != nil && c.patient {
		c.limiter.Wait(c.ctx) // fails only when the channel has ended
		return true
	}
	return c.limiter == nil || c.limiter.Allow()
}

// told reports whether the peer can still be told why the channel ends.
func told(err error) bool {
	_, refused := errors.AsType[*reachback.Error](err)
	return refused || errors.Is(err, os.ErrDeadlineExceeded)
}

func readError(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return reachback.Refuse(reachback.CodeHeartbeatLost)
	case err == io.EOF:
		return errPeerLeft
	}
	return err
}

var errPeerLeft = errors.New("the peer closed the control channel")

// answered hands m to the request that waits for it, if one does.
func (c *channel) answered(m message) bool {
	re := m.head().Re
	if re == 0 {
		return false
	}
	c.mu.Lock()
	answer := c.answers[re]
	delete(c.answers, re)
	c.mu.Unlock()
	if answer == nil {
		return false
	}
	answer <- m // has room for one
	return true
}

// dispatch handles what is alike at both ends, and passes on the rest.
func (c *channel) dispatch(m message, handle func(message) error) error {
	switch m := m.(type) {
	case *pingMessage:
		c.send(&pongMessage{header{Re: m.ID}})
		return nil
	case *pongMessage:
		return nil
	case *closeMessage:
		c.end(&reachback.Error{Code: m.Code, Message: m.Code.Text()}, false)
		return nil
	}
	if m.head().Re != 0 {
		return nil // nobody waits for a late answer
	}
	return handle(m)
}

// write writes until the queue is empty, and then, when the channel has ended, the
// last message.
func (c *channel) write() {
	for {
		c.mu.Lock()
		ended := c.ctx.Err() != nil
		if len(c.queue) == 0 {
			if !ended {
				c.writing, c.queue = false, nil
				c.mu.Unlock()
				return
			}
			last := c.last
			c.mu.Unlock()
			c.leave(last)
			return
		}
		b := c.queue[0]
		c.queue = c.queue[1:]
		within := writeWithin
		if ended {
			within = closeWithin
		}
		// Under mu, or it could overwrite the shorter one of end.
		c.conn.SetWriteDeadline(time.Now().Add(within))
		c.mu.Unlock()
		if _, err := c.conn.Write(b); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = reachback.Refuse(reachback.CodeHeartbeatLost)
			}
			c.end(err, false)
			c.leave(nil)
			return
		}
	}
}

// leave closes the connection. Where there is a last message the peer gets it,
// and a bounded time to go first: to close a connection with unread bytes would
// reset it, and the peer could lose what it was told.
func (c *channel) leave(last []byte) {
	defer c.conn.Abort()
	if last == nil {
		return
	}
	c.conn.SetWriteDeadline(time.Now().Add(closeWithin))
	if _, err := c.conn.Write(last); err != nil {
		return
	}
	c.conn.CloseWrite()
	patience := time.NewTimer(closeWithin)
	defer patience.Stop()
	select {
	case <-c.readDone:
	case <-patience.C:
	}
}

// end ends the channel for that reason; the first one counts. With tell the peer
// gets it in a close message.
func (c *channel) end(cause error, tell bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(cause, tell)
}

func (c *channel) endLocked(cause error, tell bool) {
	if c.ctx.Err() != nil {
		return
	}
	if tell {
		e := reachback.AsError(cause)
		c.last, _ = appendMessage(nil, &closeMessage{Code: e.Code, Message: e.Message})
	} else {
		c.queue = nil
	}
	c.conn.SetWriteDeadline(time.Now().Add(closeWithin))
	c.cancel(cause)
	c.wakeLocked()
}

// wakeLocked makes sure that somebody writes.
func (c *channel) wakeLocked() {
	if !c.writing {
		c.writing = true
		c.writers.Go(c.write)
	}
}

// send queues a message. A full queue ends the channel.
func (c *channel) send(m message) error {
	b, err := appendMessage(nil, m)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return net.ErrClosed
	}
	if len(c.queue) >= cmp.Or(c.room, queueLength) {
		c.overflowed.Store(true)
		err := reachback.Refuse(reachback.CodeStalled)
		c.endLocked(err, false)
		return err
	}
	c.queue = append(c.queue, b)
	c.wakeLocked()
	return nil
}

// errChannelLost is what a request gets whose channel ends before its answer, or has
// ended already.
var errChannelLost error = &reachback.Error{Code: reachback.CodeHostNotConnected, Message: reachback.CodeHostNotConnected.Text()}

// request sends m and waits for its answer.
func (c *channel) request(ctx context.Context, m message) (message, error) {
	answer := make(chan message, 1)
	c.mu.Lock()
	if len(c.answers) >= maxRequests {
		c.mu.Unlock()
		return nil, reachback.Refuse(reachback.CodeTooManyWaiting)
	}
	if c.answers == nil {
		c.answers = make(map[uint64]chan message)
	}
	c.lastID++
	id := c.lastID
	c.answers[id] = answer
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.answers, id)
		c.mu.Unlock()
	}()
	m.head().ID = id
	if err := c.send(m); err != nil {
		if c.ctx.Err() != nil {
			err = errChannelLost
		}
		return nil, err
	}
	select {
	case got := <-answer:
		if r, ok := got.(*refuseMessage); ok {
			return nil, &reachback.Error{Code: r.Code, Message: r.Code.Text()}
		}
		return got, nil
	case <-c.ctx.Done():
		return nil, errChannelLost
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
