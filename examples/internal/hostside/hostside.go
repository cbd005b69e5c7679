// Package hostside is the agent beside an RDP server: it lets sessions in, joins
// each with a connection to the server, and says how the host is.
package hostside

import (
	"context"
	"path/filepath"
	"sync"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/forward"
	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/relay"
	"github.com/reachback/reachback/transport"
)

// Run serves sessions until ctx ends. It calls ready once the host is registered.
func Run(ctx context.Context, p *program.Program, cfg *Config, ready func()) error {
	origin, err := cfg.check()
	if err != nil {
		return err
	}
	control, err := newControl(cfg.Control)
	if err != nil {
		return err
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
	targets := &targets{addr: cfg.Target, parked: make(map[string]parked)}
	defer targets.close()
	health := &health{cfg: cfg.Health, target: cfg.Target, dir: cfg.Dir}
	l, err := listen(ctx, &transport.ListenConfig{
		Agent: &broker.Agent{
			Server: origin, Identity: identity, TLS: tlsConfig,
			Health: health.check, Control: control, Logger: logger,
		},
		Relay:    &relay.Dialer{TLS: tlsConfig},
		AllowRaw: true, // the pool's policy decides
		Admit:    targets.admit,
		Logger:   logger,
	}, cfg)
	if err != nil {
		return err
	}
	defer l.Close() // waits for what the listener started, also where stop came first
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
