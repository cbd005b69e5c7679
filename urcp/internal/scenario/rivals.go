package scenario

import (
	"fmt"
	"time"
)

// Measures of this file need the runs of the references: Scenario.Rivals is set.

// Lead is how far a reference is ahead in use and delay both, by the smaller of the two
// leads: over one, it uses more of the bottleneck at a lower p95 of the queueing delay.
func Lead() Measure {
	used, late := Utilisation(0, 0), Queue("p95", 0, 0)
	return Measure{Name: "a reference's lead in use and delay both", Unit: Percent, Rivals: true, Of: func(r *Run) float64 {
		lead := 0.0
		for _, rival := range r.Rivals {
			lead = max(lead, min(used.Of(rival)/used.Of(r), late.Of(r)/late.Of(rival)))
		}
		return lead
	}}
}

// BesideBest is the utilisation as a share of the best among the references whose p95
// of the queueing delay is under a limit.
func BesideBest(limit time.Duration) Measure {
	used, late := Utilisation(0, 0), Queue("p95", 0, 0)
	name := "utilisation beside the best reference's with a p95 under " + limit.String()
	return Measure{Name: name, Unit: Percent, Rivals: true, Of: func(r *Run) float64 {
		best := used.Of(r)
		for _, rival := range r.Rivals {
			if late.Of(rival) < float64(limit/time.Millisecond) {
				best = max(best, used.Of(rival))
			}
		}
		return used.Of(r) / best
	}}
}

// BesideCopa is the utilisation as a share of what is left of Copa's less some points.
func BesideCopa(less float64) Measure {
	used := Utilisation(0, 0)
	name := fmt.Sprintf("utilisation beside Copa's less %.0f points", less)
	return Measure{Name: name, Unit: Percent, Rivals: true, Of: func(r *Run) float64 {
		return used.Of(r) / (used.Of(r.rival("Copa")) - less/100)
	}}
}

// DelayBesideCopa is the p95 of the queueing delay as a share of that of Copa.
func DelayBesideCopa() Measure {
	late := Queue("p95", 0, 0)
	return Measure{Name: "queue p95 beside Copa's", Unit: Percent, Rivals: true, Of: func(r *Run) float64 {
		return late.Of(r) / late.Of(r.rival("Copa"))
	}}
}

func (r *Run) rival(name string) *Run {
	for i, ref := range References {
		if ref.Name == name {
			return r.Rivals[i]
		}
	}
	return nil
}
