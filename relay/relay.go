// Package relay is the gateway: it joins a client's leg with a host's leg and
// copies bytes that it cannot read.
package relay

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/reachback/reachback"
)

// A Relay pairs calls with answers. Set its fields, then use it as an
// [http.Handler] on a server made ready by [ConfigureServer].
type Relay struct {
	// Orchestrator is asked about each call. Required.
	Orchestrator Orchestrator
	// URL is the base URL under which hosts reach this very instance. Required.
	URL    string
	Limits Limits
	Logger *slog.Logger // nil is silent
}

// Limits bound what peers can make a relay hold. Zero means the default in
// parentheses, and no value means no limit.
type Limits struct {
	WaitingPerAddress int           // requests of one address (IPv6: /64) whose token is not verified yet (32)
	WaitingPerUser    int           // calls of one user that wait for their host (32)
	CallTimeout       time.Duration // how long a call waits for its host (15 s)
	WriteTimeout      time.Duration // how long a leg may take no bytes before the pair is cut (2 min)
}

// Stats are numbers of a relay since its start; those named Waiting and Joined
// are as of now.
type Stats struct {
	Waiting  int // calls that wait for their host
	Joined   int // joined pairs
	Calls    int64
	Answers  int64
	ToHost   int64
	ToClient int64
	Refused  map[reachback.Code]int64
	Ended    map[reachback.Code]int64
}

// ServeHTTP serves call, answer and health.
func (r *Relay) ServeHTTP(w http.ResponseWriter, req *http.Request) { panic("to be written") }

// Open decides about c, whose Token, Nonce, Remote and Raw are set, and returns
// when the host's leg is there.
func (r *Relay) Open(ctx context.Context, c *Call) (*Pending, error) { panic("to be written") }

// A Pending is a permitted call whose host's leg is there and waits.
type Pending struct{ Permit *Permit }

// Splice tells the host's leg that it is joined and copies until both directions
// have ended. It closes both legs.
func (p *Pending) Splice(client net.Conn) error { panic("to be written") }

// Close gives the call up, with the code that the host's leg and the records get.
func (p *Pending) Close(c reachback.Code) { panic("to be written") }

// Disconnect ends the joined legs of a session and returns how many pairs there were.
func (r *Relay) Disconnect(session string, c reachback.Code) int { panic("to be written") }

// Stats returns the relay's numbers.
func (r *Relay) Stats() Stats { panic("to be written") }

// Shutdown refuses new calls and waits until the joined pairs have ended, or
// until ctx ends and with it the pairs. It then waits for the relay's goroutines.
func (r *Relay) Shutdown(ctx context.Context) error { panic("to be written") }

// Close ends everything at once and waits for the relay's goroutines.
func (r *Relay) Close() error { panic("to be written") }

// ConfigureServer makes s ready for a Relay and a Broker: the ALPN offer of our
// peers, the request for their certificates, absolute deadlines for handshake
// and head, bounds. s.TLSConfig must hold the server's certificate.
func ConfigureServer(s *http.Server) error { panic("to be written") }
