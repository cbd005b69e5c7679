package limit

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRateGivesABurstAndThenARateToEach(t *testing.T) {
	r := Rate[string]{PerSecond: 2, Burst: 3}
	now := time.Unix(1_800_000_000, 0)
	for range 3 {
		require.True(t, r.Allow("alice", now))
	}
	for range 5 {
		require.False(t, r.Allow("alice", now), "and what was refused costs nothing")
	}
	require.True(t, r.Allow("bob", now))
	now = now.Add(time.Second / 2)
	require.True(t, r.Allow("alice", now))
	require.False(t, r.Allow("alice", now))
}
