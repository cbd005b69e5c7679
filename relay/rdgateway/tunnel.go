package rdgateway

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/framing"
	"github.com/reachback/reachback/internal/printable"
	"github.com/reachback/reachback/relay"
)

// A tunnel is one client's, from its request on. The goroutine that serves it owns
// it, but for Close.
type tunnel struct {
	h        *Handler
	from     netip.AddrPort
	deadline time.Time
	setup    *setup
	ending   context.Context // until Close of h, or until it gives way
	end      context.CancelFunc

	out *carrier.Conn
	in  *inbound // over out in a WebSocket, over the other connection elsewhere

	state    state
	resource string // that the token is for
	spliced  bool   // the connections are the relay's
}

// inAnswer is what a client gets on IN, when its tunnel has ended.
const inAnswer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

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

// two reports whether the client's packets come on another connection than out.
func (t *tunnel) two() bool { return t.in != nil && t.in.conn != t.out }

// giveWay ends the tunnel in favour of another.
func (t *tunnel) giveWay() {
	t.end()
	t.h.Relay.Refuse(t.from, reachback.Refuse(reachback.CodeTooManyWaiting))
}

// finish gives up what the tunnel holds.
func (t *tunnel) finish() {
	t.setup.done()
	t.end()
	if t.spliced {
		return
	}
	t.out.Close()
	if t.two() {
		t.in.end([]byte(inAnswer))
	}
}

// serve sets the tunnel up and carries its session.
func (t *tunnel) serve() {
	in := t.in // which is let go of when the relay has it
	in.conn.SetDeadline(t.deadline)
	defer context.AfterFunc(t.ending, func() {
		t.out.Abort()
		in.Close()
	})()
	c, err := t.negotiate()
	t.setup.done()
	if err == nil {
		t.out.SetDeadline(time.Time{})
		t.in.conn.SetDeadline(time.Time{})
		t.call(c)
	}
}

// negotiate answers the client's packets up to the one that names its resource. With an
// error the client has been told, if it was to be.
func (t *tunnel) negotiate() (*relay.Call, error) {
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
	t.in.watch(cancel)
	p, err := t.h.Relay.Open(ctx, c)
	gone := t.in.rest()
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
	t.in, t.spliced = nil, true
	p.Splice(conn)
}

// leg returns the client's leg for the relay.
func (t *tunnel) leg() (*framing.Conn, error) {
	w := wrapper{every: t.h.Limits.keepAlive()}
	n, _, err := w.unpack.strip(t.in.come)
	if err == io.EOF {
		return nil, reachback.Refuse(reachback.CodeClientLost)
	}
	if err != nil {
		return nil, protocolError(err)
	}
	c := &framing.Conn{Conn: t.out, Early: slices.Clone(t.in.come[:n])}
	switch coding := t.in.coding.(type) {
	case *deframer:
		c.Framing = &webSocketFraming{wrapper: w, frames: *coding}
	case *dechunker:
		c.In, c.Answer = t.in.conn, []byte(inAnswer)
		c.Framing = &packetFraming{wrapper: w, chunks: *coding}
	}
	return c, nil
}

// next returns the client's next packet, whose body is good until the next call. With
// an error the client has been told.
func (t *tunnel) next() (packetType, []byte, error) {
	p, body, err := t.in.next()
	switch {
	case reachback.CodeOf(err) != reachback.CodeProtocolError:
	case p == tunnelCreate && t.state == wantTunnel: // no token is that long
		t.refuse(p, t.h.Relay.Refuse(t.from, reachback.Refuse(reachback.CodeTokenInvalid)))
	default:
		t.refuse(p, t.h.Relay.Refuse(t.from, err))
	}
	return p, body, err
}

// frame returns packets as they are sent.
func (t *tunnel) frame(packets []byte) []byte {
	if t.two() {
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
	if !t.two() {
		b = append(b, newCloseFrame(closeCodeOf(e.Code))...)
	}
	sayLast(t.out, b)
	return err
}
