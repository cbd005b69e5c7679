package relay

import (
	"cmp"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/framing"
	"github.com/reachback/reachback/internal/printable"
)

// A joint is a pair of joined legs, from the registration before their 101 until
// both are closed. It is all that the relay keeps of a call, so it refers to
// nothing of the requests that it came from.
type joint struct {
	relay            *Relay
	client, host     io.Closer // the legs; guarded by Relay.mu until run
	about            Event     // what its events have in common
	permit           Permit    // without the grant
	joined           time.Time
	toHost, toClient atomic.Int64

	why reachback.Code // why the relay cut it; guarded by Relay.mu
}

// joinOnce does the work of [Pending.join].
func (p *Pending) joinOnce(client net.Conn, header http.Header) (*joint, error) {
	r, w := p.relay, p.call
	host, err := p.host()
	if err != nil {
		return nil, p.unjoined(client, nil, err)
	}
	j := &joint{
		relay: r, client: client, host: host, joined: time.Now(), about: w.about,
		permit: Permit{Session: strings.Clone(p.Permit.Session), Host: strings.Clone(p.Permit.Host)},
	}
	j.about.Session, j.about.Host = j.permit.Session, j.permit.Host
	if c, ok := client.(*framing.Conn); ok {
		j.client = newFramedLeg(c, r.Limits.writeTimeout())
	}
	if err := r.register(j); err != nil {
		return nil, p.unjoined(client, host, err)
	}
	if err := j.greet(client, host, header); err != nil {
		r.mu.Lock()
		delete(r.joined, j)
		c := cmp.Or(j.why, reachback.CodeOf(err))
		r.mu.Unlock()
		r.pairs.Done()
		cut(host, c)
		cut(j.client, c)
		return nil, p.unjoined(nil, nil, reachback.Refuse(c))
	}
	r.forget(w, reachback.Refuse(reachback.CodeTicketInvalid))
	r.Orchestrator.Report(w.event(EventJoined, ""))
	r.log().Info("call joined", append(j.attrs(), slog.Any("remote", w.call.Remote), slog.Duration("setup", time.Since(w.started)))...)
	return j, nil
}

// unjoined gives the call up, and tells the legs that are still to be told.
func (p *Pending) unjoined(client net.Conn, host *carrier.Conn, err error) error {
	w := p.call
	e := *reachback.AsError(err)
	e.CorrelationID = w.call.CorrelationID
	p.relay.giveUp(w, e.Code)
	if host != nil {
		host.RefuseConn(&e, e.CorrelationID)
	}
	switch c := client.(type) {
	case nil:
	case *carrier.Conn:
		c.RefuseConn(&e, e.CorrelationID)
	case *framing.Conn:
		newFramedLeg(c, p.relay.Limits.writeTimeout()).cutFor(&e)
	default:
		cut(client, e.Code)
	}
	p.relay.refused("call refused", &e, err, slog.String("call", w.call.ID), slog.String("session", printable.Clip(p.Permit.Session)))
	return &e
}

// register makes the joint one that kills, Shutdown and Close find.
func (r *Relay) register(j *joint) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return reachback.Refuse(reachback.CodeDraining)
	}
	if err := r.killed.check(&j.permit); err != nil {
		return err
	}
	r.joined[j] = struct{}{}
	r.pairs.Add(1)
	return nil
}

// greet sends both legs their 101, the client's with header, and takes over their
// records where it can.
func (j *joint) greet(client net.Conn, host *carrier.Conn, header http.Header) error {
	h := http.Header{carrier.HeaderCorrelation: {j.about.CorrelationID}}
	c, ok := client.(*carrier.Conn)
	if ok && header != nil && canTakeOver(c) && canTakeOver(host) {
		return j.takeOver(c, host, header, h)
	}
	if ok && header != nil {
		if err := c.Switch(header); err != nil {
			return reachback.Refuse(reachback.CodeClientLost)
		}
	}
	if f, ok := j.client.(*framedLeg); ok {
		return j.greetFramed(f, host, h)
	}
	if err := host.Switch(h); err != nil {
		return reachback.Refuse(reachback.CodeHostLost)
	}
	return nil
}

// greetFramed is greet for a client's leg with a framing. The host is first, so that
// its loss can still be told as a refusal.
func (j *joint) greetFramed(client *framedLeg, host *carrier.Conn, header http.Header) error {
	if !client.canTakeOver() || !canTakeOver(host) {
		if err := host.Switch(header); err != nil {
			return reachback.Refuse(reachback.CodeHostLost)
		}
		if err := client.greet(); err != nil {
			return reachback.Refuse(reachback.CodeClientLost)
		}
		return nil
	}
	h, err := takeOver(host, j.relay.Limits.writeTimeout())
	if err != nil {
		return err
	}
	j.relay.mu.Lock()
	j.host = h
	j.relay.mu.Unlock()
	if _, err := h.Write(carrier.SwitchHead(header)); err != nil {
		return reachback.Refuse(reachback.CodeHostLost)
	}
	if err := client.greet(); err != nil {
		return reachback.Refuse(reachback.CodeClientLost)
	}
	return client.takeOver()
}

// takeOver is greet for legs whose records become the relay's.
func (j *joint) takeOver(client, host *carrier.Conn, clientHeader, hostHeader http.Header) error {
	c, err := takeOver(client, j.relay.Limits.writeTimeout())
	if err != nil {
		return err
	}
	h, err := takeOver(host, j.relay.Limits.writeTimeout())
	if err != nil {
		return err
	}
	j.relay.mu.Lock()
	j.client, j.host = c, h
	j.relay.mu.Unlock()
	if _, err := c.Write(carrier.SwitchHead(clientHeader)); err != nil {
		return reachback.Refuse(reachback.CodeClientLost)
	}
	if _, err := h.Write(carrier.SwitchHead(hostHeader)); err != nil {
		return reachback.Refuse(reachback.CodeHostLost)
	}
	return nil
}

// splice copies until both directions have ended.
func (j *joint) splice() spliceResult {
	o := spliceOptions{WriteTimeout: j.relay.Limits.writeTimeout(), ToHost: &j.toHost, ToClient: &j.toClient}
	if c, ok := j.client.(*recordLeg); ok {
		return spliceRecords(c, j.host.(*recordLeg), o)
	}
	if c, ok := j.client.(*framedLeg); ok {
		return spliceFramed(c, j.host, o)
	}
	return splice(j.client.(net.Conn), j.host.(net.Conn), o)
}

// run copies until both directions have ended, and keeps the books.
func (j *joint) run() error {
	r := j.relay
	defer r.pairs.Done()
	res := j.splice()
	r.mu.Lock()
	delete(r.joined, j)
	c := cmp.Or(j.why, res.Code)
	r.total.Ended[c]++
	r.total.ToHost += res.ToHost
	r.total.ToClient += res.ToClient
	r.mu.Unlock()

	took := time.Since(j.joined)
	e := j.about
	e.Kind, e.Code, e.Time, e.Duration = EventEnded, c, time.Now(), took
	e.ToHost, e.ToClient = res.ToHost, res.ToClient
	r.Orchestrator.Report(e)
	r.log().Info("call ended", append(j.attrs(), slog.String("code", string(c)), slog.Duration("duration", took),
		slog.Int64("to_host", res.ToHost), slog.Int64("to_client", res.ToClient))...)
	if c == reachback.CodeClosed {
		return nil
	}
	refusal := reachback.Refuse(c)
	refusal.CorrelationID = j.about.CorrelationID
	return refusal
}

func (j *joint) attrs() []any {
	return []any{
		slog.String("call", j.about.Call), slog.String("session", printable.Clip(j.permit.Session)),
		slog.String("host", printable.Clip(j.permit.Host)), slog.String("correlation_id", printable.Clip(j.about.CorrelationID)),
	}
}
