package broker

import (
	"container/heap"
	"time"
)

// An agenda holds what a directory does at certain times. Nothing wakes it: each
// transaction first does what is due, so that counts are exact to the instant
// without a goroutine. An entry whose reason is gone finds that out by itself.
type agenda struct{ entries entries }

type entry struct {
	at time.Time
	do func(at time.Time)
}

func (a *agenda) add(at time.Time, do func(at time.Time)) { heap.Push(&a.entries, entry{at, do}) }

// run does everything that is due at now, each as of its own time.
func (a *agenda) run(now time.Time) {
	for len(a.entries) > 0 && !a.entries[0].at.After(now) {
		e := heap.Pop(&a.entries).(entry)
		e.do(e.at)
	}
}

// entries implements [heap.Interface].
type entries []entry

func (e entries) Len() int           { return len(e) }
func (e entries) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e entries) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *entries) Push(x any)        { *e = append(*e, x.(entry)) }
func (e *entries) Pop() any {
	old := *e
	x := old[len(old)-1]
	old[len(old)-1] = entry{}
	*e = old[:len(old)-1]
	return x
}
