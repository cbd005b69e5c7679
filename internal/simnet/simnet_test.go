package simnet_test

import (
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"github.com/reachback/reachback/internal/simnet"
)

func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		a, b := simnet.Pipe("10.0.0.1:1", "10.0.0.2:2")
		return a, b, func() { a.Close(); b.Close() }, nil
	})
}

func dial(t *testing.T) (client, server *simnet.Conn) {
	t.Helper()
	var n simnet.Network
	l, err := n.Listen("gw.example:443")
	require.NoError(t, err)
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		accepted <- c
	}()
	c, err := n.Dial(t.Context(), "tcp", "gw.example:443")
	require.NoError(t, err)
	return c.(*simnet.Conn), (<-accepted).(*simnet.Conn)
}

func TestNetwork(t *testing.T) {
	var n simnet.Network
	_, err := n.Dial(t.Context(), "tcp", "gw.example:443")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)

	l, err := n.Listen("gw.example:443")
	require.NoError(t, err)
	_, err = n.Listen("gw.example:443")
	require.ErrorIs(t, err, syscall.EADDRINUSE)

	require.NoError(t, l.Close())
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = n.Listen("gw.example:443")
	require.NoError(t, err, "the address is free again")
}

// An end, a reset and silence must differ as they do on TCP, or tests of what
// becomes of a session prove nothing.
func TestWaysToEnd(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    func(*testing.T)
	}{
		{"half-close", func(t *testing.T) {
			a, b := dial(t)
			_, err := a.Write([]byte("last words"))
			require.NoError(t, err)
			require.NoError(t, a.CloseWrite())
			got, err := io.ReadAll(b)
			require.NoError(t, err)
			require.Equal(t, "last words", string(got))
			_, err = b.Write([]byte("answer"))
			require.NoError(t, err, "the other direction lives")
		}},
		{"close", func(t *testing.T) {
			a, b := dial(t)
			_, err := a.Write([]byte("x"))
			require.NoError(t, err)
			require.NoError(t, a.Close())
			got, err := io.ReadAll(b)
			require.NoError(t, err)
			require.Equal(t, "x", string(got))
			_, err = b.Write([]byte("y"))
			require.ErrorIs(t, err, syscall.EPIPE)
			_, err = a.Read(make([]byte, 1))
			require.ErrorIs(t, err, net.ErrClosed)
		}},
		{"cut", func(t *testing.T) {
			a, b := dial(t)
			_, err := a.Write([]byte("lost"))
			require.NoError(t, err)
			b.Cut()
			for _, c := range []*simnet.Conn{a, b} {
				_, err = c.Read(make([]byte, 8))
				require.ErrorIs(t, err, syscall.ECONNRESET)
				_, err = c.Write([]byte("x"))
				require.ErrorIs(t, err, syscall.ECONNRESET)
			}
		}},
		{"freeze", func(t *testing.T) {
			a, b := dial(t)
			a.Freeze()
			_, err := a.Write([]byte("into the void"))
			require.NoError(t, err)
			start := time.Now()
			b.SetReadDeadline(start.Add(time.Hour))
			_, err = b.Read(make([]byte, 8))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.Equal(t, time.Hour, time.Since(start), "in virtual time")
		}},
		{"a full buffer holds the writer", func(t *testing.T) {
			a, b := dial(t)
			a.SetWriteDeadline(time.Now().Add(time.Minute))
			n, err := a.Write(make([]byte, simnet.BufferSize+1))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.Equal(t, simnet.BufferSize, n)
			_, err = io.CopyN(io.Discard, b, simnet.BufferSize)
			require.NoError(t, err)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) { synctest.Test(t, tt.f) })
	}
}
