package broker

import (
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/durable"
	"github.com/reachback/reachback/internal/token"
)

func openFile(t testing.TB, path string) *File {
	t.Helper()
	f, err := OpenFile(path)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// enrolAt makes a host in the directory and returns it with its token.
func enrolAt(t testing.TB, d *MemoryDirectory, pool, name string) (*Enrolled, string) {
	t.Helper()
	tok := registered(t, d, TokenOptions{Pool: pool, Uses: 2})
	id, hash, _ := parseRegistrationToken(tok)
	e, err := d.Enrol(t.Context(), &EnrolRequest{Registration: id, Hash: hash, Key: Thumbprint([]byte(randomID(16))), Name: name})
	require.NoError(t, err)
	return e, tok
}

func TestF6_WhatWasAcknowledgedIsThereAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	f := openFile(t, path)
	seed, err := ParseSeed([]byte(seedText))
	require.NoError(t, err)
	d := f.Directory()
	require.NoError(t, d.Apply(t.Context(), seed))
	kept, tok := enrolAt(t, d, "own", "pc1")
	revoked, _ := enrolAt(t, d, "desktops", "pc2")
	at, err := d.Attach(t.Context(), kept.ID)
	require.NoError(t, err)
	s, err := d.Reserve(t.Context(), &Reservation{User: *alice(), Resource: "mine", Token: newToken(t, d), Expires: time.Now().Add(time.Minute)})
	require.NoError(t, err)
	require.Equal(t, kept.ID, s.Host)
	require.NoError(t, d.RevokeHost(t.Context(), revoked.ID))
	require.NoError(t, f.Keys().Rotate(t.Context()))
	keys, err := f.Keys().JWKS()
	require.NoError(t, err)
	tokenID, err := d.NewTokenID(t.Context())
	require.NoError(t, err)
	ca := f.Keys().ServerCA()

	// The process is killed: nothing is closed but, by the system, the lock.
	require.NoError(t, f.lock.Close())
	f = openFile(t, path)
	d = f.Directory()
	require.NoError(t, d.Apply(t.Context(), seed))
	require.Equal(t, ca, f.Keys().ServerCA())
	got, err := f.Keys().JWKS()
	require.NoError(t, err)
	require.JSONEq(t, string(keys), string(got))
	_, err = d.Host(t.Context(), revoked.ID)
	requireCode(t, reachback.CodeHostRevoked, err)
	kills, err := d.Kills(t.Context(), 0)
	require.NoError(t, err)
	require.Len(t, kills, 1)
	again, err := d.Attach(t.Context(), kept.ID)
	require.NoError(t, err)
	require.Greater(t, again.Epoch, at.Epoch, "epochs rise over restarts")
	require.Equal(t, alice().ID(), again.AssignedTo)
	id, hash, _ := parseRegistrationToken(tok)
	e := &EnrolRequest{Registration: id, Hash: hash, Key: Thumbprint{9}}
	_, err = d.Enrol(t.Context(), e)
	require.NoError(t, err)
	e.Key = Thumbprint{10}
	_, err = d.Enrol(t.Context(), e)
	requireCode(t, reachback.CodeRegistrationUsedUp, err)
	requireCode(t, reachback.CodeTokenStale, stale(t, d, tokenID))
	// The broker knows the revoked host before it answers anything.
	b := &Broker{Keys: f.Keys(), Directory: d}
	defer b.Close()
	require.True(t, b.Trust().Revoked(revoked.ID))
}

func TestFileIsHeldByOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	f := openFile(t, path)
	_, err := OpenFile(path)
	require.ErrorIs(t, err, durable.ErrLocked)
	require.Contains(t, err.Error(), path)
	require.NoError(t, f.Close())
	require.ErrorIs(t, f.Directory().NewRegistration(t.Context(), &Registration{ID: "r", Hash: make([]byte, 32), Uses: 1}), os.ErrClosed)
	openFile(t, path)
}

func TestBrokenFileIsRefusedAndNeverOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	f := openFile(t, path)
	enrolAt(t, f.Directory(), "p", "pc1")
	require.NoError(t, f.Close())
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		fi, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), fi.Mode())
	}
	broken := [][]byte{{}, []byte("{}"), []byte(`{"version":1}`), []byte(`{"version":2}`), []byte("hello\n"), []byte("null")}
	for n := 1; n < len(good)-1; n += len(good)/50 + 1 {
		broken = append(broken, good[:n])
	}
	for _, data := range broken {
		require.NoError(t, os.WriteFile(path, data, 0o600))
		_, err := OpenFile(path)
		require.ErrorContains(t, err, path)
		left, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, data, left)
	}
	require.NoError(t, os.WriteFile(path, good, 0o600))
	openFile(t, path)
}

func TestF8_AFullDiskRefusesTheChangeAndKeepsTheOldState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	f := openFile(t, path)
	d := f.Directory()
	seed, err := ParseSeed([]byte(seedText))
	require.NoError(t, err)
	require.NoError(t, d.Apply(t.Context(), seed))
	h, tok := enrolAt(t, d, "own", "pc1")
	_, err = d.Attach(t.Context(), h.ID)
	require.NoError(t, err)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	keys, err := f.Keys().JWKS()
	require.NoError(t, err)

	require.NoError(t, os.Mkdir(path+".tmp", 0o700)) // as good as a full disk
	id, hash, _ := parseRegistrationToken(tok)
	_, err = d.Enrol(t.Context(), &EnrolRequest{Registration: id, Hash: hash, Key: Thumbprint{9}})
	require.Error(t, err)
	require.Error(t, d.NewRegistration(t.Context(), &Registration{ID: "r", Hash: make([]byte, 32), Uses: 1}))
	require.Error(t, d.RevokeHost(t.Context(), h.ID))
	_, err = d.Reserve(t.Context(), &Reservation{User: *alice(), Resource: "mine", Token: newToken(t, d), Expires: time.Now().Add(time.Minute)})
	require.Error(t, err, "a personal host is not assigned in memory alone")
	require.Error(t, f.Keys().Rotate(t.Context()))

	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
	got, err := f.Keys().JWKS()
	require.NoError(t, err)
	require.JSONEq(t, string(keys), string(got))
	_, err = d.Host(t.Context(), h.ID)
	require.NoError(t, err)
	kills, err := d.Kills(t.Context(), 0)
	require.NoError(t, err)
	require.Empty(t, kills)
	require.Len(t, d.saved.Hosts, 1)

	require.NoError(t, os.Remove(path+".tmp")) // there is room again
	_, err = d.Enrol(t.Context(), &EnrolRequest{Registration: id, Hash: hash, Key: Thumbprint{9}})
	require.NoError(t, err)
	_, err = d.Reserve(t.Context(), &Reservation{User: *alice(), Resource: "mine", Token: newToken(t, d), Expires: time.Now().Add(time.Minute)})
	require.NoError(t, err)
}

func TestKeysRotateADayAfterTheyArePublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newWorldKeys(t)
		first, _ := k.signer(time.Now())
		require.NoError(t, k.Rotate(t.Context()))
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

func TestIdentityFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity.pem")
	i, err := OpenIdentity(path)
	require.NoError(t, err)
	require.Empty(t, i.Host())
	require.Nil(t, i.Certificate())
	der, err := newWorldKeys(t).hosts.identityCertificate(RoleHost, "h1", &i.key.PublicKey, time.Now())
	require.NoError(t, err)
	require.NoError(t, i.store(der, RoleHost))

	again, err := OpenIdentity(path)
	require.NoError(t, err)
	require.Equal(t, "h1", again.Host())
	require.True(t, i.key.Equal(again.key))
	require.Equal(t, der, again.Certificate().Certificate[0])
	other, err := NewIdentity()
	require.NoError(t, err)
	require.Error(t, other.store(der, RoleHost), "another's certificate")

	good := mustRead(t, path)
	for _, bad := range [][]byte{{}, []byte("hello"), good[:len(good)/4], good[:len(good)*3/4], append(good, good...)} {
		require.NoError(t, os.WriteFile(path, bad, 0o600))
		_, err := OpenIdentity(path)
		require.ErrorContains(t, err, path)
		require.Equal(t, bad, mustRead(t, path), "it is not replaced")
	}
	_, err = OpenIdentity(filepath.Join(t.TempDir(), "no", "folder"))
	require.Error(t, err)
}

func mustRead(t testing.TB, path string) []byte {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

func newToken(t *testing.T, d *MemoryDirectory) string {
	id, err := d.NewTokenID(t.Context())
	require.NoError(t, err)
	return id
}

func stale(t *testing.T, d *MemoryDirectory, token string) error {
	_, err := d.Reserve(t.Context(), &Reservation{User: *alice(), Resource: "mine", Token: token})
	return err
}
