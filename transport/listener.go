package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/relay"
)

const (
	// maxPending bounds the sessions that were summoned and not accepted by the
	// application yet, maxAnswering those of them that are being set up.
	maxPending   = 128
	maxAnswering = 64

	// answerTimeout is more than a call waits at its gateway.
	answerTimeout = 20 * time.Second
)

// A ListenConfig makes listeners.
type ListenConfig struct {
	// Agent is the host's end of the control channel. The listener runs it;
	// it must not be used by another listener. Required.
	Agent *broker.Agent
	// Relay dials gateways. Nil means the zero value.
	Relay *relay.Dialer
	// AllowRaw takes raw calls too, where the pool's policy admits them.
	AllowRaw bool
	// Admit, if set, is asked before a summon is accepted, concurrently and
	// for at most the 3 s that a summon may take. The code of its error refuses
	// the call, host_refused if it has none.
	Admit func(ctx context.Context, s *broker.Summon) error
	// Logger is told of sessions and of refusals. Nil is silent.
	Logger *slog.Logger
}

// Listen runs the agent until the listener is closed. It returns after the first
// welcome, with the broker's refusal if that is final, or when ctx ends.
func (lc *ListenConfig) Listen(ctx context.Context) (*Listener, error) {
	if lc.Agent == nil || lc.Agent.Identity == nil {
		return nil, errors.New("transport: ListenConfig.Agent and its Identity are required")
	}
	l := newListener(lc)
	l.goroutines.Go(l.run)
	select {
	case <-l.welcomed:
		return l, nil
	case <-l.ctx.Done():
		l.Close()
		return nil, fmt.Errorf("transport: listen: %w", l.cause())
	case <-ctx.Done():
		l.Close()
		return nil, fmt.Errorf("transport: listen: %w", context.Cause(ctx))
	}
}

// A Listener is a [net.Listener] whose connections, each a [*Conn], come from
// clients through a gateway.
type Listener struct {
	cfg      ListenConfig
	log      *slog.Logger
	ctx      context.Context // ends with the listener, and carries why
	end      context.CancelCauseFunc
	welcomed chan struct{} // closed at the first welcome
	queue    chan *Conn    // set up and not accepted; sends never wait, thanks to pending
	// goroutines are the agent, the calls being answered and the sessions
	// being ended. Close waits for them.
	goroutines sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	welcome   *broker.Welcome
	pending   int
	answering int
	calls     map[string]map[*call]struct{} // by session; a raw session can have several
}

// A call is a summon that was accepted.
type call struct {
	summon *broker.Summon
	cancel context.CancelCauseFunc // ends the setting up

	// Guarded by the listener's mu.
	conn  *Conn // nil until set up
	cause error // why it failed or ended
}

// attrs are the attributes of a record about the call.
func (c *call) attrs(more ...any) []any {
	return append([]any{"session", c.summon.Session, "correlation_id", c.summon.CorrelationID}, more...)
}

func newListener(lc *ListenConfig) *Listener {
	l := &Listener{
		cfg:      *lc,
		log:      logger(lc.Logger),
		welcomed: make(chan struct{}),
		queue:    make(chan *Conn, maxPending),
		calls:    make(map[string]map[*call]struct{}),
	}
	l.ctx, l.end = context.WithCancelCause(context.Background())
	return l
}

// run keeps the control channel until the listener is closed. A refusal for good
// ends the listener.
func (l *Listener) run() {
	err := l.cfg.Agent.Run(l.ctx, handler{l})
	if l.ctx.Err() == nil {
		l.log.Error("control channel ended for good", "err", err)
		l.end(err)
	}
}

func (l *Listener) cause() error { return context.Cause(l.ctx) }

// Accept implements [net.Listener]. After Close it fails with [net.ErrClosed], and
// after the broker's final refusal with that.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.ctx.Done():
		return nil, l.cause()
	default:
	}
	select {
	case c := <-l.queue:
		l.mu.Lock()
		l.pending--
		l.mu.Unlock()
		return c, nil
	case <-l.ctx.Done():
		return nil, l.cause()
	}
}

// Close ends the control channel and the sessions that were not accepted yet, with
// code draining, and waits for the listener's goroutines. Accepted sessions live
// on until their owner closes them.
func (l *Listener) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.end(errListenerClosed)
	l.goroutines.Wait()
	var unaccepted sync.WaitGroup
	defer unaccepted.Wait()
	for {
		select {
		case c := <-l.queue:
			unaccepted.Go(func() { c.CloseWithCode(reachback.CodeDraining) })
		default:
			return nil
		}
	}
}

// errListenerClosed is what Accept returns after Close, and what a call that is being
// answered then is refused with.
var errListenerClosed = fmt.Errorf("%w: %w", net.ErrClosed, reachback.Refuse(reachback.CodeDraining))

// Addr names the host by the id that the broker knows it by.
func (l *Listener) Addr() net.Addr { return hostAddr(l.cfg.Agent.Identity.Host()) }

type hostAddr string

func (a hostAddr) Network() string { return "reachback" }
func (a hostAddr) String() string  { return string(a) }

// Welcome returns the last welcome.
func (l *Listener) Welcome() broker.Welcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	return *l.welcome
}
