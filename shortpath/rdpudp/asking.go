package rdpudp

import "time"

const (
	acksPerRTT = 8

	minAskDelayed = 2
	// More than eight packets to an acknowledgement would do on a fast path by the
	// rule of eight in a round trip. But a sender that answers an acknowledgement
	// with as many packets makes a queue of them, and the newest, which is the one
	// that is timed best, stands at its end.
	maxAskDelayed = 7
	minAskTimeout = time.Millisecond
	maxAskTimeout = 25 * time.Millisecond
)

// asking tells the peer how to hold acknowledgements back: so that at least some eight
// come in a round trip, none covers more than eight packets, and none waits for more
// than a quarter of a round trip.
type asking struct {
	begun     bool
	want      DelayAckInfo
	from      uint64 // the packet that first bore it
	sent      bool   // such a packet was sent
	confirmed bool   // and acknowledged
	perRTT    int    // packets, smoothed, times eight
}

// next returns what the packet seq is to tell: each one, until one was acknowledged.
func (a *asking) next(seq uint64) (DelayAckInfo, bool) {
	if !a.begun {
		a.begun, a.want = true, DelayAckInfo{minAskDelayed, uint16(maxAskTimeout / time.Millisecond)}
	}
	if a.confirmed {
		return DelayAckInfo{}, false
	}
	if !a.sent {
		a.sent, a.from = true, seq
	}
	return a.want, true
}

func (a *asking) acked(seq uint64) {
	if a.sent && seq >= a.from {
		a.confirmed = true
	}
}

// adapt changes what the peer is to be told, where it knows what it was told before
// and that is off by much: packets is how many were sent within the last round trip.
func (a *asking) adapt(now time.Duration, rtt *rttEstimate, packets int) {
	a.perRTT += packets - a.perRTT/8
	if !a.begun || !a.confirmed {
		return
	}
	delayed := min(max(a.perRTT/8/acksPerRTT, minAskDelayed), maxAskDelayed)
	timeout := min(max(rtt.least(now)/4, minAskTimeout), maxAskTimeout)
	want := DelayAckInfo{uint8(delayed), uint16(timeout / time.Millisecond)}
	if off(int(want.MaxDelayed), int(a.want.MaxDelayed)) || off(int(want.TimeoutMs), int(a.want.TimeoutMs)) {
		a.want, a.sent, a.confirmed = want, false, false
	}
}

// off reports whether a differs from b by more than a quarter.
func off(a, b int) bool { return 4*max(a-b, b-a) > b }

// longest returns for how long the peer may hold an acknowledgement back.
func (a *asking) longest(rtt time.Duration) time.Duration {
	if !a.begun || !a.confirmed {
		return max(maxAskTimeout, rtt/2)
	}
	return time.Duration(a.want.TimeoutMs) * time.Millisecond
}
