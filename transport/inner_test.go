package transport

import (
	"crypto/tls"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/spectest"
)

// Whoever holds the leg must speak exactly our TLS, even if he goes on as he should.
func TestInnerTLSTakesNoOtherTLS(t *testing.T) {
	host, hostKey, err := newKey()
	require.NoError(t, err)
	client, clientKey, err := newKey()
	require.NoError(t, err)
	hello := spectest.Vectors(t, "session")[0].Bytes
	for _, tt := range []struct {
		name   string
		change func(c *tls.Config)
	}{
		{"version 1.2", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }},
		{"no ALPN", func(c *tls.Config) { c.NextProtos = nil }},
		{"other ALPN", func(c *tls.Config) { c.NextProtos = []string{"h2"} }},
		{"no certificate", func(c *tls.Config) { c.Certificates = nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := legs()
				go func() {
					c := innerConfig(client)
					c.InsecureSkipVerify = true
					tt.change(c)
					tc := tls.Client(a, c)
					tc.Write(hello)
					io.Copy(io.Discard, tc)
					a.Close()
				}()
				_, err := openHost(t.Context(), b, host, clientKey, sessionConfig)
				require.Error(t, err)
			})
			synctest.Test(t, func(t *testing.T) {
				a, b := legs()
				go func() {
					c := hostConfig(host)
					tt.change(c)
					tc := tls.Server(b, c)
					tc.Write(hello)
					io.Copy(io.Discard, tc)
					b.Close()
				}()
				_, err := openClient(t.Context(), a, client, hostKey, sessionConfig)
				require.Error(t, err)
			})
		})
	}
}

func TestSilentHostIsGivenUpAfter10s(t *testing.T) {
	host, hostKey, err := newKey()
	require.NoError(t, err)
	for _, tt := range []struct {
		name string
		host func(leg *carrier.Conn)
	}{
		{"silent at once", func(leg *carrier.Conn) {}},
		{"silent after the handshake", func(leg *carrier.Conn) { tls.Server(leg, hostConfig(host)).Handshake() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				ended := make(chan struct{})
				var l *liar
				l = newLiar(w, func(leg *carrier.Conn, nonce string) {
					defer close(ended)
					l.join(leg, l.sign(l.grant(hostKey), nonce, time.Now()))
					tt.host(leg)
					io.Copy(io.Discard, leg)
					leg.Close()
				})
				start := time.Now()
				_, err := l.dial(t.Context())
				requireCode(t, reachback.CodePathLost, err)
				require.Equal(t, setupTimeout, time.Since(start))
				<-ended
			})
		})
	}
}
