package serve

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/broker"
)

// A server that runs for years shows no certificate that has ended, and signs with no
// key that is older than it should be.
func TestUpkeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, err := broker.NewKeys()
		require.NoError(t, err)
		s := &Server{store: &store{keys: keys}, logger: slog.New(slog.DiscardHandler)}
		s.cert, err = newCertificate(func() (tls.Certificate, error) { return keys.ServerCertificate("rb.example.test") }, true)
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.upkeep(ctx) }() // ended by stop, awaited below
		serials, kids := map[string]bool{}, map[string]bool{}
		for day := range 3 * 365 {
			time.Sleep(24 * time.Hour)
			synctest.Wait()
			shown, err := s.cert.get(nil)
			require.NoError(t, err)
			require.Less(t, time.Now().Add(60*24*time.Hour), shown.Leaf.NotAfter, "day %d", day)
			serials[shown.Leaf.SerialNumber.String()] = true
			require.Less(t, time.Since(keys.Newest()), 32*24*time.Hour, "day %d", day)
			published, err := keys.JWKS()
			require.NoError(t, err)
			var set jose.JSONWebKeySet
			require.NoError(t, json.Unmarshal(published, &set))
			require.LessOrEqual(t, len(set.Keys), 2, "day %d", day)
			for _, k := range set.Keys {
				kids[k.KeyID] = true
			}
		}
		require.InDelta(t, 3*365*3/(2*365), len(serials), 1, "certificates")
		require.InDelta(t, 3*365/31, len(kids), 3, "token keys")
		stop()
		<-done
	})
}
