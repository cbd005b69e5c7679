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

// nada has to be told the range of its rates. It is told the capacity, which none of
// the others knows; a media sender would have the encoder's largest rate there.
func nada(sc *Scenario) New {
	return func(time.Duration) linksim.Controller {
		return &linksim.NADA{MinRate: min(150e3, float64(sc.Peak)/10), MaxRate: float64(sc.Peak)}
	}
}
