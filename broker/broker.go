// Package broker knows hosts, resources, assignments and sessions, picks the
// host of each call and holds the control channels.
//
// A [Broker] is one end: an [http.Handler] for hosts and gateways that enrol and
// open their control channels, the orchestrator of relays, and the source of a
// feed. An [Agent] is the other end on a session host, which also says how the
// host is ([Health]) and, with a [SessionControl], what becomes of user sessions. A
// [Link] is the other end on a gateway's own machine, and its relay's orchestrator.
//
// What a broker knows is in its [Directory], which brokers may share; package
// sqldirectory has those that keep it, and the [Keys] too. Every step of a
// connection, and all that operators do, leaves a [Record] in a [RecordSink]. A
// [Starter] is asked for a host when none is up.
//
// # Placement
//
// For a user and a resource the broker takes, in this order:
//
//   - for a raw call whose token was used before, the same session and host;
//   - the host on which the user has a user session in the resource's pool, also
//     a disconnected one and even when the host is in drain;
//   - in a personal pool the user's own host, or the first by name that is
//     nobody's, which becomes his;
//   - in a pooled pool the host with the fewest user sessions (breadth) or the
//     most (depth); among equals the first by name.
//
// Hosts that are not connected, not fit, duplicate, not approved or in drain get no
// new user, nor do those at the pool's limit; to be at the limit is not to be
// unfit. Limits count user sessions, connected or not. A slot is given back when
// its call is not joined within 30 s, when the host says that the user has logged
// off or, of a host that cannot tell, when the user session has lingered after its
// last connection, and when its host has been absent for 10 minutes.
//
// Who writes another Directory finds these rules as tests in package directorytest.
//
// # Bounds
//
// A user may ask for 60 connection tokens at once and for one more each second.
// That bounds what his requests make a broker keep: 780 used tokens, each for the 12
// minutes in which it could be shown again, and for each host that was asked 1650
// sessions that no byte went through, each for a quarter of an hour after its end.
// Sessions that carry bytes are bounded by the relays that carry them. Kills, which
// are the operator's, are kept for a day. Of decided calls 16384 are remembered, of
// all users together, for a minute.
//
// Each question to the directory has 5 s. While it is away new calls are refused
// with unavailable, control channels stay, and what is to be written down waits: of
// each host its last drain and health and reports of 1000 sessions, of all calls and
// ends of channels 32768 together. Records wait for their sink too, 8192 of them. Of
// refusals that a user can repeat there are 60 records at once and then one a second.
package broker

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/limit"
	"github.com/reachback/reachback/relay"
)

// A Broker is an [http.Handler] for control and enrol, a [relay.Orchestrator],
// and a feed.Source. Set its fields before use, and close it after.
type Broker struct {
	// Keys sign tokens and host certificates. Nil means new ones, which end
	// with the process.
	Keys *Keys
	// Directory holds hosts, resources and sessions. Nil means an empty
	// MemoryDirectory.
	Directory Directory
	// Verifier checks the tokens of users. Without one, nobody is let in.
	Verifier Verifier
	// Gateways are the URLs of the relays in this process. Those of others are
	// known by their channels. A call that names neither is refused.
	Gateways []string
	// OnMessage answers applications' own messages from hosts. Nil refuses them.
	OnMessage func(ctx context.Context, host string, m *Message) (*Message, error)
	// Starter has hosts started when a user wants one and none is up. Nil:
	// such a call is refused.
	Starter Starter
	// Sink takes the records of what happens. Nil means the Directory.
	Sink   RecordSink
	Logger *slog.Logger // nil is silent

	// What follows up to counters is immutable after once.

	once     sync.Once
	keys     *Keys
	dir      patient
	ctx      context.Context // ends when the broker is closed
	cancel   context.CancelCauseFunc
	books    *books
	recorder *recorder
	connects *limit.Rate[string] // by User.ID
	repeats  *limit.Rate[string] // of records that a party could repeat at will
	told     sparse
	failures limit.Failures
	fleet    fleet
	counters counters
	// trusted says that the kills have been read, so that nobody who was revoked
	// before is let in.
	trusted atomic.Bool

	mu       sync.Mutex
	closing  bool                       // no new channels
	channels map[string]*control        // by host
	gateways map[string]*gatewayControl // by id
	linked   map[string]bool            // URLs of gateways that have had a channel here
	calls    decisions
	starts   map[string]*starting // by what is started
	nudged   chan struct{}        // closed and replaced when there are new kills
	revoked  map[string]bool      // hosts
	// refetched is when the keys were asked for last because of a token.
	refetched time.Time

	// wg counts every goroutine of the broker but those of books and recorder,
	// which end after it. Close waits for all of them.
	wg sync.WaitGroup
}

var _ relay.Orchestrator = (*Broker)(nil)

// A Verifier checks the bearer token of a user. A refusal is a *reachback.Error.
type Verifier interface {
	Verify(ctx context.Context, token string) (*reachback.User, error)
}

// start begins the broker's own goroutines, once. Close ends them.
func (b *Broker) start() {
	b.once.Do(func() {
		directory := b.Directory
		if directory == nil {
			directory = &MemoryDirectory{}
		}
		b.dir = patient{directory}
		sink := b.Sink
		if sink == nil {
			sink = directory
		}
		if b.keys = b.Keys; b.keys == nil {
			var err error
			if b.keys, err = NewKeys(); err != nil {
				panic(err) // no cause outside of this package
			}
		}
		b.ctx, b.cancel = context.WithCancelCause(context.Background())
		b.connects = &limit.Rate[string]{PerSecond: connectsPerSecond, Burst: connectBurst}
		b.repeats = &limit.Rate[string]{PerSecond: repeatsPerSecond, Burst: repeatBurst}
		b.channels = make(map[string]*control)
		b.gateways = make(map[string]*gatewayControl)
		b.linked = make(map[string]bool)
		b.calls.byCall = make(map[string]*decision)
		b.starts = make(map[string]*starting)
		b.nudged = make(chan struct{})
		b.revoked = make(map[string]bool)
		b.books = newBooks(b.log())
		b.recorder = newRecorder(sink, b.log())
		go b.recorder.run() // recorder.close waits for it
		// Before anything is answered the revocations must be known. Where they
		// cannot be read now, calls are refused until they are.
		after, err := b.enforceAll(b.ctx, 0)
		if err != nil {
			b.log().Error("kills not read", "err", err)
		}
		b.wg.Go(func() { b.follow(b.ctx, after, b.enforceAll) })
		b.wg.Go(b.forget)
		b.wg.Go(b.keepKeys)
	})
}

// forget has old decisions and starts forgotten until the broker is closed.
func (b *Broker) forget() {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			b.mu.Lock()
			b.calls.forget(now)
			b.forgetStarts(now)
			b.mu.Unlock()
		case <-b.ctx.Done():
			return
		}
	}
}

func (b *Broker) log() *slog.Logger { return orSilent(b.Logger) }

// orSilent is what a Logger field stands for.
func orSilent(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

// ServeHTTP serves /reachback/v1/control and /reachback/v1/enrol.
func (b *Broker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.start()
	switch r.URL.Path {
	case carrier.PathControl:
		b.serveControl(w, r)
	case carrier.PathEnrol:
		b.serveEnrol(w, r)
	default:
		b.refuse(w, reachback.Refuse(reachback.CodeNotFound))
	}
}

// deny refuses a host's request, whose address has one more failed attempt then. The
// record and the answer have the same correlation id. Of a flood there is no record
// but the count.
func (b *Broker) deny(w http.ResponseWriter, r *http.Request, what string, err error, attrs ...any) {
	e := *reachback.AsError(err)
	e.CorrelationID = randomID(16)
	level := slog.LevelWarn
	switch {
	case e.Code == reachback.CodeRateLimited:
		level = slog.LevelDebug
	case e.Code.Status() < http.StatusInternalServerError:
		b.failures.Fail(carrier.Remote(r).Addr(), time.Now())
	case e.Code == reachback.CodeInternal:
		level = slog.LevelError
	}
	attrs = append(attrs, "remote", r.RemoteAddr, "correlation_id", e.CorrelationID, "code", e.Code, "err", err)
	b.log().Log(r.Context(), level, what, attrs...)
	b.refuse(w, &e)
}

func (b *Broker) refuse(w http.ResponseWriter, err error) {
	b.counters.refused(reachback.CodeOf(err))
	carrier.Refuse(w, err, "")
}

// Trust implements [relay.Orchestrator].
func (b *Broker) Trust() *relay.Trust {
	b.start()
	return &relay.Trust{Keys: b.keys.set(time.Now()), HostCA: b.keys.hosts.pool, Revoked: b.isRevoked}
}

func (b *Broker) isRevoked(host string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.revoked[host]
}

// Shutdown refuses new channels and calls, tells every host to come back later,
// each after its own time, and ends the channels. It waits for the broker's
// goroutines, or until ctx ends.
func (b *Broker) Shutdown(ctx context.Context) error {
	b.start()
	for _, c := range b.stop() {
		c.restarting()
	}
	for _, g := range b.gatewayChannels() {
		g.restarting()
	}
	return b.wait(ctx)
}

// Close ends the channels at once and waits for the broker's goroutines.
func (b *Broker) Close() error {
	b.start()
	for _, c := range b.stop() {
		c.end(reachback.Refuse(reachback.CodeDraining), true)
	}
	for _, g := range b.gatewayChannels() {
		g.end(reachback.Refuse(reachback.CodeDraining), true)
	}
	return b.wait(context.Background())
}

// stop lets nothing new begin and returns the channels that there are.
func (b *Broker) stop() []*control {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closing = true
	all := make([]*control, 0, len(b.channels))
	for _, c := range b.channels {
		all = append(all, c)
	}
	return all
}

func (b *Broker) wait(ctx context.Context) error {
	b.cancel(reachback.Refuse(reachback.CodeDraining))
	done := make(chan struct{})
	go func() { // ends with the goroutines that it waits for
		b.wg.Wait()
		b.books.close() // channels that end have something to note and to record
		b.recorder.close()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
