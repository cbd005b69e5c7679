package urcp

import "time"

// extremeLen bounds the candidates that a windowed minimum or maximum keeps.
const extremeLen = 64

type extremeSample struct {
	at time.Duration
	v  float64
}

// windowMin is the smallest of the values of the last stretch of time, in a fixed
// memory: candidates rise in value and in age's reverse. Of values closer to each
// other than a thirty-second of the window only the smaller is kept. A windowed
// maximum is one of negated values.
type windowMin struct {
	buf     [extremeLen]extremeSample
	head, n int
}

func (m *windowMin) at(i int) *extremeSample { return &m.buf[(m.head+i)%extremeLen] }

// push takes in v at now and forgets what is older than window. With no news the last
// stands.
func (m *windowMin) push(now, window time.Duration, v float64) {
	for m.n > 0 && m.at(m.n-1).v >= v {
		m.n--
	}
	for m.n > 0 && now-m.at(0).at > window {
		m.head = (m.head + 1) % extremeLen
		m.n--
	}
	if m.n == extremeLen || (m.n > 0 && now-m.at(m.n-1).at < window/32) {
		return
	}
	m.n++
	*m.at(m.n - 1) = extremeSample{now, v}
}

// min returns the smallest, and ok false where there is none.
func (m *windowMin) min() (v float64, ok bool) {
	if m.n == 0 {
		return 0, false
	}
	return m.at(0).v, true
}

// shift adds d to every value.
func (m *windowMin) shift(d float64) {
	for i := range m.n {
		m.at(i).v += d
	}
}
