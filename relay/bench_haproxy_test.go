package relay

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// HAProxy joins TLS to TLS as a relay does, but that it dials the second leg. Its
// cipher is what the relay's legs have by Go's defaults: on its own it would take
// AES-256, which is dearer, for one leg.
const haproxyConfig = `global
  maxconn 5000
  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
  ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend clients
  bind %s ssl crt %s
  default_backend hosts
backend hosts
  server host %s ssl verify none no-ssl-reuse
`

// startHAProxy starts HAProxy, which ends with b, or returns nil where there is none.
func startHAProxy(b testing.TB, k *benchKeys) *subject {
	exe, err := exec.LookPath("haproxy")
	if err != nil {
		b.Log("haproxy is not installed (Debian: haproxy): the relay is measured alone")
		return nil
	}
	hosts, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{*k.server}, DynamicRecordSizingDisabled: true, SessionTicketsDisabled: true,
	})
	require.NoError(b, err)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	addr := free.Addr().String()
	free.Close()
	config := fmt.Sprintf(haproxyConfig, addr, filepath.Join(k.dir, "server.pem"), hosts.Addr())
	k.write(b, "haproxy.cfg", []byte(config))

	cmd := exec.Command(exe, "-q", "-db", "-f", filepath.Join(k.dir, "haproxy.cfg"))
	require.NoError(b, cmd.Start())
	var legs matcher
	go func() { // ends with the listener
		for {
			c, err := hosts.Accept()
			if err != nil {
				return
			}
			go func() { // a pair begins with its id
				id := make([]byte, idLen)
				if _, err := io.ReadFull(c, id); err == nil {
					legs.give(string(id), c.(*tls.Conn), nil)
				}
			}()
		}
	}()
	b.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		hosts.Close()
	})

	require.Eventually(b, func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, 5*time.Second, 10*time.Millisecond)
	return &subject{
		name: "haproxy", pid: cmd.Process.Pid,
		collect: func() {},
		open: func() (conn, conn, error) {
			c, err := tls.Dial("tcp", addr, k.tlsConfig())
			if err != nil {
				return nil, nil, err
			}
			id := random(idBytes)
			if _, err := io.WriteString(c, id); err != nil {
				return nil, nil, err
			}
			host, err := legs.take(id)
			return c, host, err
		},
	}
}
