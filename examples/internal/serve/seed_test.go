package serve

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/broker"
)

func TestEveryTokenHasItsOwnFile(t *testing.T) {
	users := func(names ...string) *broker.Seed {
		s := &broker.Seed{}
		for _, n := range names {
			s.Users = append(s.Users, broker.SeedUser{Name: n})
		}
		return s
	}
	require.NoError(t, checkUsers(users("alice", "bob", "../registration"), true))
	require.Error(t, checkUsers(users("registration"), true), "the hosts' token")
	require.Error(t, checkUsers(users("Gateway-Registration"), true), "the gateways' token")
	require.Error(t, checkUsers(users("alice"), false), "users of an issuer that has its own")
	require.Error(t, checkUsers(users("alice", "Alice"), true), "one file where case does not count")
}
