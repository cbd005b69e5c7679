package broker

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/reachback/reachback/relay"
)

const (
	// keepDecision is how long a decided call is remembered, and forgetEvery
	// how much longer it may be.
	keepDecision = time.Minute
	forgetEvery  = 5 * time.Second
	// maxDecisions bounds how many are. The oldest is forgotten first, which
	// leaves 15 s, for which a call may wait, to a thousand calls a second.
	maxDecisions = 1 << 14
)

// A decision is the one answer to all requests for a call.
type decision struct {
	call  string
	asked [sha256.Size]byte // fingerprint of the call
	done  chan struct{}
	// Set before done is closed.
	permit *relay.Permit
	err    error
	why    string // for the record: what is the matter with the hosts
	at     time.Time

	waiters int       // requests that wait for it; guarded by Broker.mu
	left    time.Time // when one of them gave up
}

// decisions are those that are being made, and those made lately. Broker.mu
// guards them.
type decisions struct {
	byCall map[string]*decision
	made   []*decision // in their order
}

// keep remembers a decision that has been made.
func (d *decisions) keep(made *decision, now time.Time) {
	made.at = now
	d.made = append(d.made, made)
	d.forget(now)
}

// forget drops what need not be remembered any more.
func (d *decisions) forget(now time.Time) {
	for len(d.made) > maxDecisions || len(d.made) > 0 && now.Sub(d.made[0].at) >= keepDecision {
		delete(d.byCall, d.made[0].call)
		d.made[0] = nil
		d.made = d.made[1:]
	}
}

// fingerprint is of everything that the answer to a call depends on.
func fingerprint(c *relay.Call) [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %v", c.Token, ticketText(c.Ticket), c.Gateway, c.Nonce, c.Raw))
}
