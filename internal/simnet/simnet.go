// Package simnet is a network in memory for tests in virtual time: every wait in
// it is one that testing/synctest can see through. Its connections are like
// TCP's: buffered, with half-close and deadlines; and they can be cut or frozen.
package simnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// BufferSize is how many bytes one direction of a connection holds.
const BufferSize = 256 << 10

// A Network is a set of listeners by address. Its zero value is an empty one.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*Listener
	dialled   int
}

// Listen makes a listener at addr, "host:port", which must be free.
func (n *Network) Listen(addr string) (*Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners == nil {
		n.listeners = make(map[string]*Listener)
	}
	if n.listeners[addr] != nil {
		return nil, fmt.Errorf("simnet: listen %s: %w", addr, syscall.EADDRINUSE)
	}
	l := &Listener{network: n, addr: Addr(addr), conns: make(chan *Conn), done: make(chan struct{})}
	n.listeners[addr] = l
	return l, nil
}

// Dial connects to the listener at addr. It fits the NetDial fields of dialers.
func (n *Network) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[addr]
	n.dialled++
	local := Addr(fmt.Sprintf("10.0.%d.%d:%d", n.dialled>>8&255, n.dialled&255, 1024+n.dialled%60000))
	n.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: Addr(addr), Err: syscall.ECONNREFUSED}
	}
	a, b := Pipe(local, l.addr)
	select {
	case l.conns <- b:
		return a, nil
	case <-l.done:
		return nil, &net.OpError{Op: "dial", Net: network, Addr: Addr(addr), Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Addr is an address of a simulated network.
type Addr string

func (a Addr) Network() string { return "tcp" }
func (a Addr) String() string  { return string(a) }

// A Listener is a [net.Listener] of a [Network].
type Listener struct {
	network *Network
	addr    Addr
	conns   chan *Conn
	once    sync.Once
	done    chan struct{}
}

func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *Listener) Close() error {
	l.once.Do(func() {
		l.network.mu.Lock()
		delete(l.network.listeners, string(l.addr))
		l.network.mu.Unlock()
		close(l.done)
	})
	return nil
}

func (l *Listener) Addr() net.Addr { return l.addr }

// A Conn is one end of a simulated connection.
type Conn struct {
	in, out       *pipe
	local, remote Addr
}

// Pipe returns the two ends of a connection between the addresses.
func Pipe(a, b Addr) (*Conn, *Conn) {
	x, y := newPipe(), newPipe()
	return &Conn{in: x, out: y, local: a, remote: b}, &Conn{in: y, out: x, local: b, remote: a}
}

func (c *Conn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *Conn) Write(p []byte) (int, error) { return c.out.write(p) }
func (c *Conn) LocalAddr() net.Addr         { return c.local }
func (c *Conn) RemoteAddr() net.Addr        { return c.remote }

// Close ends both directions: the peer reads what was sent, then io.EOF, and its
// writes fail.
func (c *Conn) Close() error {
	c.out.end(io.EOF, io.ErrClosedPipe, false)
	c.in.end(net.ErrClosed, syscall.EPIPE, true)
	return nil
}

// CloseWrite ends the outgoing direction.
func (c *Conn) CloseWrite() error {
	c.out.end(io.EOF, io.ErrClosedPipe, false)
	return nil
}

// Cut breaks the connection: both ends get a reset at once.
func (c *Conn) Cut() {
	c.in.end(syscall.ECONNRESET, syscall.ECONNRESET, true)
	c.out.end(syscall.ECONNRESET, syscall.ECONNRESET, true)
}

// Freeze makes the connection swallow everything from now on, like a pulled
// cable: neither end reads, and neither hears why.
func (c *Conn) Freeze() {
	c.in.freeze()
	c.out.freeze()
}

func (c *Conn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.rd.set(c.in, t)
	return nil
}

func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.wd.set(c.out, t)
	return nil
}

// pipe is one direction. mu guards all of it; cond wakes on every change.
type pipe struct {
	mu     sync.Mutex
	cond   sync.Cond
	buf    []byte
	frozen bool
	rerr   error // what reads return once buf is empty
	werr   error
	rd, wd deadline
}

func newPipe() *pipe {
	p := &pipe{}
	p.cond.L = &p.mu
	return p
}

var errTimeout = fmt.Errorf("simnet: %w", os.ErrDeadlineExceeded)

type timeoutError struct{ error }

func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }
func (e timeoutError) Unwrap() error { return e.error }

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case errors.Is(p.rerr, net.ErrClosed):
			return 0, p.rerr
		case p.rd.expired:
			return 0, timeoutError{errTimeout}
		case len(b) == 0:
			return 0, nil
		case len(p.buf) > 0 && !p.frozen:
			n := copy(b, p.buf)
			if p.buf = p.buf[n:]; len(p.buf) == 0 {
				p.buf = nil
			}
			p.cond.Broadcast()
			return n, nil
		case p.rerr != nil && !p.frozen:
			return 0, p.rerr
		}
		p.cond.Wait()
	}
}

func (p *pipe) write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.werr != nil:
			return n, p.werr
		case p.wd.expired:
			return n, timeoutError{errTimeout}
		case len(b) == 0:
			return n, nil
		}
		if room := BufferSize - len(p.buf); room > 0 {
			k := min(room, len(b))
			p.buf = append(p.buf, b[:k]...)
			b, n = b[k:], n+k
			p.cond.Broadcast()
			continue
		}
		p.cond.Wait()
	}
}

// end sets what reads and writes return from now on; drop discards what waits.
func (p *pipe) end(rerr, werr error, drop bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rerr == nil || drop && errors.Is(rerr, net.ErrClosed) {
		p.rerr = rerr
	}
	if p.werr == nil {
		p.werr = werr
	}
	if drop {
		p.buf = nil
	}
	p.cond.Broadcast()
}

func (p *pipe) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = true
}

// deadline is guarded by its pipe's mu.
type deadline struct {
	timer   *time.Timer
	expired bool
	gen     int
}

func (d *deadline) set(p *pipe, t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.gen++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.expired = false
	if t.IsZero() {
		return
	}
	after := time.Until(t)
	if after <= 0 {
		d.expired = true
		p.cond.Broadcast()
		return
	}
	gen := d.gen
	d.timer = time.AfterFunc(after, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if d.gen == gen {
			d.expired = true
			p.cond.Broadcast()
		}
	})
}
