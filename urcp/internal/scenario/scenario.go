// Package scenario is the catalogue of what rate controllers are put through: the
// same scenarios are the tests of the project's own controller and the comparison
// with the references in RESULTS.md.
//
// A scenario has one or more flows under test, whose controller the caller gives,
// and may have others, whose controllers are part of it. Where several flows share
// a link, they start at moments that the seed decides, so that ten seeds are ten
// different runs.
package scenario

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/reachback/reachback/urcp"
	"github.com/reachback/reachback/urcp/linksim"
)

// New makes the controller of a flow under test; now is its sender's clock.
type New = func(now time.Duration) linksim.Controller

// A Scenario is one entry of the catalogue.
type Scenario struct {
	// Name is unique, a path: the chapter, and what is special about this one.
	Name string
	// Shows says in one sentence what the scenario is there for.
	Shows string
	// Seeded says that the seed matters.
	Seeded bool
	// Peak is the highest capacity of the bottleneck in bits per second. Controllers
	// that must be told a largest rate are told this one.
	Peak int64
	// Policed is the rate of a policer in bits per second, where that and not a queue
	// is the bottleneck.
	Policed int64
	// Fair is the fair share of the flows under test together; zero where there are
	// no others, or where it cannot be said.
	Fair float64
	// ECN is what marks mean on this path.
	ECN urcp.ECN
	// Only says that no reference could take the place of the flow under test: the
	// scenario is about something that only the project's controller does.
	Only bool
	// Make builds the scenario for one seed, with new as the controller of its flows
	// under test.
	Make func(seed uint64, new New) *linksim.Scenario
	// Clean builds what Make would if nothing disturbed it, for bounds that compare
	// the two. Nil where there is no such bound.
	Clean func(seed uint64, new New) *linksim.Scenario
	// Rivals says that some bounds compare with the references.
	Rivals bool
	// Bounds are what the project's controller must keep.
	Bounds []Bound
}

// Chapter is the part of the name before the first slash.
func (s *Scenario) Chapter() string {
	chapter, _, _ := strings.Cut(s.Name, "/")
	return chapter
}

// All returns the catalogue but for the traces, in the order of reading.
func All() []Scenario {
	var all []Scenario
	for _, chapter := range [][]Scenario{
		alone(), lossy(), shared(), mixed(), against(), changes(), disturbed(),
		rfc8867(), wireless(), mobile(), managed(), sources(), sweeps(),
	} {
		all = append(all, chapter...)
	}
	hold(all)
	return all
}

// Ideal returns sc with feedback that rounds and loses nothing.
func Ideal(sc *linksim.Scenario) *linksim.Scenario {
	for i := range sc.Flows {
		sc.Flows[i].Feedback.Kind = linksim.Ideal
	}
	return sc
}

// Shorten returns sc cut off after d, for runs that must be quick.
func Shorten(sc *linksim.Scenario, d time.Duration) *linksim.Scenario {
	sc.Duration = min(sc.Duration, d)
	return sc
}

// tested is a flow under test over the links of path.
func tested(name string, new New, path ...int) linksim.Flow {
	return linksim.Flow{
		Name: name, New: new, Path: path,
		Feedback: linksim.Feedback{Kind: linksim.RDPUDP2},
	}
}

// tcp is a flow of another kind. Its receiver acknowledges every second packet, as
// those of TCP do (RFC 9293, section 3.8.6.3).
func tcp(name string, new New, path ...int) linksim.Flow {
	return linksim.Flow{
		Name: name, New: new, Path: path,
		Feedback: linksim.Feedback{Packets: 2},
	}
}

func cubic(time.Duration) linksim.Controller { return &linksim.Cubic{} }
func reno(time.Duration) linksim.Controller  { return &linksim.Reno{} }
func bbr(time.Duration) linksim.Controller   { return &linksim.BBR{} }

// pipe is a link of a constant rate with a plain queue of a certain depth in time,
// where rtt is the round trip over it alone.
func pipe(rate int64, rtt, buffer time.Duration) linksim.Link {
	return linksim.Link{
		Name: "bottleneck", Rate: rate, Delay: rtt / 2,
		Queue: linksim.Queue{Bytes: linksim.Buffer(rate, buffer)},
	}
}

// single is one flow under test, without end, over one link.
func single(duration time.Duration, link linksim.Link) func(uint64, New) *linksim.Scenario {
	return func(seed uint64, new New) *linksim.Scenario {
		return &linksim.Scenario{
			Seed: seed, Duration: duration,
			Links: []linksim.Link{link},
			Flows: []linksim.Flow{tested("flow", new, 0)},
		}
	}
}

// several are flows over links, the first of which is the bottleneck.
func several(
	duration time.Duration, flows func(uint64, New) []linksim.Flow, links ...linksim.Link,
) func(uint64, New) *linksim.Scenario {
	return func(seed uint64, new New) *linksim.Scenario {
		return &linksim.Scenario{
			Seed: seed, Duration: duration, Links: slices.Clone(links), Flows: flows(seed, new),
		}
	}
}

// flows are so many under test over the links of path.
func flows(n int, new New, start func(i int) time.Duration, path ...int) []linksim.Flow {
	all := make([]linksim.Flow, n)
	for i := range all {
		all[i] = tested(fmt.Sprintf("flow %d", i+1), new, path...)
		all[i].Start = start(i)
	}
	return all
}

// within has flows start at moments within d.
func within(seed uint64, d time.Duration) func(i int) time.Duration {
	return func(i int) time.Duration { return spread(seed, i, d) }
}

// apart has flows start one after the other, about so far apart; the first at once.
func apart(seed uint64, by, d time.Duration) func(i int) time.Duration {
	return func(i int) time.Duration {
		if i == 0 {
			return 0
		}
		return time.Duration(i)*by + spread(seed, i, d)
	}
}

// spread is a moment within d that only seed and i decide.
func spread(seed uint64, i int, d time.Duration) time.Duration {
	return time.Duration(rand.New(rand.NewPCG(seed, uint64(i))).Int64N(int64(d)))
}
