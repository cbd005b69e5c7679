package hostside

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

const (
	dialTimeout = 2 * time.Second  // within the 3 s that a summon may take
	parkTime    = 20 * time.Second // longer than a call may take
	maxParked   = 64
)

// targets holds the connections to the RDP server that were made when a summon
// came, until the session is there. So a call is refused at once when the server
// is down, and the server is not asked twice.
type targets struct {
	addr string

	mu     sync.Mutex
	closed bool
	parked map[string]parked // by session
}

type parked struct {
	conn  net.Conn
	timer *time.Timer
}

// admit is transport.ListenConfig.Admit.
func (t *targets) admit(ctx context.Context, s *broker.Summon) error {
	conn, err := dialTarget(ctx, t.addr)
	if err != nil {
		return reachback.Refuse(reachback.CodeTargetUnavailable)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		conn.Close()
		return reachback.Refuse(reachback.CodeDraining)
	}
	if old, ok := t.parked[s.Session]; ok { // summoned again for the same session
		old.timer.Stop()
		old.conn.Close()
		delete(t.parked, s.Session)
	}
	// Calls whose clients leave must not keep others out: beyond the limit a
	// session asks the server again when it is there.
	if len(t.parked) >= maxParked {
		return conn.Close()
	}
	session := s.Session
	t.parked[session] = parked{conn, time.AfterFunc(parkTime, func() {
		if c := t.unpark(session); c != nil {
			c.Close()
		}
	})}
	return nil
}

// take returns the session's connection, or a new one where none is parked.
func (t *targets) take(session string) (net.Conn, error) {
	if c := t.unpark(session); c != nil {
		return c, nil
	}
	return dialTarget(context.Background(), t.addr)
}

func (t *targets) unpark(session string) net.Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.parked[session]
	if !ok {
		return nil
	}
	p.timer.Stop()
	delete(t.parked, session)
	return p.conn
}

func (t *targets) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for session, p := range t.parked {
		p.timer.Stop()
		p.conn.Close()
		delete(t.parked, session)
	}
}

func dialTarget(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	return d.DialContext(ctx, "tcp", addr)
}
