package sqldirectory

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheClockIsSteadyWhenTheMachinesIsSet(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  time.Duration
	}{{"an hour ahead", time.Hour}, {"an hour back", -time.Hour}, {"a second ahead", time.Second}, {"not at all", 0}} {
		t.Run(tt.name, func(t *testing.T) {
			var c steadyClock
			now := time.Now()
			start := now.UnixMicro()
			require.Equal(t, start, c.read(now, start))
			// after is what it shows when that has gone by since the wall clock was set.
			after := func(gone time.Duration) time.Duration {
				wall := start + (gone + tt.set).Microseconds()
				return time.Duration(c.read(now.Add(gone), wall)-start) * time.Microsecond
			}
			last := time.Duration(0)
			for gone := time.Millisecond; gone <= 30*time.Second; gone += 7 * time.Millisecond {
				shown := after(gone)
				require.Greater(t, shown, last, "it never goes back")
				require.InDelta(t, gone.Seconds(), shown.Seconds(), gone.Seconds()/catchUp+0.001)
				last = shown
			}
			for gone := time.Minute; gone <= 11*time.Hour; gone += time.Minute {
				after(gone)
			}
			require.Equal(t, 12*time.Hour+tt.set, after(12*time.Hour), "in the end it is right")
		})
	}
}

func TestTheClockTakesReadingsOutOfOrder(t *testing.T) {
	var c steadyClock
	now := time.Now()
	c.read(now, now.UnixMicro())
	later := c.read(now.Add(time.Second), now.Add(time.Second).UnixMicro())
	require.Equal(t, later, c.read(now.Add(time.Millisecond), now.Add(time.Millisecond).UnixMicro()))
}
