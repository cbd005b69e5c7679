package feed_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/feed"
)

func TestClientConnect(t *testing.T) {
	s := newSite(t)
	got := make(chan [32]byte, 1)
	s.source.connectTo = func(u *reachback.User, resource string, key [32]byte) (*reachback.Connection, error) {
		got <- key
		return &reachback.Connection{Gateways: []string{"https://gw.example.test"}, Token: "t", Keys: []byte(`{"keys":[]}`), CorrelationID: "cid"}, nil
	}
	for _, key := range [][32]byte{{}, {1, 2, 3}} {
		conn, err := s.client("").Connect(t.Context(), "desktop", key)
		require.NoError(t, err)
		require.Equal(t, &reachback.Connection{Gateways: []string{"https://gw.example.test"}, Token: "t", Keys: []byte(`{"keys":[]}`), CorrelationID: "cid"}, conn)
		require.Equal(t, key, <-got)
	}
}

func TestClientConnectErrors(t *testing.T) {
	s := newSite(t)
	for _, tt := range []struct {
		name   string
		change func(*feed.Client)
		want   reachback.Code
	}{
		{"unassigned", func(c *feed.Client) { c.Token = token("bob-token") }, reachback.CodeResourceNotFound},
		{"unknown token", func(c *feed.Client) { c.Token = token("x") }, reachback.CodeTokenInvalid},
		{"no token", func(c *feed.Client) { c.Token = token("") }, reachback.CodeTokenMissing},
		{"no token source", func(c *feed.Client) { c.Token = nil }, reachback.CodeTokenMissing},
		{"token with a line end", func(c *feed.Client) { c.Token = token("x\r\ny: z") }, reachback.CodeTokenInvalid},
		{"token too long", func(c *feed.Client) { c.Token = token(strings.Repeat("x", 13<<10)) }, reachback.CodeTokenInvalid},
		{"authority unknown", func(c *feed.Client) { c.HTTP = nil }, reachback.CodeCertificateUntrusted},
		{"nobody there", func(c *feed.Client) { c.URL = "https://127.0.0.1:1" }, reachback.CodeBrokerUnreachable},
		{"not https", func(c *feed.Client) { c.URL = "http" + strings.TrimPrefix(c.URL, "https") }, reachback.CodeBadRequest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := s.client("")
			tt.change(c)
			conn, err := c.Connect(t.Context(), "desktop", [32]byte{1})
			require.Nil(t, conn)
			require.Equal(t, tt.want, reachback.CodeOf(err), "%v", err)
		})
	}
	t.Run("the token's own error", func(t *testing.T) {
		c := s.client("")
		c.Token = func(context.Context) (string, error) { return "", os.ErrNotExist }
		_, err := c.Connect(t.Context(), "desktop", [32]byte{1})
		require.ErrorIs(t, err, os.ErrNotExist)
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.client("").Connect(ctx, "desktop", [32]byte{1})
		require.ErrorIs(t, err, context.Canceled)
	})
}

// An answer that is no connection is refused as a whole.
func TestClientRefusesAnswersToConnect(t *testing.T) {
	s := newSite(t)
	const rest = `"token":"t","keys":{},"correlation_id":"c"}`
	for _, tt := range []struct{ name, body string }{
		{"no gateway", `{"gateways":[],` + rest},
		{"gateway without TLS", `{"gateways":["http://gw.example"],` + rest},
		{"gateway is no URL", `{"gateways":["gw"],` + rest},
		{"too many gateways", `{"gateways":["https://gw"` + strings.Repeat(`,"https://gw"`, 64) + `],` + rest},
		{"no token", `{"gateways":["https://gw"],"keys":{}}`},
		{"token that is no header field", `{"gateways":["https://gw"],"token":"a\r\nb","keys":{}}`},
		{"keys missing", `{"gateways":["https://gw"],"token":"t"}`},
		{"keys as text", `{"gateways":["https://gw"],"token":"t","keys":"e30"}`},
		{"endless correlation id", `{"gateways":["https://gw"],"token":"t","keys":{},"correlation_id":"` + strings.Repeat("x", 129) + `"}`},
		{"too large", `{"gateways":["https://gw"],"token":"t","keys":{},"x":"` + strings.Repeat("x", 64<<10) + `"}`},
		{"not JSON", `<html>`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.answer(func(w http.ResponseWriter, r *http.Request) bool { io.WriteString(w, tt.body); return true })
			_, err := s.client("").Connect(t.Context(), "desktop", [32]byte{1})
			require.Equal(t, reachback.CodeProtocolError, reachback.CodeOf(err), "%v", err)
		})
	}
}

// silence is a transport that answers nothing before its request ends.
type silence struct{}

func (silence) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, fmt.Errorf("silence: %w", context.Cause(r.Context()))
}

// A server that says nothing costs half a minute, and no more.
func TestClientGivesUpOnASilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &feed.Client{URL: "https://feed.example.test", Token: token("t"), HTTP: &http.Client{Transport: silence{}}}
		start := time.Now()
		_, err := c.Connect(t.Context(), "desktop", [32]byte{1})
		require.Equal(t, reachback.CodeBrokerUnreachable, reachback.CodeOf(err))
		require.Equal(t, 30*time.Second, time.Since(start))
	})
}
