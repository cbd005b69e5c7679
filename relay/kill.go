package relay

import (
	"cmp"
	"context"
	"io"
	"sync"
	"time"

	"github.com/reachback/reachback"
)

// rewatch is how long the relay waits before it watches for kills again.
const rewatch = time.Second

// killGrace is how long the legs of a killed session are left to the host, which is
// told of the kill too and can tell the client why. Within it nothing new is let in.
const killGrace = 500 * time.Millisecond

// watch takes kills from the orchestrator until ctx ends.
func (r *Relay) watch(ctx context.Context) {
	for {
		err := r.Orchestrator.Watch(ctx, func(k Kill) { r.kill(ctx, k) })
		if ctx.Err() != nil {
			return
		}
		r.log().Warn("watch for kills broke", "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(rewatch):
		}
	}
}

// kill ends what k names, and remembers it: a permit for the same session or host
// may be on its way to us.
func (r *Relay) kill(ctx context.Context, k Kill) {
	if k.Session != "" {
		c := cmp.Or(k.Code, reachback.CodeKilled)
		r.mu.Lock()
		r.killed.add("session "+k.Session, c)
		r.mu.Unlock()
		r.cutLater(ctx, killGrace, r.end(c, func(p *Permit) bool { return p.Session == k.Session }), c)
	}
	if k.Host != "" {
		c := cmp.Or(k.Code, reachback.CodeHostRevoked)
		r.mu.Lock()
		r.killed.add("host "+k.Host, c)
		r.mu.Unlock()
		r.cutLater(ctx, 0, r.end(c, func(p *Permit) bool { return p.Host == k.Host }), c)
	}
}

// cutLater cuts legs after that time, or when ctx ends. The kills that follow do not
// wait for it: legs with a goodbye take theirs.
func (r *Relay) cutLater(ctx context.Context, after time.Duration, legs []io.Closer, why reachback.Code) {
	if len(legs) == 0 {
		return
	}
	r.watcher.Go(func() { // ends in time
		select {
		case <-time.After(after):
		case <-ctx.Done():
		}
		cutAll(legs, why)
	})
}

// Disconnect ends the joined legs of a session and returns how many pairs there
// were. Calls of the session that still wait are given up too.
func (r *Relay) Disconnect(session string, c reachback.Code) int {
	r.begin()
	legs := r.end(c, func(p *Permit) bool { return p.Session == session })
	cutAll(legs, c)
	return len(legs) / 2
}

// end gives up the waiting calls whose permit fits, and returns both legs of each
// such pair, which are to be cut. From now on the pairs end with the code.
func (r *Relay) end(c reachback.Code, fits func(*Permit) bool) (legs []io.Closer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for j := range r.joined {
		if fits(&j.permit) {
			j.why = cmp.Or(j.why, c)
			if f, ok := j.client.(*framedLeg); ok {
				f.why.CompareAndSwap(nil, &c)
			}
			legs = append(legs, j.client, j.host)
		}
	}
	for _, w := range r.waiting {
		if w.permit != nil && fits(w.permit) {
			w.cancel(reachback.Refuse(c))
		}
	}
	return legs
}

// cutAll cuts legs, and tells those who can be told why. A front door's connection
// takes its time to close, so it is not done under the lock that all calls share, and
// such legs do not wait for each other.
func cutAll(legs []io.Closer, why reachback.Code) {
	var wg sync.WaitGroup
	for _, leg := range legs {
		if _, slow := leg.(*framedLeg); slow {
			wg.Go(func() { cut(leg, why) })
		} else {
			cut(leg, why)
		}
	}
	wg.Wait()
}

// maxKills bounds the kills that a relay remembers. It needs them only while a
// permit that was made just before is on its way, and asks Trust and the
// orchestrator about everything later.
const maxKills = 4096

// kills is a set of what was killed last. Its zero value is ready.
type kills struct {
	codes map[string]reachback.Code
	order []string // oldest first from next on, round the end
	next  int
}

func (k *kills) add(what string, c reachback.Code) {
	if k.codes == nil {
		k.codes = make(map[string]reachback.Code)
	}
	_, known := k.codes[what]
	k.codes[what] = c
	switch {
	case known:
	case len(k.order) < maxKills:
		k.order = append(k.order, what)
	default:
		delete(k.codes, k.order[k.next])
		k.order[k.next] = what
		k.next = (k.next + 1) % maxKills
	}
}

// check refuses a permit whose session or host was killed.
func (k *kills) check(p *Permit) error {
	for _, what := range [...]string{"session " + p.Session, "host " + p.Host} {
		if c, ok := k.codes[what]; ok {
			return reachback.Refuse(c)
		}
	}
	return nil
}
