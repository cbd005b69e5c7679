// Package transport is what applications use: a dialer for clients, a listener
// for session hosts, and the connection between them.
//
// A host listens by keeping a control channel to its broker; it opens no port.
// A client dials a resource by its id. Both get a [Conn], which is a [net.Conn],
// so that any program that knows connections can stand at either end:
//
//	l, err := (&transport.ListenConfig{Agent: agent}).Listen(ctx) // on the host
//	conn, err := dialer.DialContext(ctx, "tcp", "desktop")        // at the client
//
// Between the two is a gateway. It sees the inner TLS, version 1.3, in which the
// client accepts only the host key that the broker's grant names, and the host
// only the client key that the broker's summon names. A gateway can break a
// session, and cannot read or make one.
//
// The exception is a raw call, made by a stock RDP client: its bytes arrive as
// they are, and what protects them from the gateway is RDP's own TLS, if the
// client checks the host's certificate. A listener takes raw calls only where
// ListenConfig.AllowRaw is set.
//
// A session ends with a code, which [Conn.Err] tells. While it lives each end
// sends a sign of life every 10 s, and gives the other up after 25 s of silence.
package transport
