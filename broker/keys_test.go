package broker

import (
	"crypto/x509"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/token"
)

func TestKeysRotateADayAfterTheyArePublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newWorldKeys(t)
		first, _ := k.signer(time.Now())
		began := k.Newest()
		require.NoError(t, k.Rotate(t.Context()))
		require.Equal(t, began.Add(PublishAhead), k.Newest())
		require.NoError(t, k.Rotate(t.Context()), "while one waits there is nothing to do")
		require.Len(t, k.set(time.Now()).Keys, 2)
		kid, key := k.signer(time.Now())
		require.Equal(t, first, kid)
		old, err := token.SignConnection(kid, key, &token.Connection{ID: "1", Resource: "r", User: *alice()}, time.Now())
		require.NoError(t, err)

		time.Sleep(PublishAhead - time.Second)
		kid, _ = k.signer(time.Now())
		require.Equal(t, first, kid)
		last, err := token.SignConnection(kid, key, &token.Connection{ID: "1", Resource: "r", User: *alice()}, time.Now())
		require.NoError(t, err)
		time.Sleep(time.Second)
		kid, _ = k.signer(time.Now())
		require.NotEqual(t, first, kid)

		time.Sleep(token.ConnectionLife)
		_, err = token.VerifyConnection(k.set(time.Now()), last, time.Now())
		require.NoError(t, err, "the old key's tokens live on")
		time.Sleep(retireAfter)
		require.Len(t, k.set(time.Now()).Keys, 1)
		_, err = token.VerifyConnection(k.set(time.Now()), old, time.Now())
		requireCode(t, reachback.CodeTokenInvalid, err)
		require.NoError(t, k.Rotate(t.Context()))
		require.Len(t, k.tokens, 2, "retired keys are forgotten")
	})
}

func TestKeysSurviveTheirJSON(t *testing.T) {
	k := newWorldKeys(t)
	b, err := json.Marshal(k)
	require.NoError(t, err)
	var got Keys
	require.NoError(t, json.Unmarshal(b, &got))
	require.Equal(t, k.tokens, got.tokens)
	require.Equal(t, k.ServerCA(), got.ServerCA())
	for _, bad := range []string{`{}`, `{"tokens":[]}`, `[]`, `{"tokens":[{}],"host_ca":{},"server_ca":{}}`} {
		require.Error(t, json.Unmarshal([]byte(bad), &Keys{}), bad)
	}
}

func TestServerCertificateIsForItsNames(t *testing.T) {
	k := newWorldKeys(t)
	cert, err := k.ServerCertificate("gw.example", "192.0.2.1", "::1")
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(k.ServerCA()))
	for _, name := range []string{"gw.example", "192.0.2.1", "::1"} {
		_, err = cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name})
		require.NoError(t, err, name)
	}
	_, err = cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "other.example"})
	require.Error(t, err)
	_, err = cert.Leaf.Verify(x509.VerifyOptions{Roots: k.HostCA(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	require.Error(t, err, "the two authorities are apart")
	_, err = cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	require.Error(t, err)
	_, err = k.ServerCertificate()
	require.Error(t, err)
}
