// Package carrier opens and accepts the connections that everything else of
// reachback runs on: TLS to a gateway or broker, then one HTTP/1.1 Upgrade whose
// answer, 101, comes when the thing asked for is ready; after it the stream is
// bare (SPEC.md, section 2).
package carrier

import "time"

const (
	// ALPN is offered by our own peers ahead of http/1.1, which is what the
	// server chooses. The offer tells the server to ask for a client
	// certificate; browsers, which do not make it, are never asked.
	ALPN = "reachback/1"

	// HandshakeTimeout and HeadTimeout are absolute, from the first byte
	// awaited to the last.
	HandshakeTimeout = 5 * time.Second
	HeadTimeout      = 5 * time.Second

	// MaxHead bounds a request's or an answer's head, and MaxRefusal the
	// body of a refusal.
	MaxHead    = 20 << 10
	MaxRefusal = 4 << 10

	// KeepAlive and UserTimeout are set on outer connections that live long.
	KeepAlive   = 15 * time.Second
	UserTimeout = 30 * time.Second

	// Paths of the requests.
	PathControl = "/reachback/v1/control"
	PathCall    = "/reachback/v1/call"
	PathAnswer  = "/reachback/v1/answer"
	PathEnrol   = "/reachback/v1/enrol"
	PathConnect = "/reachback/v1/connect"
	PathHealth  = "/reachback/v1/health"
	PathKeys    = "/reachback/v1/keys"

	// Header fields of ours.
	HeaderCall        = "Reachback-Call"
	HeaderTicket      = "Reachback-Ticket"
	HeaderNonce       = "Reachback-Nonce"
	HeaderGrant       = "Reachback-Grant"
	HeaderCorrelation = "Reachback-Correlation-Id"
)
