// Package relay is the gateway: it joins a client's leg with a host's leg and
// copies bytes that it cannot read.
//
//	client ── call ──▶ Relay ◀── answer ── host
//	                     │
//	                Orchestrator
//
// Both legs dial out to the relay; the relay dials nobody. A call carries a
// connection token. The relay checks it, draws a call id and a ticket and asks its
// [Orchestrator], usually a broker, which picks a host and hands it the ticket. The
// host answers with the ticket and its identity certificate. When both legs are
// there both get their 101, and from then on the relay adds no byte of its own.
//
// What peers can make a relay hold is bounded: heads and handshakes by size and an
// absolute deadline ([ConfigureServer]), unverified requests by address, waiting
// calls by user, answers by call ([Limits]), failed attempts by a table of fixed
// size, and a joined pair by its buffers.
package relay

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/limit"
)

// A Relay pairs calls with answers. Set its fields, then use it as an
// [http.Handler] on a server made ready by [ConfigureServer]. End it with
// Shutdown or Close after the server has been told to accept no more.
type Relay struct {
	// Orchestrator is asked about each call. Required.
	Orchestrator Orchestrator
	// URL is the base URL under which hosts reach this very instance. Required.
	URL    string
	Limits Limits
	Logger *slog.Logger // nil is silent

	start    sync.Once
	watching context.CancelFunc // ends the watch for kills
	watcher  sync.WaitGroup     // that goroutine; Close waits for it
	pairs    sync.WaitGroup     // joined pairs; Shutdown and Close wait for them
	failures limit.Failures

	mu         sync.Mutex // guards everything below
	draining   bool
	closed     bool
	waiting    map[string]*waiting  // by call id, until joined or given up
	perUser    map[string]int       // waiting calls by user
	unverified map[netip.Prefix]int // requests whose credentials are being checked
	joined     map[*joint]struct{}
	killed     kills
	total      Stats // without what is still joined
}

// Limits bound what peers can make a relay hold. Zero or less means the default
// in parentheses; no value means no limit.
type Limits struct {
	WaitingPerAddress int           // requests of one address (IPv6: /64) whose token is not verified yet (32)
	WaitingPerUser    int           // calls of one user that wait for their host (32)
	CallTimeout       time.Duration // how long a call waits for its host (15 s)
	WriteTimeout      time.Duration // how long a leg may take no bytes before the pair is cut (2 min)
}

// maxAnswers bounds the answers that wait for one call's permit: the broker
// summons one host after the other, and seldom more than two.
const maxAnswers = 4

func (l Limits) waitingPerAddress() int     { return orElse(l.WaitingPerAddress, 32) }
func (l Limits) waitingPerUser() int        { return orElse(l.WaitingPerUser, 32) }
func (l Limits) callTimeout() time.Duration { return orElse(l.CallTimeout, 15*time.Second) }
func (l Limits) writeTimeout() time.Duration {
	return orElse(l.WriteTimeout, 2*time.Minute)
}

func orElse[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// Stats are numbers of a relay since its start; those named Waiting and Joined
// are as of now.
type Stats struct {
	Waiting  int // calls that wait for their host
	Joined   int // joined pairs
	Calls    int64
	Answers  int64
	ToHost   int64 // bytes copied from clients to hosts
	ToClient int64
	Refused  map[reachback.Code]int64 // calls and answers
	Ended    map[reachback.Code]int64 // joined pairs
}

// Stats returns the relay's numbers.
func (r *Relay) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.total
	s.Refused, s.Ended = maps.Clone(s.Refused), maps.Clone(s.Ended)
	s.Waiting, s.Joined = len(r.waiting), len(r.joined)
	for j := range r.joined {
		s.ToHost += j.toHost.Load()
		s.ToClient += j.toClient.Load()
	}
	return s
}

// begin makes the relay ready at its first use: from then on it takes note of kills.
func (r *Relay) begin() {
	r.start.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		r.mu.Lock()
		defer r.mu.Unlock()
		r.waiting = make(map[string]*waiting)
		r.perUser = make(map[string]int)
		r.unverified = make(map[netip.Prefix]int)
		r.joined = make(map[*joint]struct{})
		r.total.Refused = make(map[reachback.Code]int64)
		r.total.Ended = make(map[reachback.Code]int64)
		r.watching = cancel
		if r.Orchestrator != nil && !r.closed {
			r.watcher.Go(func() { r.watch(ctx) })
		}
	})
}

// Shutdown refuses new calls, gives up those that wait, and waits until the joined
// pairs have ended or ctx ends, and with it the pairs. It then waits for the relay's
// goroutines, and returns ctx's cause if it had to cut.
func (r *Relay) Shutdown(ctx context.Context) error {
	r.begin()
	r.mu.Lock()
	r.draining = true
	r.giveUpAll()
	r.mu.Unlock()

	done := make(chan struct{})
	go func() { // ends with the last pair, which is waited for below in any case
		r.pairs.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	r.Close()
	<-done
	return err
}

// Close ends everything at once and waits for the relay's goroutines.
func (r *Relay) Close() error {
	r.begin()
	r.mu.Lock()
	r.draining, r.closed = true, true
	r.giveUpAll()
	r.mu.Unlock()
	cutAll(r.end(reachback.CodeDraining, func(*Permit) bool { return true }), reachback.CodeDraining)
	r.watching()
	r.watcher.Wait()
	r.pairs.Wait()
	return nil
}

// giveUpAll tells all waiting calls that the relay is going down. r.mu is held.
func (r *Relay) giveUpAll() {
	for _, w := range r.waiting {
		w.cancel(reachback.Refuse(reachback.CodeDraining))
	}
}
