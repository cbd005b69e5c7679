package transport

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/internal/carrier"
)

func TestGatewaysThatFailArePassedOver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.listen(w.config())
		d := w.dialer()
		d.Connect = func(ctx context.Context, resource string, key [32]byte) (*reachback.Connection, error) {
			c, err := w.connect(ctx, resource, key)
			c.Gateways = []string{"https://nobody.example", gateway}
			return c, err
		}
		c, err := d.DialContext(t.Context(), "tcp", "desktop")
		require.NoError(t, err)
		h, err := l.Accept()
		require.NoError(t, err)
		c.Close()
		h.Close()

		d.Connect = func(ctx context.Context, resource string, key [32]byte) (*reachback.Connection, error) {
			c, err := w.connect(ctx, resource, key)
			c.Gateways = []string{"https://nobody.example", "https://nobody2.example"}
			return c, err
		}
		_, err = d.DialContext(t.Context(), "tcp", "desktop")
		requireCode(t, reachback.CodeGatewayUnreachable, err)
		require.NotEmpty(t, reachback.AsError(err).CorrelationID)
	})
}

// Whoever stands at a gateway's address without a certificate that the client trusts
// is shown nothing, and the call goes to another.
func TestGatewayThatIsNotTrustedIsPassedOver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		others, err := broker.NewKeys()
		require.NoError(t, err)
		cert, err := others.ServerCertificate("gw2.example")
		require.NoError(t, err)
		w.t.Cleanup(w.serve("gw2.example:443", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			t.Error("a request reached the gateway")
		}), cert))
		var gateways []string
		d := w.dialer()
		d.Connect = func(ctx context.Context, resource string, key [32]byte) (*reachback.Connection, error) {
			c, err := w.connect(ctx, resource, key)
			c.Gateways = gateways
			return c, err
		}
		gateways = []string{"https://gw2.example"}
		_, err = d.DialContext(t.Context(), "tcp", "desktop")
		requireCode(t, reachback.CodeCertificateUntrusted, err)
		require.NotEmpty(t, reachback.AsError(err).CorrelationID)

		w.listen(w.config())
		gateways = []string{"https://gw2.example", gateway}
		c, err := d.DialContext(t.Context(), "tcp", "desktop")
		require.NoError(t, err)
		require.Equal(t, gateway, c.(*Conn).Gateway())
		c.Close()
	})
}

func TestDialErrors(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.dialer()
		_, err := d.DialContext(t.Context(), "udp", "desktop")
		var unknown net.UnknownNetworkError
		require.ErrorAs(t, err, &unknown)
		_, err = d.DialContext(t.Context(), "tcp", "nothing")
		requireCode(t, reachback.CodeResourceNotFound, err)
		_, err = d.DialContext(t.Context(), "tcp", "desktop")
		requireCode(t, reachback.CodeNoHost, err)
		require.NotEmpty(t, reachback.AsError(err).CorrelationID)
		_, err = (&Dialer{}).DialContext(t.Context(), "tcp", "desktop")
		require.Error(t, err)

		// What connect answers must be for what was asked.
		d.Connect = func(ctx context.Context, resource string, key [32]byte) (*reachback.Connection, error) {
			return w.connect(ctx, resource, [32]byte{7})
		}
		_, err = d.DialContext(t.Context(), "tcp", "desktop")
		requireCode(t, reachback.CodeTokenInvalid, err)
		d.Connect = func(ctx context.Context, resource string, key [32]byte) (*reachback.Connection, error) {
			c, err := w.connect(ctx, resource, key)
			c.Keys = []byte("{")
			return c, err
		}
		_, err = d.DialContext(t.Context(), "tcp", "desktop")
		requireCode(t, reachback.CodeProtocolError, err)
	})
}

func TestDialEndsWithItsContext(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		held := make(chan struct{})
		l := newLiar(w, func(leg *carrier.Conn, nonce string) {
			defer close(held)
			io.Copy(io.Discard, bufio.NewReader(leg)) // no answer at all
			leg.Close()
		})
		cause := errors.New("the user went away")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		start := time.Now()
		_, err := l.dial(ctx)
		require.ErrorIs(t, err, cause)
		require.Equal(t, time.Second, time.Since(start))
		<-held
	})
}
