package broker

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
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

	// smear is over what time the hosts of a broker that goes down come back,
	// and tryFor how long each then tries without losing patience.
	smear  = 10 * time.Second
	tryFor = 60 * time.Second

	// maxAppMessages is how many application messages of one channel are
	// handled at once.
	maxAppMessages = 16
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

	handlers chan struct{} // a slot for each application message in work
	wg       sync.WaitGroup
}

func (b *Broker) serveControl(w http.ResponseWriter, r *http.Request) {
	host, err := b.admitControl(w, r)
	if err != nil {
		b.deny(w, r, "control channel refused", err, "host", host)
		return
	}
	conn, err := carrier.Hijack(w)
	if err != nil {
		b.log().Error("hijack failed", "err", err)
		b.refuse(w, reachback.Refuse(reachback.CodeInternal))
		return
	}
	c := &control{channel: newChannel(conn), broker: b, host: host}
	c.limiter = rate.NewLimiter(messagesPerSecond, messageBurst)
	b.mu.Lock()
	if b.closing {
		b.mu.Unlock()
		conn.RefuseConn(reachback.Refuse(reachback.CodeDraining), "")
		return
	}
	// The HTTP server's goroutine, with its grown stack, is let go.
	b.wg.Go(c.serve)
	b.mu.Unlock()
}

func (b *Broker) admitControl(w http.ResponseWriter, r *http.Request) (host string, err error) {
	if b.failures.Blocked(remoteAddr(r), time.Now()) {
		return "", reachback.Refuse(reachback.CodeRateLimited)
	}
	if err := carrier.CheckUpgrade(w, r); err != nil {
		return "", err
	}
	host, err = identity.Verify(r.TLS, b.keys.hosts.pool, time.Now())
	if err != nil {
		return "", err
	}
	row, err := b.dir.Host(r.Context(), host)
	if err != nil {
		return host, err
	}
	// A host's key never changes: another one, though certified, is not it.
	if key, err := certificateKey(r.TLS.PeerCertificates[0]); err != nil || key != row.Key {
		return host, reachback.Refuse(reachback.CodeCertificateInvalid)
	}
	return host, nil
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
	if err := b.dir.Detach(context.Background(), c.host, c.epoch); err != nil {
		b.log().Error("host not detached", "host", c.host, "epoch", c.epoch, "err", err)
	}
	b.log().Info("host disconnected", "host", c.host, "epoch", c.epoch, "cause", cause(err))
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
		h, ok := m.(*helloMessage)
		if !ok {
			return reachback.Refuse(reachback.CodeProtocolError)
		}
		if !slices.Contains(h.Versions, Version) {
			return reachback.Refuse(reachback.CodeVersionUnsupported)
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
		return b.dir.Drain(b.ctx, c.host, c.epoch, m.On)
	case *renewMessage:
		cert, err := b.renew(b.ctx, c.host, m.CSR)
		return c.answer(m.ID, &renewMessage{Certificate: cert}, err)
	case *appMessage:
		return c.appMessage(m)
	case *helloMessage:
		return reachback.Refuse(reachback.CodeProtocolError)
	}
	return nil // of a type that this end only sends
}

func (c *control) report(m *sessionsMessage) error {
	if len(m.Sessions) > maxReported {
		return reachback.Refuse(reachback.CodeProtocolError)
	}
	b := c.broker
	a, err := b.dir.HostReport(b.ctx, c.host, c.epoch, m.Full, m.Sessions)
	if err != nil {
		b.log().Error("report of sessions lost", "host", c.host, "err", err)
		return reachback.Refuse(reachback.CodeUnavailable) // the host reports in full when it comes back
	}
	if a.Unknown > 0 {
		b.counters.unknownSessions.Add(int64(a.Unknown))
		b.log().Warn("host reports sessions that were not made for it", "host", c.host, "count", a.Unknown)
	}
	for _, k := range a.Kills {
		c.send(&disconnectMessage{Session: k.Session, Code: k.Code})
	}
	return nil
}

// answer sends m, or the refusal that err is, as the answer to the message id.
func (c *control) answer(id uint64, m message, err error) error {
	if err != nil {
		e := reachback.AsError(err)
		m = &refuseMessage{Code: e.Code, Message: e.Message}
	}
	m.head().Re = id
	return c.send(m)
}

func (c *control) appMessage(m *appMessage) error {
	b := c.broker
	if b.OnMessage == nil {
		return c.answer(m.ID, nil, reachback.Refuse(reachback.CodeNoHandler))
	}
	if c.handlers == nil { // owned by the reader; most channels never need it
		c.handlers = make(chan struct{}, maxAppMessages)
	}
	select {
	case c.handlers <- struct{}{}:
	default:
		return c.answer(m.ID, nil, reachback.Refuse(reachback.CodeRateLimited))
	}
	c.wg.Go(func() {
		defer func() { <-c.handlers }()
		got, err := b.OnMessage(c.ctx, c.host, &Message{m.Topic, m.Body})
		if got == nil {
			got = &Message{}
		}
		if err := c.answer(m.ID, &appMessage{Topic: got.Topic, Body: got.Body}, err); err != nil {
			c.answer(m.ID, nil, err)
		}
	})
	return nil
}

// restarting tells the host when to come back, and ends the channel.
func (c *control) restarting() {
	c.send(&restartingMessage{
		ReconnectInMS: 500 + rand.Int64N(smear.Milliseconds()),
		TryForMS:      tryFor.Milliseconds(),
	})
	c.end(reachback.Refuse(reachback.CodeRestarting), true)
}

// A Message is an application's own, carried by the control channel. With its
// envelope it must fit into [MaxMessage].
type Message struct {
	Topic string          `json:"topic"`
	Body  json.RawMessage `json:"body,omitempty"`
}

// Send sends an application's message to a host and returns the answer.
func (b *Broker) Send(ctx context.Context, host string, m *Message) (*Message, error) {
	b.start()
	c := b.channel(host)
	if c == nil {
		return nil, reachback.Refuse(reachback.CodeHostNotConnected)
	}
	return c.sendApp(ctx, m)
}

func (c *channel) sendApp(ctx context.Context, m *Message) (*Message, error) {
	got, err := c.request(ctx, &appMessage{Topic: m.Topic, Body: m.Body})
	if err != nil {
		return nil, err
	}
	a, ok := got.(*appMessage)
	if !ok {
		return nil, reachback.Refuse(reachback.CodeProtocolError)
	}
	return &Message{a.Topic, a.Body}, nil
}

// channel returns the host's channel, nil where there is none.
func (b *Broker) channel(host string) *control {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.channels[host]
}
