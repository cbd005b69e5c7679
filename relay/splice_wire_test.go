package relay

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/internal/simnet"
)

// tlsRecord is a record as it travels, of n bytes after its header.
func tlsRecord(n int) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{23, 3, 3}, uint16(n)), bytes.Repeat([]byte{byte(n)}, n)...)
}

// The buffer of crypto/tls grows for good when it is given more than a record.
func TestWireGivesNoPartOfTwoRecords(t *testing.T) {
	var stream []byte
	ends := map[int]bool{} // of headers and of records
	for _, n := range []int{10, 16401, 16401, 0, 300, 16401, 1} {
		ends[len(stream)+headerSize] = true
		stream = append(stream, tlsRecord(n)...)
		ends[len(stream)] = true
	}
	for _, tt := range []struct {
		name    string
		connect func() (near, far net.Conn)
	}{{"sockets", loopback(t)}, {"simulated", simulated}} {
		t.Run(tt.name, func(t *testing.T) {
			near, far := tt.connect()
			defer near.Close()
			defer far.Close()
			w := &wire{Conn: near}
			w.begin(spliceTimeout)
			_, err := far.Write(stream)
			require.NoError(t, err)

			var got []byte
			p := make([]byte, 64<<10)
			for len(got) < len(stream) {
				n, err := w.Read(p)
				if err == errDry {
					w.wait()
					continue
				}
				require.NoError(t, err)
				for at := len(got) + 1; at < len(got)+n; at++ {
					require.False(t, ends[at], "a read went on behind the end at %d", at)
				}
				got = append(got, p[:n]...)
			}
			require.Equal(t, stream, got)
			_, err = w.Read(p)
			require.Equal(t, errDry, err)
			require.Nil(t, w.inBuf, "no buffer is held when all is taken")
		})
	}
}

func TestListenerIsTransparentBeforeTheSplice(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	wl := NewListener(l)
	defer wl.Close()
	far, err := net.Dial("tcp", wl.Addr().String())
	require.NoError(t, err)
	defer far.Close()
	near, err := wl.Accept()
	require.NoError(t, err)
	defer near.Close()

	requireCarries(t, far, near, "to")
	requireCarries(t, near, far, "fro")
	w := near.(*wire)
	require.NoError(t, w.SetNoDelay(true))
	require.NoError(t, w.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true}))
	require.NoError(t, w.SetLinger(0))
	_, err = w.SyscallConn()
	require.NoError(t, err)

	sim, _ := simnet.Pipe("a:1", "b:1")
	_, err = (&wire{Conn: sim}).SyscallConn()
	require.Error(t, err)
}
