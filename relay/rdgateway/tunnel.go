package rdgateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/framing"
	"github.com/reachback/reachback/internal/printable"
	"github.com/reachback/reachback/internal/token"
	"github.com/reachback/reachback/relay"
)

// A state is that of a tunnel ([MS-TSGU] 3.3.5.3), named for what it waits for.
//
//	wantHandshake ─▶ wantTunnel ─▶ wantAuth ─▶ wantChannel ─▶ calling ─▶ (the relay's pair)
//	      └──────────────┴────────────┴─────────────┴────────────┴─────▶ closed
//
// Each packet of a client has one state in which it may come and is answered before
// the next one, CLOSE_CHANNEL has all; closed comes from that one, from any refusal,
// and from the deadline. While the relay opens the call the gateway is silent:
// clients take anything but CHANNEL_RESPONSE for an error.
type state int

const (
	wantHandshake state = iota
	wantTunnel
	wantAuth
	wantChannel
	calling
	closed
)

func (s state) String() string {
	return [...]string{"want handshake", "want tunnel", "want auth", "want channel", "calling", "closed"}[s]
}

// after returns the state behind a packet of the client.
func (s state) after(t packetType) (state, error) {
	switch {
	case t == closeChannel:
		return closed, nil
	case s == wantHandshake && t == handshakeRequest:
		return wantTunnel, nil
	case s == wantTunnel && t == tunnelCreate:
		return wantAuth, nil
	case s == wantAuth && t == tunnelAuth:
		return wantChannel, nil
	case s == wantChannel && t == channelCreate:
		return calling, nil
	}
	return closed, reachback.Refuse(reachback.CodeProtocolError)
}

// goodbye is how long a client that was refused may take to close.
const goodbye = 500 * time.Millisecond

// A tunnel is one client's, from its request on. The goroutine that serves it owns
// it, but for Close.
type tunnel struct {
	h        *Handler
	from     netip.AddrPort
	deadline time.Time
	setup    *setup
	ending   context.Context // until Close of h, or until it gives way
	end      context.CancelFunc

	out    *carrier.Conn
	in     *inbound  // the client's bytes, where they do not come on out
	frames *deframer // of the WebSocket, without in

	state    state
	come     []byte // packets of the client that were not looked at yet
	resource string // that the token is for
}

// newTunnel takes the connection of w for a tunnel that is being set up.
func (h *Handler) newTunnel(w http.ResponseWriter, from netip.AddrPort) (*tunnel, error) {
	t := &tunnel{h: h, from: from, deadline: time.Now().Add(h.Limits.setup())}
	t.ending, t.end = context.WithCancel(h.ending)
	var err error
	if t.setup, err = h.setUp(from.Addr(), t.giveWay); err != nil {
		t.end()
		return nil, err
	}
	if t.out, err = carrier.Hijack(w); err != nil {
		t.setup.done()
		t.end()
		return nil, err
	}
	t.out.SetDeadline(t.deadline)
	return t, nil
}

// Close ends the tunnel at once, whatever it does.
func (t *tunnel) Close() error { return t.out.Abort() }

// giveWay ends the tunnel in favour of another.
func (t *tunnel) giveWay() {
	t.end()
	t.h.Relay.Refuse(t.from, reachback.Refuse(reachback.CodeTooManyWaiting))
}

// finish gives up what the tunnel holds.
func (t *tunnel) finish() {
	t.setup.done()
	t.end()
	t.out.Close()
}

// serve sets the tunnel up and carries its session.
func (t *tunnel) serve() {
	late := func() bool { return true }
	if t.in != nil { // out has its deadline
		late = time.AfterFunc(time.Until(t.deadline), func() { t.in.Close() }).Stop
	}
	defer context.AfterFunc(t.ending, func() {
		t.out.Abort()
		if t.in != nil {
			t.in.Close()
		}
	})()
	c, err := t.setUp()
	late()
	t.setup.done()
	if err == nil {
		t.out.SetDeadline(time.Time{})
		t.call(c)
	}
}

// setUp answers the client's packets up to the one that names its resource. With an
// error the client has been told, if it was to be.
func (t *tunnel) setUp() (*relay.Call, error) {
	c := &relay.Call{Remote: t.from, Raw: true}
	for {
		p, body, err := t.next()
		if err != nil {
			return nil, err
		}
		if t.state, err = t.state.after(p); err != nil {
			return nil, t.refuse(p, t.h.Relay.Refuse(t.from, err))
		}
		var answer []byte
		switch p {
		case handshakeRequest:
			answer, err = t.handshake(body)
		case tunnelCreate:
			answer, err = t.create(c, body)
		case tunnelAuth:
			answer, err = t.authorize(body)
		case channelCreate:
			return c, t.name(c, body)
		case closeChannel:
			t.send(t.frame(newClose(closeChannelResponse, ok)))
			return nil, io.EOF
		}
		if err != nil {
			return nil, err
		}
		if err := t.send(t.frame(answer)); err != nil {
			return nil, err
		}
	}
}

func (t *tunnel) handshake(body []byte) (answer []byte, err error) {
	hs, err := parseHandshake(body)
	switch {
	case err != nil:
		err = reachback.Refuse(reachback.CodeProtocolError)
	case hs.Major > 1:
		err = reachback.Refuse(reachback.CodeVersionUnsupported)
	case hs.Auth&authPAA == 0:
		err = reachback.Refuse(reachback.CodeTokenMissing)
	default:
		return newHandshakeResponse(ok, hs), nil
	}
	return nil, t.refuse(handshakeRequest, t.h.Relay.Refuse(t.from, err))
}

// create checks the token as far as that goes without spending it, so that a client
// learns here what is wrong with it, and not from its channel.
func (t *tunnel) create(c *relay.Call, body []byte) (answer []byte, err error) {
	if c.Token, err = parseTunnelCreate(body); err != nil {
		return nil, t.refuse(tunnelCreate, t.h.Relay.Refuse(t.from, reachback.Refuse(reachback.CodeTokenInvalid)))
	}
	if t.resource, err = t.h.Relay.Check(c); err != nil {
		return nil, t.refuse(tunnelCreate, err)
	}
	t.setup.known()
	return newTunnelResponse(ok), nil
}

func (t *tunnel) authorize(body []byte) (answer []byte, err error) {
	name, err := parseTunnelAuth(body)
	if err != nil {
		return nil, t.refuse(tunnelAuth, t.h.Relay.Refuse(t.from, reachback.Refuse(reachback.CodeProtocolError)))
	}
	t.h.log().Debug("tunnel set up", slog.Any("remote", t.from), slog.String("client", printable.Text(name, printable.MaxLen)))
	return newTunnelAuthResponse(ok), nil
}

// name sets the resource that a CHANNEL_CREATE names. Whether it is the token's the
// relay decides, with everything else about the call.
func (t *tunnel) name(c *relay.Call, body []byte) error {
	ch, err := parseChannelCreate(body)
	if err != nil || ch.Protocol != protocolRDP {
		return t.refuse(channelCreate, t.h.Relay.Refuse(t.from, reachback.Refuse(reachback.CodeProtocolError)))
	}
	if c.Resource = ch.pick(t.resource); c.Resource != t.resource {
		t.h.log().Info("client names another computer", slog.Any("remote", t.from),
			slog.String("name", printable.Text(c.Resource, printable.MaxLen)), slog.String("resource", printable.Clip(t.resource)))
	}
	return nil
}

// portRDP is the only port of a resource: it has no others.
const portRDP = 3389

// pick returns the resource if one of the names is it, and otherwise the name that
// is wanted first. Nothing is ever dialled by such a name.
func (c channel) pick(resource string) string {
	if c.Port != portRDP {
		return c.Names[0] + ":" + strconv.Itoa(int(c.Port))
	}
	for _, n := range c.Names {
		if strings.EqualFold(n, resource) { // a host name to the client
			return resource
		}
	}
	return c.Names[0] + ":" // of a resource no name ends so, whatever the client says
}

// call opens the call, and carries its session until that ends.
func (t *tunnel) call(c *relay.Call) {
	ctx, cancel := t.h.until(context.Background())
	defer cancel()
	stop := t.watch(cancel)
	p, err := t.h.Relay.Open(ctx, c)
	gone := stop()
	switch {
	case err != nil && reachback.CodeOf(err) != reachback.CodeClientLost:
		t.refuse(channelCreate, err)
		return
	case err != nil:
		return
	case gone != nil:
		p.Close(reachback.CodeClientLost)
		return
	}
	conn, err := t.leg()
	if err != nil { // it has closed, or broken the protocol, while it waited
		p.Close(reachback.CodeOf(err))
		t.refuse(channelCreate, err)
		return
	}
	t.frames, t.come = nil, nil
	p.Splice(conn)
}

// leg returns the client's leg for the relay.
func (t *tunnel) leg() (*framing.Conn, error) {
	w := wrapper{every: t.h.Limits.keepAlive()}
	n, _, err := w.unpack.strip(t.come)
	if err == io.EOF {
		return nil, reachback.Refuse(reachback.CodeClientLost)
	}
	if err != nil {
		return nil, protocolError(err)
	}
	c := &framing.Conn{Conn: t.out, Early: slices.Clone(t.come[:n])}
	if t.in == nil {
		c.Framing = &webSocketFraming{wrapper: w, frames: *t.frames}
	} else {
		c.In, c.Framing = t.in, &packetFraming{w}
	}
	return c, nil
}

// maxWaiting is what a client may send while its call waits, where it is to send
// nothing, before it is not read any more.
const maxWaiting = 4 << 10

// watch notices a client that leaves while its call waits for the host, and calls
// gone then. stop ends the watch, and returns an error where the client has left.
func (t *tunnel) watch(gone func()) (stop func() error) {
	done := make(chan error, 1)
	if t.in != nil {
		t.in.lookAhead()
		ended := make(chan struct{})
		go func() { // ends with stop
			select {
			case <-t.in.gone:
				gone()
				done <- io.EOF
			case <-ended:
				done <- nil
			}
		}()
		return func() error {
			close(ended)
			return <-done
		}
	}
	go func() { // ends with stop, or before
		for len(t.come) < maxWaiting {
			if err := t.fill(); err != nil {
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
	return func() error {
		t.out.SetReadDeadline(time.Unix(1, 0))
		stuck := time.AfterFunc(goodbye, func() { t.out.Abort() }) // a pong that is not taken
		defer stuck.Stop()
		err := <-done
		t.out.SetReadDeadline(time.Time{})
		return err
	}
}

// maxSetUp bounds a packet of the set-up: the longest token there is in UTF-16, and
// more than clients have beside it.
const maxSetUp = 2*token.MaxLen + 8<<10

// next returns the client's next packet, whose body is good until the next call.
func (t *tunnel) next() (p packetType, body []byte, err error) {
	for {
		if len(t.come) >= headerLen {
			p, n, err := parseHeader(t.come)
			switch {
			case err != nil:
				return 0, nil, t.refuse(0, t.h.Relay.Refuse(t.from, reachback.Refuse(reachback.CodeProtocolError)))
			case n > maxSetUp && p == tunnelCreate && t.state == wantTunnel:
				return 0, nil, t.refuse(p, t.h.Relay.Refuse(t.from, reachback.Refuse(reachback.CodeTokenInvalid)))
			case n > maxSetUp:
				return 0, nil, t.refuse(p, t.h.Relay.Refuse(t.from, reachback.Refuse(reachback.CodeProtocolError)))
			}
			if len(t.come) >= n {
				body, t.come = t.come[headerLen:n], t.come[n:]
				return p, body, nil
			}
		}
		if err := t.fill(); err != nil {
			if code := reachback.CodeOf(err); code == reachback.CodeProtocolError {
				t.refuse(0, t.h.Relay.Refuse(t.from, err))
			}
			return 0, nil, err
		}
	}
}

// watchOut notices a client that closes OUT, where it has nothing to send, while it
// has not come with IN. stop must be called.
func (t *tunnel) watchOut() (gone <-chan struct{}, stop func()) {
	left, done := make(chan struct{}), make(chan struct{})
	go func() { // ends with stop, or before
		defer close(done)
		b := make([]byte, 512)
		for range maxWaiting / len(b) {
			if _, err := t.out.Read(b); err != nil {
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					close(left)
				}
				return
			}
		}
	}()
	return left, func() {
		t.out.SetReadDeadline(time.Unix(1, 0))
		<-done
		t.out.SetReadDeadline(t.deadline)
	}
}

// fill takes what the client has sent, without its frames.
func (t *tunnel) fill() error {
	buf := make([]byte, 2<<10)
	if t.in != nil {
		n, err := t.in.Read(buf)
		t.come = append(t.come, buf[:n]...)
		return err
	}
	n, err := t.out.Read(buf)
	n, answer, ferr := t.frames.strip(buf[:n])
	t.come = append(t.come, buf[:n]...)
	if len(answer) > 0 {
		if werr := t.send(answer); werr != nil {
			return werr
		}
	}
	if ferr != nil {
		return protocolError(ferr)
	}
	return err
}

// frame returns packets as they are sent.
func (t *tunnel) frame(packets []byte) []byte {
	if t.in != nil {
		return packets
	}
	return newFrame(opBinary, packets)
}

func (t *tunnel) send(b []byte) error {
	_, err := t.out.Write(b)
	return err
}

// refuse answers p with err's status, where p has an answer, and waits a moment for
// the client to close: never for its Close frame, which FreeRDP 2 answers with
// another one. It returns err.
func (t *tunnel) refuse(p packetType, err error) error {
	e := reachback.AsError(err)
	t.state = closed
	var b []byte
	if r := response(p, e.Code); r != nil {
		b = t.frame(r)
	}
	if t.in == nil {
		b = append(b, newCloseFrame(closeCodeOf(e.Code))...)
	}
	t.out.SetDeadline(time.Now().Add(goodbye))
	if t.send(b) == nil && t.out.CloseWrite() == nil {
		io.Copy(io.Discard, t.out.NetConn())
	}
	return err
}

// response is the refusal of a packet, nil for one that has none.
func response(p packetType, c reachback.Code) []byte {
	s := statusOf(c)
	switch p {
	case handshakeRequest:
		if c == reachback.CodeTokenMissing {
			s = unsupportedAuth
		}
		return newHandshakeResponse(s, handshake{Major: 1})
	case tunnelCreate:
		return newTunnelResponse(s)
	case tunnelAuth:
		return newTunnelAuthResponse(s)
	case channelCreate:
		return newChannelResponse(s)
	}
	return nil
}
