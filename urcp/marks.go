package urcp

const (
	markPrice = 0.002 // delay that markUnit of marks is worth
	markUnit  = 0.01
	l4sGain   = 1.0 / 16 // of a round in the average, as in DCTCP (RFC 8257)
)

// marks keeps the price of congestion marks.
type marks struct {
	ratio float64
	price float64
}

func (m *marks) turn(kind ECN, l *lossMeter, rtt float64) {
	r := 0.0
	if l.shut.acked > 0 {
		r = float64(l.shut.marked) / float64(l.shut.acked)
	}
	gain := lossGain
	if kind == ECNL4S {
		gain = l4sGain
	}
	m.ratio += gain * (r - m.ratio)
	if kind == ECNL4S {
		// Two marks a round trip for each level, as many as DCTCP gets.
		m.price = m.ratio * rtt
		return
	}
	m.price = markPrice * (m.ratio / markUnit) * (m.ratio / markUnit)
}
