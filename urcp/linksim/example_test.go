package linksim_test

import (
	"fmt"
	"log"
	"time"

	"github.com/reachback/reachback/urcp"
	"github.com/reachback/reachback/urcp/linksim"
)

// fixedWindow is a controller of one's own: as many bytes on their way as fit into a
// window, and no more.
type fixedWindow struct {
	window   int
	inflight int
	bytes    map[uint64]int
}

func (c *fixedWindow) OnSent(_ time.Duration, p urcp.Packet) {
	c.inflight += p.Bytes
	c.bytes[p.Seq] = p.Bytes
}

func (c *fixedWindow) OnFeedback(_ time.Duration, f *urcp.Feedback) {
	for _, a := range f.Acked {
		c.settle(a.Seq)
	}
	for _, seq := range f.Lost {
		c.settle(seq)
	}
}

func (c *fixedWindow) settle(seq uint64) {
	c.inflight -= c.bytes[seq]
	delete(c.bytes, seq)
}

func (c *fixedWindow) NextSend(now time.Duration, bytes int) time.Duration {
	if c.inflight+bytes > c.window {
		return urcp.Never
	}
	return now
}

func (c *fixedWindow) OnTimer(time.Duration)    {}
func (c *fixedWindow) NextTimer() time.Duration { return urcp.Never }

// A link of 10 Mbit/s holds 50 kB in its round trip of 40 ms, and the acknowledgement of
// eight packets at a time makes it seem longer. What a window has beyond that waits in
// the queue.
func Example() {
	for _, window := range []int{25e3, 50e3, 100e3} {
		result, err := linksim.Run(&linksim.Scenario{
			Name:     "fixed window",
			Duration: 20 * time.Second,
			Links: []linksim.Link{{
				Name: "bottleneck", Rate: 10e6, Delay: 20 * time.Millisecond,
				Queue: linksim.Queue{Bytes: linksim.Buffer(10e6, 100*time.Millisecond)},
			}},
			Flows: []linksim.Flow{{
				Name: "flow", Path: []int{0},
				New: func(time.Duration) linksim.Controller {
					return &fixedWindow{window: window, bytes: make(map[uint64]int)}
				},
			}},
		})
		if err != nil {
			log.Fatal(err)
		}
		link := result.Link("bottleneck")
		from, to := 5*time.Second, 20*time.Second
		fmt.Printf("%3d kB: %3.0f %% used, queue %v\n", window/1000,
			100*link.Utilisation(from, to), link.Queue(from, to).P50.Round(time.Millisecond))
	}
	// Output:
	//  25 kB:  39 % used, queue 3ms
	//  50 kB:  83 % used, queue 3ms
	// 100 kB: 100 % used, queue 35ms
}

// Two controllers share a link on which one packet in a hundred is lost. One of them
// takes that for a full queue.
func ExampleResult_Share() {
	result, err := linksim.Run(&linksim.Scenario{
		Name: "neighbours", Seed: 1, Duration: 60 * time.Second,
		Links: []linksim.Link{{
			Name: "bottleneck", Rate: 20e6, Delay: 15 * time.Millisecond,
			Queue:    linksim.Queue{Bytes: linksim.Buffer(20e6, 50*time.Millisecond)},
			Elements: []linksim.Element{linksim.Loss{P: .01}},
		}},
		Flows: []linksim.Flow{
			{Name: "reno", Path: []int{0}, New: func(time.Duration) linksim.Controller { return &linksim.Reno{} }},
			{Name: "copa", Path: []int{0}, New: func(time.Duration) linksim.Controller { return &linksim.Copa{} }},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("copa has the larger share:", result.Share("copa", 30*time.Second, 60*time.Second) > .5)
	// Output: copa has the larger share: true
}
