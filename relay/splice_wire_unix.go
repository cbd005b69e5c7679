//go:build unix

package relay

import (
	"io"
	"syscall"
)

// canTry says whether receive works.
const canTry = true

// receive reads what has come to the socket. It fails with errDry where nothing
// has, and with io.EOF at the end.
func receive(fd uintptr, p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(fd), p)
		switch {
		case n > 0:
			return n, nil
		case err == nil:
			return 0, io.EOF
		case err == syscall.EAGAIN:
			return 0, errDry
		case err != syscall.EINTR:
			return 0, err
		}
	}
}
