package linksim

import "time"

// A timed thing has events in the schedule. arg is what it gave at the time.
type timed interface {
	fire(s *sim, arg uint32)
}

// An event holds no pointer, so that the heap costs the collector nothing.
type event struct {
	at  time.Duration
	seq uint64 // order of scheduling; breaks ties, which makes the order total
	to  uint32 // index in sim.targets
	arg uint32
}

func (e *event) before(o *event) bool {
	return e.at < o.at || e.at == o.at && e.seq < o.seq
}

// schedule is a heap with four children to a node: shallower than a binary one, and
// the children of a node share cache lines.
type schedule struct {
	heap []event
	seq  uint64
}

func (q *schedule) push(at time.Duration, to, arg uint32) {
	q.seq++
	e := event{at: at, seq: q.seq, to: to, arg: arg}
	q.heap = append(q.heap, e)
	h := q.heap
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&h[up]) {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = e
}

func (q *schedule) pop() event {
	h := q.heap
	first := h[0]
	last := h[len(h)-1]
	h = h[:len(h)-1]
	q.heap = h
	if len(h) == 0 {
		return first
	}
	i := 0
	for {
		child := 4*i + 1
		if child >= len(h) {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, len(h)); c++ {
			if h[c].before(&h[least]) {
				least = c
			}
		}
		if !h[least].before(&last) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = last
	return first
}
