//go:build !linux

package carrier

import "net"

// setUserTimeout does nothing where the system has no such option; keepalive and
// the protocols' own heartbeats remain.
func setUserTimeout(net.Conn) {}
