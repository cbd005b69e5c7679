package scenario

import "time"

// Measures of this file need the runs of the references: Scenario.Rivals is set.

// Dominated is how many references used more of the bottleneck at a lower p95 of the
// queueing delay.
func Dominated() Measure {
	used, late := Utilisation(0, 0), Queue("p95", 0, 0)
	return Measure{Name: "references that use more at less delay", Unit: Count, Rivals: true, Of: func(r *Run) float64 {
		n := 0
		for _, rival := range r.Rivals {
			if used.Of(rival) > used.Of(r) && late.Of(rival) < late.Of(r) {
				n++
			}
		}
		return float64(n)
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

// BesideCopa is by how many points the utilisation is above that of Copa.
func BesideCopa() Measure {
	used := Utilisation(0, 0)
	return Measure{Name: "utilisation above Copa's, in points", Unit: Index, Rivals: true, Of: func(r *Run) float64 {
		return 100 * (used.Of(r) - used.Of(r.rival("Copa")))
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
