//go:build linux

package relay

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/peertest"
)

// OpenSSL as client, with each suite, updates its keys and has ours updated.
func TestRecordsWithOpenSSL(t *testing.T) {
	openssl := peertest.Path(t, "openssl", "openssl")
	for _, suite := range []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"} {
		t.Run(suite, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer l.Close()
			cmd := exec.Command(openssl, "s_client", "-connect", l.Addr().String(), "-ciphersuites", suite, "-quiet", "-no_ign_eof")
			stdin, err := cmd.StdinPipe()
			require.NoError(t, err)
			stdout, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			defer cmd.Process.Kill()

			nc, err := l.Accept()
			require.NoError(t, err)
			c := serverLeg(t, &wire{Conn: nc})
			require.NoError(t, c.HandshakeContext(t.Context()))
			require.Equal(t, suite, tls.CipherSuiteName(c.ConnectionState().CipherSuite))
			client, err := takeOver(c, spliceTimeout)
			require.NoError(t, err)
			near, far := loopback(t)()
			hc, hp := wiredLeg(t, near, far)
			host, err := takeOver(hc.(*carrier.Conn), spliceTimeout)
			require.NoError(t, err)
			var done sync.WaitGroup
			done.Go(func() { spliceRecords(client, host, spliceOptions{WriteTimeout: spliceTimeout}) })

			for _, line := range []string{"plain\n", "K\n", "after both updated\n", "k\n", "after one updated\n"} {
				_, err := io.WriteString(stdin, line)
				require.NoError(t, err)
				if len(line) == 2 { // a command only when openssl reads it by itself
					require.Eventually(t, func() bool { return unread(t, stdin) == 0 }, 10*time.Second, time.Millisecond)
					continue
				}
				got := make([]byte, len(line))
				_, err = io.ReadFull(hp, got)
				require.NoError(t, err)
				require.Equal(t, line, string(got))
				_, err = hp.Write(got)
				require.NoError(t, err)
				_, err = io.ReadFull(stdout, got)
				require.NoError(t, err)
				require.Equal(t, line, string(got))
			}
			cmd.Process.Kill()
			cmd.Wait()
			done.Wait()
			require.EqualValues(t, 3, client.sealer.Sealed(), "two lines and the end, under the keys that openssl asked for")
		})
	}
}

// unread is how many bytes of a pipe its reader has not read.
func unread(t *testing.T, pipe io.Writer) int {
	n, err := unix.IoctlGetInt(int(pipe.(*os.File).Fd()), unix.TIOCINQ)
	require.NoError(t, err)
	return n
}

// OpenSSL has heard of crypto/tls before the relay takes over, under each suite. Where
// it has asked for new keys, the relay does not.
func TestLateHandoverWithOpenSSL(t *testing.T) {
	openssl := peertest.Path(t, "openssl", "openssl")
	for _, suite := range []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"} {
		t.Run(suite, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer l.Close()
			for _, update := range []bool{false, true} {
				cmd := exec.Command(openssl, "s_client", "-connect", l.Addr().String(), "-ciphersuites", suite, "-quiet", "-no_ign_eof")
				stdin, err := cmd.StdinPipe()
				require.NoError(t, err)
				stdout, err := cmd.StdoutPipe()
				require.NoError(t, err)
				require.NoError(t, cmd.Start())
				defer cmd.Process.Kill()
				expect := func(want string) {
					t.Helper()
					got := make([]byte, len(want))
					_, err := io.ReadFull(stdout, got)
					require.NoError(t, err)
					require.Equal(t, want, string(got))
				}
				nc, err := l.Accept()
				require.NoError(t, err)
				c := serverLeg(t, &wire{Conn: nc})
				for _, line := range []string{"one\n", "K\n", "three\n"} {
					if len(line) == 2 {
						if update { // a command only when openssl reads it by itself
							io.WriteString(stdin, line)
							require.Eventually(t, func() bool { return unread(t, stdin) == 0 }, 10*time.Second, time.Millisecond)
						}
						continue
					}
					_, err := io.WriteString(stdin, line)
					require.NoError(t, err)
					got := make([]byte, len(line))
					_, err = io.ReadFull(c, got)
					require.NoError(t, err)
					_, err = c.Write(got)
					require.NoError(t, err)
					expect(line)
				}
				require.Equal(t, !update, canTakeOverLater(c))
				if !update {
					leg, err := takeOver(c, spliceTimeout)
					require.NoError(t, err)
					_, err = leg.Write([]byte("four\n"))
					require.NoError(t, err)
					expect("four\n")
					require.EqualValues(t, 3, leg.sealer.Sealed())
				}
				nc.Close()
				cmd.Process.Kill()
				cmd.Wait()
			}
		})
	}
}
