package broker

import (
	"context"

	"github.com/reachback/reachback/relay"
)

// maxKillsKept bounds the kills that a link holds. They are needed for relays that
// begin to watch, and those of hosts for the answers of these; the broker knows the
// older ones and refuses their calls.
const maxKillsKept = 1 << 18

// enforce takes kills from the broker, some of which may be known from an earlier
// channel.
func (l *Link) enforce(kills []killEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range kills {
		l.kills.add(relay.Kill{Revision: k.Revision, Session: k.Session, Host: k.Host, Code: k.Code})
	}
}

// Watch implements [relay.Orchestrator]. A channel that breaks does not end it.
func (l *Link) Watch(ctx context.Context, f func(relay.Kill)) error {
	for next := 0; ; {
		l.mu.Lock()
		kills, after, more := l.kills.since(next)
		l.mu.Unlock()
		for _, k := range kills {
			f(k)
		}
		next = after
		select {
		case <-more:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// A killLog is every kill that was heard of, once each, in the order of hearing.
// Its zero value is ready. Revisions do not order it: those of a broker that has
// lost its memory begin anew.
type killLog struct {
	kills   []relay.Kill // oldest first; what is in it is not changed
	dropped int          // how many there were before
	known   map[killed]struct{}
	more    chan struct{} // closed and replaced when there are more; nil: nobody waits
}

// killed is what a kill is about.
type killed struct{ session, host string }

func (g *killLog) add(k relay.Kill) {
	what := killed{k.Session, k.Host}
	if _, ok := g.known[what]; ok || what == (killed{}) {
		return
	}
	if g.known == nil {
		g.known = make(map[killed]struct{})
	}
	if len(g.kills) >= maxKillsKept {
		delete(g.known, killed{g.kills[0].Session, g.kills[0].Host})
		g.kills = g.kills[1:]
		g.dropped++
	}
	g.known[what] = struct{}{}
	g.kills = append(g.kills, k)
	if g.more != nil {
		close(g.more)
		g.more = nil
	}
}

// since returns the kills from the place next on, the place after them, and a
// channel that is closed when there are more.
func (g *killLog) since(next int) ([]relay.Kill, int, <-chan struct{}) {
	if g.more == nil {
		g.more = make(chan struct{})
	}
	first := max(0, next-g.dropped)
	// Later kills are appended behind these, never over them.
	return g.kills[first:len(g.kills):len(g.kills)], g.dropped + len(g.kills), g.more
}

func (g *killLog) revoked(host string) bool {
	_, ok := g.known[killed{host: host}]
	return ok
}
