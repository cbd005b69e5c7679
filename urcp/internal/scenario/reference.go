package scenario

import (
	"time"

	"github.com/reachback/reachback/urcp/linksim"
)

// A Reference is a published controller with which the project's is compared. Only
// those are here whose own published figures a test of linksim reproduces.
type Reference struct {
	Name string
	// For returns the controller for the flows of a scenario.
	For func(*Scenario) New
}

// References are those of linksim, the most delay-sensitive first.
var References = []Reference{
	{"Copa", func(*Scenario) New { return func(time.Duration) linksim.Controller { return &linksim.Copa{} } }},
	{"NADA", nada},
	{"BBR", func(*Scenario) New { return bbr }},
	{"Cubic", func(*Scenario) New { return cubic }},
	{"NewReno", func(*Scenario) New { return reno }},
}

// nada has to be told the range of its rates. It is told half as much again as the
// capacity, which none of the others knows: as media senders are, who could make a little more
// than the link carries (RFC 8867 has 1.5 Mbit/s on links from 0.6 Mbit/s).
func nada(sc *Scenario) New {
	return func(time.Duration) linksim.Controller {
		peak := float64(sc.Peak)
		return &linksim.NADA{MinRate: min(150e3, peak/10), MaxRate: 1.5 * peak}
	}
}
