package broker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/identity"
	"github.com/reachback/reachback/internal/printable"
)

const (
	// helloWithin is how long a new channel may take to say what it is.
	helloWithin = 5 * time.Second

	// A host may send messagesPerSecond for ever and messageBurst at once.
	messagesPerSecond = 50
	messageBurst      = 500

	// hostQueue is how many messages may wait for the writer of the broker's end:
	// a disconnect for every session of a report, and what comes beside them.
	hostQueue = maxReported + queueLength

	// smear is over what time the hosts of a broker that goes down come back,
	// and tryFor how long each then tries without losing patience.
	smear  = 10 * time.Second
	tryFor = 60 * time.Second

	// maxWelcomeKills keeps a welcome within a message; the rest is repeated
	// when the host reports its sessions.
	maxWelcomeKills = 400
)

// control is the broker's end of a host's control channel.
type control struct {
	*channel
	broker *Broker
	host   string
	epoch  uint64 // set before the channel is in Broker.channels
	owed   owed
	known  known
	wg     sync.WaitGroup

	// Owned by the reader.

	health Health // as last reported
	apps   appSlots
}

func (b *Broker) serveControl(w http.ResponseWriter, r *http.Request) {
	who, err := b.admitControl(w, r)
	if err != nil {
		b.deny(w, r, "control channel refused", err, string(roleOf(who)), who.ID)
		return
	}
	conn, err := carrier.Hijack(w)
	if err != nil {
		b.log().Error("hijack failed", "err", err)
		b.refuse(w, reachback.Refuse(reachback.CodeInternal))
		return
	}
	var serve func()
	if who.Gateway {
		serve = b.newGatewayControl(conn, who.ID).serve
	} else {
		c := &control{channel: newChannel(conn), broker: b, host: who.ID}
		c.room, c.limiter = hostQueue, rate.NewLimiter(messagesPerSecond, messageBurst)
		serve = c.serve
	}
	b.mu.Lock()
	if b.closing {
		b.mu.Unlock()
		conn.RefuseConn(reachback.Refuse(reachback.CodeDraining), "")
		return
	}
	// The HTTP server's goroutine, with its grown stack, is let go.
	b.wg.Go(serve)
	b.mu.Unlock()
}

func (b *Broker) admitControl(w http.ResponseWriter, r *http.Request) (who identity.Subject, err error) {
	if b.failures.Blocked(carrier.Remote(r).Addr(), time.Now()) {
		return who, reachback.Refuse(reachback.CodeRateLimited)
	}
	if err := carrier.CheckUpgrade(w, r); err != nil {
		return who, err
	}
	who, err = identity.VerifyAny(r.TLS, b.keys.hosts.pool, time.Now())
	if err != nil {
		return who, err
	}
	enrolled, err := b.enrolledKey(r.Context(), who)
	if err != nil {
		return who, err
	}
	// Another key than the enrolled one, though certified, is not it: that one
	// was replaced.
	if key, err := certificateKey(r.TLS.PeerCertificates[0]); err != nil || key != enrolled {
		return who, reachback.Refuse(reachback.CodeCertificateInvalid)
	}
	return who, nil
}

// enrolledKey is the key of a host or gateway that is enrolled and not revoked.
func (b *Broker) enrolledKey(ctx context.Context, who identity.Subject) (Thumbprint, error) {
	if who.Gateway {
		row, err := b.dir.Gateway(ctx, who.ID)
		if err != nil {
			return Thumbprint{}, err
		}
		return row.Key, nil
	}
	row, err := b.dir.Host(ctx, who.ID)
	if err != nil {
		return Thumbprint{}, err
	}
	return row.Key, nil
}

// serve runs the channel and undoes what it did, in a goroutine of its own that
// Broker.wg counts.
func (c *control) serve() {
	if err := c.conn.Switch(nil); err != nil {
		c.conn.Abort()
		return
	}
	err := c.run(helloWithin, c.hello())
	c.wg.Wait()
	b := c.broker
	if c.epoch == 0 {
		b.log().Warn("control channel ended before its welcome", "host", c.host, "err", err)
		return
	}
	b.mu.Lock()
	if b.channels[c.host] == c {
		delete(b.channels, c.host)
	}
	b.mu.Unlock()
	if c.overflowed.Load() {
		b.counters.overflows.Add(1)
	}
	b.detach(c.host, func(ctx context.Context) error { return b.dir.Detach(ctx, c.host, c.epoch) })
	b.recordChannel(Record{Host: c.host, Code: endCode(err), Remote: c.conn.RemoteAddr().String()})
	b.log().Info("host disconnected", "host", c.host, "epoch", c.epoch, "cause", cause(err))
}

// detach notes the end of a channel, at once where the directory is there.
func (b *Broker) detach(who string, do func(context.Context) error) {
	err := do(context.Background())
	if err != nil && (reachback.CodeOf(err) != reachback.CodeUnavailable || !b.books.add(note{"end of a channel", who, do})) {
		b.log().Error("end of a channel not noted", "of", who, "err", err)
	}
}

// cause is the code of the end that one side chose, or else the error.
func cause(err error) string {
	if e, ok := errors.AsType[*reachback.Error](err); ok {
		return string(e.Code)
	}
	return err.Error()
}

// hello returns the handler of the channel's messages, the first of which must
// be a hello.
func (c *control) hello() func(message) error {
	greeted := false
	return func(m message) error {
		if greeted {
			return c.handle(m)
		}
		greeted = true
		h, err := checkHello(m, RoleHost)
		if err != nil {
			return err
		}
		return c.welcome(h)
	}
}

// welcome makes this the host's channel, ends the one before, and says so.
func (c *control) welcome(h *helloMessage) error {
	b := c.broker
	at, err := b.dir.Attach(b.ctx, c.host)
	if err != nil {
		b.log().Error("host not attached", "host", c.host, "err", err)
		return reachback.AsError(err)
	}
	w := &welcomeMessage{
		Version: Version, Host: at.ID, Name: at.Name, Pool: at.Pool, Epoch: at.Epoch, Duplicate: at.Duplicate,
		HeartbeatMS: Heartbeat.Milliseconds(), DeadMS: DeadAfter.Milliseconds(),
	}
	for _, k := range at.Kills[:min(len(at.Kills), maxWelcomeKills)] {
		w.Kills = append(w.Kills, killedEntry{k.Session, k.Code})
	}
	b.mu.Lock()
	if b.revoked[c.host] { // since it was attached
		b.mu.Unlock()
		return reachback.Refuse(reachback.CodeHostRevoked)
	}
	old := b.channels[c.host]
	if old != nil && old.epoch > at.Epoch {
		b.mu.Unlock()
		return reachback.Refuse(reachback.CodeSuperseded)
	}
	c.epoch = at.Epoch
	err = c.send(w) // queued before anybody else can queue a summon
	b.channels[c.host] = c
	closing := b.closing
	b.mu.Unlock()
	if old != nil {
		code := reachback.CodeSuperseded
		if at.Duplicate {
			code = reachback.CodeDuplicateHost
			b.log().Warn("two machines share one identity", "host", c.host, "name", at.Name, "code", code)
		}
		b.counters.superseded.Add(1)
		old.end(reachback.Refuse(code), true)
	}
	if closing { // while this channel was on its way
		c.restarting()
	}
	b.hostArrived(&at.Host)
	b.recordChannel(Record{
		Host: at.ID, Tenant: at.Tenant, Remote: c.conn.RemoteAddr().String(), Detail: "connected as " + at.Name + ", " + printable.Clip(h.Agent),
	})
	b.log().Info("host connected", "host", at.ID, "name", at.Name, "pool", at.Pool, "epoch", at.Epoch,
		"remote", c.conn.RemoteAddr(), slog.Group("agent", "version", printable.Clip(h.Agent), "os", printable.Clip(h.OS)))
	return err
}

// handle works on one message. What it returns ends the channel.
func (c *control) handle(m message) error {
	b := c.broker
	switch m := m.(type) {
	case *sessionsMessage:
		return c.report(m)
	case *drainMessage:
		b.log().Info("host drain", "host", c.host, "on", m.On)
		return c.owe(func(o *owed) { o.drain = &m.On })
	case *healthMessage:
		m.Health.tidy()
		if m.Fit != c.health.Fit || m.Problem != c.health.Problem {
			b.log().Info("host health", "host", c.host, "fit", m.Fit, "problem", m.Problem, "target", m.Target)
		}
		c.health = m.Health
		return c.owe(func(o *owed) { o.health = &m.Health })
	case *renewMessage:
		cert, err := b.renew(b.ctx, c.host, m.CSR)
		return c.answer(m.ID, &renewMessage{Certificate: cert}, err)
	case *appMessage:
		var answer appHandler
		if b.OnMessage != nil {
			answer = func(ctx context.Context, m *Message) (*Message, error) { return b.OnMessage(ctx, c.host, m) }
		}
		c.appMessage(&c.wg, &c.apps, m, answer)
	case *helloMessage:
		return reachback.Refuse(reachback.CodeProtocolError)
	}
	return nil // of a type that this end only sends
}

func (c *control) report(m *sessionsMessage) error {
	if len(m.Sessions) > maxReported {
		return reachback.Refuse(reachback.CodeProtocolError)
	}
	return c.owe(func(o *owed) {
		o.reports = append(o.reports, m)
		o.sessions += len(m.Sessions)
	})
}

// restarting tells the host when to come back, and ends the channel.
func (c *control) restarting() {
	c.send(&restartingMessage{
		ReconnectInMS: 500 + rand.Int64N(smear.Milliseconds()),
		TryForMS:      tryFor.Milliseconds(),
	})
	c.end(reachback.Refuse(reachback.CodeRestarting), true)
}

// channel returns the host's channel, nil where there is none.
func (b *Broker) channel(host string) *control {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.channels[host]
}
