//go:build linux || darwin

package relay

import (
	"io"

	"golang.org/x/sys/unix"
)

// canTry says whether receive works.
const canTry = true

// receive reads what has come to the socket, into p and then into more. It fails
// with errDry where nothing has, and with io.EOF at the end.
func receive(fd uintptr, p, more []byte) (n int, err error) {
	for {
		if more == nil {
			n, err = unix.Read(int(fd), p)
		} else {
			n, err = unix.Readv(int(fd), [][]byte{p, more})
		}
		switch {
		case n > 0:
			return n, nil
		case err == nil:
			return 0, io.EOF
		case err == unix.EAGAIN:
			return 0, errDry
		case err != unix.EINTR:
			return 0, err
		}
	}
}
