package urcp_test

import (
	"fmt"
	"time"

	"github.com/reachback/reachback/urcp"
)

// A sender on a path of 10 Mbit/s and 40 ms, whose peer acknowledges every packet.
func Example() {
	const (
		size    = 1250 // bytes, a millisecond of the link
		service = time.Millisecond
		oneWay  = 20 * time.Millisecond
	)
	type packet struct {
		seq            uint64
		sent, received time.Duration
	}
	c := urcp.New(0, urcp.Config{MSS: size})
	var (
		now, free time.Duration // free is when the link has sent what it has
		seq       uint64
		way       []packet
	)
	for now < 10*time.Second {
		send := c.NextSend(now, size)
		if len(way) == 0 || max(send, now) < way[0].received+oneWay {
			now = max(send, now)
			c.OnSent(now, urcp.Packet{Seq: seq, Bytes: size})
			free = max(free, now) + service
			way = append(way, packet{seq, now, free + oneWay})
			seq++
			continue
		}
		p := way[0]
		way = way[1:]
		now = p.received + oneWay
		c.OnFeedback(now, &urcp.Feedback{
			Acked: []urcp.Acked{{Seq: p.seq, Received: p.received, Timed: true}},
			RTT:   now - p.sent,
		})
	}
	s := c.Snapshot()
	fmt.Println(s.Mode)
	fmt.Println("delivered", (s.DeliveryRate+50_000)/100_000, "x 100 kbit/s")
	fmt.Println("base round trip", s.BaseRTT.Round(time.Millisecond))
	fmt.Println("queue under 10 ms:", s.QueueDelay < 10*time.Millisecond)
	// Output:
	// steady
	// delivered 100 x 100 kbit/s
	// base round trip 41ms
	// queue under 10 ms: true
}
