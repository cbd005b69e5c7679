package sqldirectory

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// childDatabase names the database of the process that TestF6 kills.
const childDatabase = "REACHBACK_TEST_CHILD_DATABASE"

var childSecret = []byte("eW91IHNoYWxsIG5vdCB1c2UgdGhpcyBvbmU=")

func TestF6_WhatWasAcknowledgedIsThereAfterAKill(t *testing.T) {
	if dsn := os.Getenv(childDatabase); dsn != "" {
		acknowledge(t, dsn)
		return
	}
	each(t, func(t *testing.T, k kind) {
		dsn := k.dsn(t)
		child := exec.Command(os.Args[0], "-test.run=^TestF6_WhatWasAcknowledgedIsThereAfterAKill$")
		child.Env = append(os.Environ(), childDatabase+"="+dsn)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		var facts []string
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if text, ok := strings.CutPrefix(lines.Text(), "acknowledged "); ok {
				facts = strings.Fields(text)
				break
			}
		}
		require.NoError(t, child.Process.Kill())
		child.Wait()
		require.Len(t, facts, 6, "the child did not come to its end")
		checkAcknowledged(t, openedWith(t, dsn, &Options{KeySecret: childSecret}), facts)
	})
}

// acknowledge changes a bit of everything, says so, and waits to be killed.
func acknowledge(t *testing.T, dsn string) {
	ctx := t.Context()
	d, err := Open(ctx, dsn, &Options{KeySecret: childSecret})
	require.NoError(t, err)
	keys, err := d.Keys(ctx)
	require.NoError(t, err)
	require.NoError(t, keys.Rotate(ctx))
	require.NoError(t, d.Apply(ctx, &broker.Seed{
		Workspace: "Work", Pools: []broker.SeedPool{{Name: "pool"}, {Name: "own", Kind: broker.PoolPersonal}},
		Resources: []broker.SeedResource{{ID: "mine", Pool: "own", Assign: []string{"user:alice"}}},
	}))
	require.NoError(t, d.PutResource(ctx, "", &broker.SeedResource{ID: "desktop", Pool: "pool"}))
	require.NoError(t, d.Assign(ctx, "", "desktop", "user:alice"))
	icon, err := d.PutIcon(ctx, []byte("icon"))
	require.NoError(t, err)
	drained, personal, revoked := enrol(t, d, "pool"), enrol(t, d, "own"), enrol(t, d, "pool")
	require.NoError(t, d.SetDrain(ctx, drained, true))
	require.NoError(t, d.RevokeHost(ctx, revoked))
	_, err = d.Attach(ctx, personal)
	require.NoError(t, err)
	s := reserve(t, d, "mine")
	require.NoError(t, d.Joined(ctx, s.ID, "call"))
	require.NoError(t, d.Kill(ctx, s.ID, reachback.CodeKilled))
	require.NoError(t, d.AddRecords(ctx, []broker.Record{{Time: time.Now(), Step: broker.StepEnd, CorrelationID: "c"}}))
	fmt.Println("acknowledged", drained, personal, revoked, s.ID, s.Token, icon)
	select {}
}

func checkAcknowledged(t *testing.T, d *Directory, facts []string) {
	ctx := t.Context()
	drained, personal, revoked, killed, token, icon := facts[0], facts[1], facts[2], facts[3], facts[4], facts[5]
	seed, err := d.Setup(ctx, "")
	require.NoError(t, err)
	require.Equal(t, "Work", seed.Workspace)
	require.Len(t, seed.Pools, 2)
	require.Equal(t, []string{"user:alice"}, seed.Resources[0].Assign)
	_, err = d.Icon(ctx, icon)
	require.NoError(t, err)
	h, err := d.Host(ctx, drained)
	require.NoError(t, err)
	require.True(t, h.Drain)
	h, err = d.Host(ctx, personal)
	require.NoError(t, err)
	require.Equal(t, alice().ID(), h.AssignedTo)
	_, err = d.Host(ctx, revoked)
	require.Equal(t, reachback.CodeHostRevoked, reachback.CodeOf(err))
	s, err := d.Session(ctx, killed)
	require.NoError(t, err)
	require.Equal(t, broker.SessionKilled, s.State)
	kills, err := d.Kills(ctx, 0)
	require.NoError(t, err)
	require.Len(t, kills, 2)
	_, err = d.Reserve(ctx, &broker.Reservation{User: *alice(), Resource: "mine", Token: token, Expires: time.Now().Add(time.Minute), Call: "other"})
	require.Equal(t, reachback.CodeKilled, reachback.CodeOf(err))
	records, err := d.FindRecords(ctx, &broker.RecordQuery{CorrelationID: "c"})
	require.NoError(t, err)
	require.Len(t, records, 1)
	keys, err := d.Keys(ctx)
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(published(t, keys), `"kid"`))
}

func alice() *reachback.User { return &reachback.User{Issuer: "https://idp.example", Subject: "alice"} }

// enrol makes a host and returns its id.
func enrol(t testing.TB, d *Directory, pool string) string {
	t.Helper()
	secret := sha256.Sum256([]byte(randomID(16)))
	r := &broker.Registration{ID: randomID(8), Hash: secret[:], Pool: pool, Expires: time.Now().Add(time.Hour), Uses: 1}
	require.NoError(t, d.NewRegistration(t.Context(), r))
	h, err := d.Enrol(t.Context(), &broker.EnrolRequest{Registration: r.ID, Hash: secret, Key: sha256.Sum256(secret[:])})
	require.NoError(t, err)
	return h.ID
}

// reserve has alice placed.
func reserve(t testing.TB, d *Directory, resource string) *broker.Session {
	t.Helper()
	return reserveFor(t, d, alice(), resource)
}

func reserveFor(t testing.TB, d *Directory, u *reachback.User, resource string) *broker.Session {
	t.Helper()
	token, err := d.NewTokenID(t.Context())
	require.NoError(t, err)
	s, err := d.Reserve(t.Context(), &broker.Reservation{
		User: *u, Resource: resource, Token: token, Expires: time.Now().Add(10 * time.Minute), Call: token,
	})
	require.NoError(t, err)
	return s
}

// desktopFor sets up a pool with a resource that is alice's.
func desktopFor(t testing.TB, d *Directory, pool broker.SeedPool) {
	t.Helper()
	pool.Name = "pool"
	require.NoError(t, d.Apply(t.Context(), &broker.Seed{
		Pools:     []broker.SeedPool{pool},
		Resources: []broker.SeedResource{{ID: "desktop", Pool: "pool", Assign: []string{"user:alice"}}},
	}))
}
