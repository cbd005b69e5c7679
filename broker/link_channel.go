package broker

import (
	"crypto/x509"
	"encoding/json"
	"runtime"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/relay"
)

// maxHostCAs bounds how many authorities of hosts there may be at a time.
const maxHostCAs = 16

// linkChannel is a gateway's end of one control channel. It greets, then hears
// every kill in force, and then what tokens and certificates are checked with; from
// then on calls may be asked about.
type linkChannel struct {
	*channel
	link   *Link
	party  *party
	redial *redial // owned by the reader while the channel lives
	url    string

	welcomed bool     // this and the rest are owned by the reader
	welcome  *Welcome // what Ready is told; nil once it was
	wg       sync.WaitGroup
}

// serve says hello and runs the channel. It waits for everything it started.
func (c *linkChannel) serve() error {
	c.send(&helloMessage{Versions: []int{Version}, Agent: "reachback/1", OS: runtime.GOOS, Role: RoleGateway, URL: c.url})
	err := c.run(welcomeWithin, c.handle)
	c.link.leave(c)
	c.wg.Wait()
	return err
}

func (c *linkChannel) handle(m message) error {
	if w, ok := m.(*welcomeMessage); ok != !c.welcomed {
		return reachback.Refuse(reachback.CodeProtocolError) // none, or a second one
	} else if ok {
		return c.greeted(w)
	}
	switch m := m.(type) {
	case *killsMessage:
		if len(m.Kills) > maxKillsInMessage {
			return reachback.Refuse(reachback.CodeProtocolError)
		}
		c.link.enforce(m.Kills)
		return c.send(&acceptMessage{header{Re: m.ID}})
	case *trustMessage:
		return c.trust(m)
	case *restartingMessage:
		c.redial.promised(m, time.Now())
		c.link.leave(c) // what it would still be asked it does not answer
	}
	return nil
}

func (c *linkChannel) greeted(w *welcomeMessage) error {
	if w.Gateway == "" || w.Gateway != c.link.Identity.Gateway() {
		return reachback.Refuse(reachback.CodeProtocolError)
	}
	c.welcomed = true
	c.welcome = &Welcome{Gateway: w.Gateway, Name: w.Name, Epoch: w.Epoch}
	c.wg.Go(func() { c.party.renewals(c.channel) })
	return nil
}

// trust puts in force what the broker says. The first time on a channel all of its
// kills are known by then, so that calls may be asked about on it.
func (c *linkChannel) trust(m *trustMessage) error {
	t, err := parseTrust(m)
	if err != nil {
		return err
	}
	l := c.link
	t.Revoked = l.isRevoked
	l.mu.Lock()
	was := l.drain
	l.trust, l.drain = t, m.Drain
	l.mu.Unlock()
	if was != m.Drain {
		l.log().Info("gateway drain", "on", m.Drain)
	}
	if w := c.welcome; w != nil {
		c.welcome = nil
		l.ready(c)
		l.log().Info("control channel stands", "server", l.Server, "gateway", w.Gateway, "name", w.Name, "epoch", w.Epoch)
		c.wg.Go(c.reports)
		if l.Ready != nil {
			l.Ready(w)
		}
	}
	return nil
}

// parseTrust reads what a broker says that tokens and certificates are to be
// checked with.
func parseTrust(m *trustMessage) (*relay.Trust, error) {
	bad := reachback.Refuse(reachback.CodeProtocolError)
	t := &relay.Trust{Keys: &jose.JSONWebKeySet{}, HostCA: x509.NewCertPool()}
	if err := json.Unmarshal(m.Keys, t.Keys); err != nil || len(t.Keys.Keys) == 0 || len(m.HostCA) == 0 || len(m.HostCA) > maxHostCAs {
		return nil, bad
	}
	for _, k := range t.Keys.Keys {
		if !k.IsPublic() {
			return nil, bad
		}
	}
	for _, der := range m.HostCA {
		ca, err := x509.ParseCertificate(der)
		if err != nil || !ca.IsCA {
			return nil, bad
		}
		t.HostCA.AddCert(ca)
	}
	return t, nil
}

// ready makes c the channel to ask on.
func (l *Link) ready(c *linkChannel) {
	l.counters.channels.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current = c
	l.wakeLocked()
}

// leave asks nothing more on c, which has ended or is about to.
func (l *Link) leave(c *linkChannel) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == c {
		l.current, l.lost = nil, time.Now()
		l.wakeLocked()
	}
}

// wakeLocked wakes the calls that wait for a channel.
func (l *Link) wakeLocked() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}
