package broker

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
)

const (
	attemptWithin = 20 * time.Second
	// renewRetry is how long after a failed renewal the next one is tried.
	renewRetry = time.Hour
)

// A party is what an [Agent] and a [Link] have in common: an identity at a broker,
// with which each keeps a control channel. It holds no state but the Identity's.
type party struct {
	role     Role
	server   string // base URL of the broker
	identity *Identity
	dialer   *carrier.Dialer
	log      *slog.Logger
}

// final are the refusals after which no other attempt can succeed.
var final = []reachback.Code{
	reachback.CodeHostRevoked, reachback.CodeHostUnknown, reachback.CodeGatewayRevoked, reachback.CodeGatewayUnknown,
	reachback.CodeWrongRole, reachback.CodeVersionUnsupported,
	reachback.CodeCertificateMissing, reachback.CodeCertificateInvalid, reachback.CodeCertificateExpired,
}

// finalAtFirst are those that mean a wrong setting as long as no channel has
// ever stood; later they may pass.
var finalAtFirst = []reachback.Code{
	reachback.CodeBadRequest, reachback.CodeNotFound, reachback.CodeProtocolError, reachback.CodeCertificateUntrusted,
}

// keep opens one control channel after the other and hands each connection to
// serve, which serves it to its end and reports whether it was welcomed. It
// returns when ctx ends, with its cause, or when the broker refuses for good.
func (p *party) keep(ctx context.Context, r *redial, serve func(*carrier.Conn) (welcomed bool, err error)) error {
	for {
		began := time.Now()
		welcomed := false
		conn, err := p.dial(ctx)
		if err == nil {
			welcomed, err = serve(conn)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if welcomed {
			r.welcomed = true
			if time.Since(began) >= stableAfter {
				r.failures = 0
			}
		}
		code := reachback.CodeOf(err)
		if slices.Contains(final, code) || !r.welcomed && slices.Contains(finalAtFirst, code) {
			return err
		}
		wait := r.next(code, time.Now())
		p.log.Warn("control channel lost", "server", p.server, "err", err, "retry_in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// dial opens one control channel up to its 101.
func (p *party) dial(ctx context.Context) (*carrier.Conn, error) {
	cert := p.identity.Certificate()
	if cert == nil {
		return nil, reachback.Refuse(reachback.CodeCertificateMissing)
	}
	if p.identity.id(p.role) == "" {
		return nil, reachback.Refuse(reachback.CodeWrongRole)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, attemptWithin, reachback.Refuse(reachback.CodeBrokerUnreachable))
	defer cancel()
	return p.dialer.Upgrade(ctx, p.server, carrier.PathControl, nil, cert, reachback.CodeBrokerUnreachable)
}

// renewals asks for the next certificate when two thirds of this one's life are
// over, until the channel ends.
func (p *party) renewals(c *channel) {
	for {
		leaf := p.identity.Certificate().Leaf
		life := leaf.NotAfter.Sub(leaf.NotBefore)
		wait := time.Until(leaf.NotBefore.Add(life * 2 / 3))
		if wait <= 0 {
			// Also after a success, for a clock that runs ahead would ask
			// again at once.
			wait = renewRetry + rand.N(renewRetry/4)
			if err := p.renew(c); err != nil {
				p.log.Error("identity certificate not renewed", "not_after", leaf.NotAfter, "retry_in", wait, "err", err)
			}
		}
		select {
		case <-time.After(wait):
		case <-c.ctx.Done():
			return
		}
	}
}

func (p *party) renew(c *channel) error {
	ctx, cancel := context.WithTimeout(c.ctx, attemptWithin)
	defer cancel()
	csr, err := p.identity.csr()
	if err != nil {
		return err
	}
	got, err := c.request(ctx, &renewMessage{CSR: csr})
	if err != nil {
		return err
	}
	m, ok := got.(*renewMessage)
	if !ok {
		return reachback.Refuse(reachback.CodeProtocolError)
	}
	if err := p.identity.store(m.Certificate, p.role); err != nil {
		return err
	}
	p.log.Info("identity certificate renewed")
	return nil
}

// promised takes note of when a broker that goes down wants to be asked again.
func (r *redial) promised(m *restartingMessage, now time.Time) {
	in := min(time.Duration(max(m.ReconnectInMS, 0))*time.Millisecond, maxPromise)
	r.notUntil = now.Add(in)
	r.tryUntil = now.Add(in + min(time.Duration(max(m.TryForMS, 0))*time.Millisecond, maxPromise))
}
