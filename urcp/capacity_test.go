package urcp

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fifo sends packets over a link of a constant rate, by groups that leave together, and
// tells k of what arrives.
func fifo(k *capacity, rate float64, groups, size int, every time.Duration, outage func(time.Duration) time.Duration) {
	const (
		bytes = 1250
		way   = 20 * time.Millisecond
		clock = 5 * time.Second // by which the peer's is ahead
	)
	var free time.Duration
	seq := uint64(0)
	for g := range groups {
		sent := time.Duration(g) * every
		for range size {
			seq++
			begun := max(sent, free)
			free = outage(begun + time.Duration(bytes/rate*1e9))
			k.add(timedPacket{seq, sent, free + way + clock, bytes})
		}
		k.measure(way+clock, 300*time.Millisecond)
	}
}

func always(t time.Duration) time.Duration { return t }

// TestCapacityOfALinkThatIsNotFull: groups of packets that together take half of the time
// show the whole rate.
func TestCapacityOfALinkThatIsNotFull(t *testing.T) {
	const rate = 1.25e6
	for _, x := range []struct {
		name  string
		size  int
		every time.Duration
	}{
		{"half", 8, 16 * time.Millisecond},
		{"a tenth", 4, 40 * time.Millisecond},
		{"all", 8, 8 * time.Millisecond},
		{"more than all", 8, 7 * time.Millisecond},
	} {
		t.Run(x.name, func(t *testing.T) {
			var k capacity
			fifo(&k, rate, 100, x.size, x.every, always)
			require.InEpsilon(t, rate, k.rate(), 0.01)
			require.Less(t, k.sure(1250), k.rate())
			require.Greater(t, k.sure(1250), 0.5*k.rate())
		})
	}
}

// TestCapacityCountsWaiting: what a link is away from counts, if a packet waits for it.
func TestCapacityCountsWaiting(t *testing.T) {
	const rate, period = 1.25e6, 40 * time.Millisecond
	half := func(t time.Duration) time.Duration {
		if in := t % period; in > period/2 {
			t += period - in
		}
		return t
	}
	var k capacity
	fifo(&k, rate, 400, 8, 20*time.Millisecond, half)
	require.InEpsilon(t, rate/2, k.rate(), 0.15)
}

// TestCapacityOfOnePacketAtATime: packets that find the link idle, each for itself, say
// nothing.
func TestCapacityOfOnePacketAtATime(t *testing.T) {
	var k capacity
	const way = 20*time.Millisecond + time.Millisecond // with the packet's own time
	for i := range uint64(1000) {
		at := time.Duration(i) * 10 * time.Millisecond
		k.add(timedPacket{i + 1, at, at + way, 1250})
		k.measure(way, 300*time.Millisecond)
	}
	require.Zero(t, k.rate())
	require.Zero(t, k.sure(1250))
}

// TestCapacityAnyOrder: in which order a feedback has its packets does not matter, nor
// does feedback that is too large to be looked at do harm.
func TestCapacityAnyOrder(t *testing.T) {
	var a, b capacity
	r := rand.New(rand.NewPCG(1, 2))
	for g := range 100 {
		n := 1 + r.IntN(maxTimed+4)
		packets := make([]timedPacket, n)
		for i := range packets {
			at := time.Duration(g)*20*time.Millisecond + time.Duration(i)*500*time.Microsecond
			packets[i] = timedPacket{uint64(g*100 + i + 1), at, at + 30*time.Millisecond + time.Duration(i*i)*50*time.Microsecond, 1250}
		}
		for _, p := range packets {
			a.add(p)
		}
		r.Shuffle(n, func(i, j int) { packets[i], packets[j] = packets[j], packets[i] })
		for _, p := range packets {
			b.add(p)
		}
		a.measure(30*time.Millisecond, 300*time.Millisecond)
		b.measure(30*time.Millisecond, 300*time.Millisecond)
		require.Equal(t, a.rate(), b.rate())
	}
	require.Positive(t, a.rate())
}

// TestCapacityChange: a link that keeps its rate shows no change, and after one step it is
// forgotten soon; one whose rate goes on changing shows it.
func TestCapacityChange(t *testing.T) {
	follow := func(seconds int, rate func(at float64) float64) float64 {
		k := capacity{busy: 1}
		for i := range 10 * seconds {
			k.bytes = rate(float64(i) / 10)
			k.note(time.Duration(i) * 100 * time.Millisecond)
		}
		return k.change
	}
	require.Zero(t, follow(60, func(float64) float64 { return 1e6 }))
	require.Less(t, follow(60, func(at float64) float64 {
		if at < 20 {
			return 1e6
		}
		return 4e5
	}), radioChange/4)
	require.Greater(t, follow(60, func(at float64) float64 { return 1e6 * (1 + float64(int(at)%3)) }), radioChange)
}

// TestCapacityAfterLargeFeedback: what is left out of the rate is left out with its time.
func TestCapacityAfterLargeFeedback(t *testing.T) {
	const each = 100 * time.Microsecond
	var k capacity
	seq, at := uint64(0), time.Duration(0)
	for g := range 100 {
		n := 8
		if g%2 == 0 {
			n = maxTimed + 20
		}
		for range n {
			seq++
			at += each
			k.add(timedPacket{seq, at - 30*time.Millisecond, at, 1250})
		}
		k.measure(10*time.Millisecond, 300*time.Millisecond)
	}
	require.InEpsilon(t, 1250/each.Seconds(), k.rate(), 0.05)
}
