// Package rdgateway lets stock RDP clients call: it is the front door of a relay
// for those that speak the RD Gateway protocol ([MS-TSGU] over HTTP, sections 2.2.3,
// 2.2.10 and 3.3.5), which is mstsc, FreeRDP and Remmina with nothing but a .rdp file, and for
// those that carry bare RDP in one WebSocket.
//
//	RDP client ── RDG_OUT_DATA, RDG_IN_DATA ──▶ Handler ── raw call ──▶ relay.Relay
//
// The token of the call comes as the client's PAA cookie, the text of
// gatewayaccesstoken in its file, and the name that it wants to reach is the
// resource's id. Everything else is as in any raw call: the broker picks the host,
// the host dials out, and RDP's own TLS goes end to end. Nothing that a client says
// makes the gateway dial.
//
// A client has one absolute deadline from its request to the last packet before its
// session, every packet a largest size, and every address a largest number of
// tunnels that are not set up yet ([Limits]); of all addresses there is one too, at
// which those that have shown no good token give way. X-Forwarded-For and its like are not
// read. What it is told of a refusal is in the table of code.go.
package rdgateway

import (
	"container/list"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/relay"
)

const (
	// Path is where clients of the RD Gateway protocol come, with the methods
	// RDG_OUT_DATA and RDG_IN_DATA.
	Path = "/remoteDesktopGateway/"
	// RawPath is where RDP comes in one WebSocket, with GET and a bearer token
	// (SPEC.md, section 3).
	RawPath = "/reachback/v1/rdp"
)

// A Handler speaks the RD Gateway protocol to stock clients and opens raw calls at
// Relay. Mount it at [Path] and [RawPath] of the server that Relay is on, which
// [relay.ConfigureServer] has made ready. End it with Close, after the Relay's
// Shutdown or Close.
type Handler struct {
	Relay  *relay.Relay // required
	Limits Limits
	Logger *slog.Logger // nil is silent; refusals of calls and their ends are logged by Relay

	start   sync.Once
	ending  context.Context // until Close calls end
	end     context.CancelFunc
	tunnels sync.WaitGroup // Close waits for them

	mu        sync.Mutex // guards everything below
	closed    bool
	setups    map[netip.Prefix]int
	inSetup   int
	strangers list.List              // of *setup, those whose token nobody has seen yet, the oldest first
	live      map[io.Closer]struct{} // what Close closes
	pairs     map[pairKey]*pair      // by connection id, as long as one of the two halves is there
}

// Limits bound what clients can make a Handler hold before they have called. Zero
// or less means the default in parentheses; no value means no limit.
type Limits struct {
	PerAddress int           // tunnels of one address (IPv6: /64) that are being set up (32)
	InAll      int           // tunnels of all addresses that are being set up; then those without a token give way (4096)
	Setup      time.Duration // from the request to the packet that names the resource, absolute (30 s)
	KeepAlive  time.Duration // between two keepalives to a client of the RD Gateway protocol (45 s)
}

func (l Limits) perAddress() int          { return orElse(l.PerAddress, 32) }
func (l Limits) inAll() int               { return orElse(l.InAll, 4096) }
func (l Limits) setup() time.Duration     { return orElse(l.Setup, 30*time.Second) }
func (l Limits) keepAlive() time.Duration { return orElse(l.KeepAlive, 45*time.Second) }

func orElse[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// ServeHTTP serves [Path] and [RawPath], and nothing else.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.begin()
	from := carrier.Remote(r)
	serve := h.serveRaw
	switch r.URL.Path {
	case RawPath:
	case Path:
		serve = h.serveGateway
	default:
		carrier.Refuse(w, reachback.Refuse(reachback.CodeNotFound), "")
		return
	}
	if err := h.Relay.Knock(from.Addr()); err != nil {
		carrier.Refuse(w, err, "")
		return
	}
	if err := serve(w, r, from); err != nil {
		carrier.Refuse(w, err, "")
	}
}

func (h *Handler) begin() {
	h.start.Do(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ending, h.end = context.WithCancel(context.Background())
		h.setups = make(map[netip.Prefix]int)
		h.live = make(map[io.Closer]struct{})
		h.pairs = make(map[pairKey]*pair)
	})
}

// Close ends every tunnel, also those with a session, and waits for them. It is
// safe to call more than once; what comes later is refused.
func (h *Handler) Close() error {
	h.begin()
	h.mu.Lock()
	h.closed = true
	h.end()
	for c := range h.live {
		c.Close()
	}
	h.mu.Unlock()
	h.tunnels.Wait()
	return nil
}

// run runs f in a goroutine that Close waits for, and which it ends by closing c.
func (h *Handler) run(c io.Closer, f func()) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		c.Close()
		return reachback.Refuse(reachback.CodeDraining)
	}
	h.live[c] = struct{}{}
	h.tunnels.Go(func() {
		defer func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			delete(h.live, c)
		}()
		f()
	})
	return nil
}

// until returns ctx, which Close ends too.
func (h *Handler) until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(h.ending, cancel)
	return ctx, func() { stop(); cancel() }
}

func (h *Handler) log() *slog.Logger {
	if h.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return h.Logger
}
