// Package hostside is the agent beside an RDP server: it lets sessions in and
// joins each with a connection to the server.
package hostside

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/forward"
	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/relay"
	"github.com/reachback/reachback/transport"
)

// A Config is what the flags of a session host say.
type Config struct {
	Server string // base URL of the broker
	Dir    string // the host's key and certificate
	Target string // address of the RDP server
	CA     string // path of the CA file; empty: the system's
	Enrol  string // path of a registration token, until enrolled
	Name   string // wanted name; empty: the machine's
	Pool   string // wanted pool; empty: the token's, or the only one
}

// Run serves sessions until ctx ends. It calls ready once the host is registered.
func Run(ctx context.Context, p *program.Program, cfg *Config, ready func()) error {
	origin, err := program.Origin("-server", cfg.Server)
	if err != nil {
		return err
	}
	if _, _, err := net.SplitHostPort(cfg.Target); err != nil {
		return program.UsageError(fmt.Sprintf("flag -target: %v", err))
	}
	if err := program.MakeDir(cfg.Dir); err != nil {
		return err
	}
	unlock, err := program.Lock(cfg.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	tlsConfig, err := program.TrustFile(cfg.CA)
	if err != nil {
		return err
	}
	identity, err := broker.OpenIdentity(filepath.Join(cfg.Dir, "identity.pem"))
	if err != nil {
		return err
	}
	logger := p.Logger.With("part", "host")
	agent := &broker.Agent{Server: origin.String(), Identity: identity, TLS: tlsConfig, Logger: logger}
	if identity.Host() == "" {
		if err := enrol(ctx, agent, cfg); err != nil {
			return err
		}
	}
	targets := &targets{addr: cfg.Target, parked: make(map[string]parked)}
	defer targets.close()
	lc := &transport.ListenConfig{
		Agent:    agent,
		Relay:    &relay.Dialer{TLS: tlsConfig},
		AllowRaw: true, // the pool's policy decides
		Admit:    targets.admit,
		Logger:   logger,
	}
	l, err := lc.Listen(ctx)
	if err != nil {
		return err
	}
	w := l.Welcome()
	p.Event("registered", "host", w.Host, "name", w.Name, "pool", w.Pool)
	ready()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	err = serve(ctx, p, l, targets)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func enrol(ctx context.Context, agent *broker.Agent, cfg *Config) error {
	if cfg.Enrol == "" {
		return program.UsageError("flag -enrol is required until the host is enrolled")
	}
	token, err := os.ReadFile(cfg.Enrol)
	if err != nil {
		return err
	}
	name := cfg.Name
	if name == "" {
		if name, err = os.Hostname(); err != nil {
			return err
		}
	}
	_, err = agent.Enrol(ctx, broker.EnrolOptions{Token: strings.TrimSpace(string(token)), Name: name, Pool: cfg.Pool})
	return err
}

// serve joins each session with the RDP server. It returns when the listener is
// closed and all sessions have ended.
func serve(ctx context.Context, p *program.Program, l *transport.Listener, targets *targets) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		nc, err := l.Accept()
		if err != nil {
			return err
		}
		c := nc.(*transport.Conn)
		wg.Go(func() { // ends with the session, which ends with ctx at the latest
			stop := context.AfterFunc(ctx, func() { c.CloseWithCode(reachback.CodeDraining) })
			defer stop()
			one(p, c, targets)
		})
	}
}

func one(p *program.Program, c *transport.Conn, targets *targets) {
	g := c.Grant()
	p.Event("session", "session", g.Session, "user", g.User, "resource", g.Resource, "raw", c.Raw(), "path", c.Path(), "correlation_id", g.CorrelationID)
	target, err := targets.take(g.Session)
	if err != nil {
		p.Logger.Warn("RDP server does not answer", "session", g.Session, "correlation_id", g.CorrelationID, "err", err)
		c.CloseWithCode(reachback.CodeTargetUnavailable)
	} else {
		forward.Join(target, c)
	}
	s := c.Stats()
	p.Event("end", "session", g.Session, "code", reachback.CodeOf(c.Err()), "bytes_in", s.BytesIn, "bytes_out", s.BytesOut, "correlation_id", g.CorrelationID)
}

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
	conn, err := t.dial(ctx)
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
	return t.dial(context.Background())
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

func (t *targets) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	return d.DialContext(ctx, "tcp", t.addr)
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
