package broker

import (
	"container/heap"
	"time"
)

// An agenda holds what a directory does at certain times. Nothing wakes it: each
// transaction first does what is due, so that counts are exact to the instant
// without a goroutine.
type agenda struct{ entries entries }

// An entry is one thing to do. What can be put off keeps its entry and sets it
// again, so that there is one of it however often somebody has it put off.
type entry struct {
	at    time.Time
	do    func(at time.Time)
	place int // among the entries, from one; zero: not on the agenda
}

// add has something done once that nobody puts off.
func (a *agenda) add(at time.Time, do func(at time.Time)) { a.set(&entry{do: do}, at) }

// set puts e on the agenda, or moves it there.
func (a *agenda) set(e *entry, at time.Time) {
	e.at = at
	if e.place > 0 {
		heap.Fix(&a.entries, e.place-1)
		return
	}
	heap.Push(&a.entries, e)
}

// drop takes e off the agenda, if it is on it.
func (a *agenda) drop(e *entry) {
	if e.place > 0 {
		heap.Remove(&a.entries, e.place-1)
	}
}

// run does everything that is due at now, each as of its own time.
func (a *agenda) run(now time.Time) {
	for len(a.entries) > 0 && !a.entries[0].at.After(now) {
		e := heap.Pop(&a.entries).(*entry)
		e.do(e.at)
	}
}

// entries implements [heap.Interface].
type entries []*entry

func (e entries) Len() int           { return len(e) }
func (e entries) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e entries) Swap(i, j int) {
	e[i], e[j] = e[j], e[i]
	e[i].place, e[j].place = i+1, j+1
}
func (e *entries) Push(x any) {
	*e = append(*e, x.(*entry))
	x.(*entry).place = len(*e)
}
func (e *entries) Pop() any {
	old := *e
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*e = old[:len(old)-1]
	x.place = 0
	return x
}
