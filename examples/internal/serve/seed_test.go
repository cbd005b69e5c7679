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
	require.NoError(t, checkUsers(users("alice", "bob", "../registration")))
	require.Error(t, checkUsers(users("registration")), "the hosts' token")
	require.Error(t, checkUsers(users("alice", "Alice")), "one file where case does not count")
}
