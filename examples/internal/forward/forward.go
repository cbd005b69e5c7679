// Package forward joins a local TCP connection with a session.
package forward

import (
	"errors"
	"io"
	"net"
	"sync"

	"github.com/reachback/reachback/transport"
)

var buffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// Join copies both ways until both directions have ended or one has failed, and
// closes both. It returns once nothing is left of either. Where the session failed
// the local connection is reset, so that its program does not take a cut for an
// end.
func Join(local net.Conn, session *transport.Conn) {
	var wg sync.WaitGroup
	wg.Go(func() {
		pump(session, local)
	})
	pump(local, session)
	wg.Wait()
	session.Close()
	local.Close()
}

// pump copies src to dst. The end of src is passed on as the end of that
// direction; a failure of either ends both directions.
func pump(dst, src net.Conn) {
	buf := buffers.Get().(*[64 << 10]byte)
	defer buffers.Put(buf)
	for {
		n, err := src.Read(buf[:])
		if n > 0 {
			if _, werr := dst.Write(buf[:n]); werr != nil {
				break
			}
		}
		if errors.Is(err, io.EOF) {
			if cw, ok := dst.(interface{ CloseWrite() error }); ok && cw.CloseWrite() == nil {
				return
			}
			break
		}
		if err != nil {
			break
		}
	}
	reset(dst)
	reset(src)
	dst.Close()
	src.Close()
}

// reset closes a local connection so that nothing of it looks like an end.
func reset(c net.Conn) {
	if local, ok := c.(*net.TCPConn); ok {
		local.SetLinger(0)
		local.Close()
	}
}
