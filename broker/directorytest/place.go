package directorytest

import (
	"crypto/rand"
	"crypto/sha256"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

const (
	// pool and desktop are what most cases are about: one pool, and a resource
	// of it for the group staff.
	pool    = "pool"
	desktop = "desktop"

	// day is long for everything but records.
	day = 24 * time.Hour
)

// home is the address that calls come from.
var home = netip.MustParseAddr("192.0.2.1")

// A place is a directory with hosts, and what a broker knows of them.
type place struct {
	t        *testing.T
	d        broker.Directory
	second   broker.Directory // the same, as another broker has it
	h        *Harness
	advanced time.Duration

	ids    map[string]string            // of hosts by the name they enrolled with
	epochs map[string]uint64            // by name
	keys   map[string]broker.Thumbprint // by name
}

func newPlace(t *testing.T, h *Harness) *place {
	p := &place{t: t, h: h, ids: make(map[string]string), epochs: make(map[string]uint64), keys: make(map[string]broker.Thumbprint)}
	p.d = h.New(t)
	p.second = p.d
	if h.Second != nil {
		p.second = h.Second(t, p.d)
	}
	return p
}

// in is a case in a pool with hosts that are up. The pool needs no name.
func in(s broker.SeedPool, hosts []string, run func(p *place)) func(p *place) {
	return func(p *place) {
		s := s
		s.Name = pool
		p.apply(&broker.Seed{
			Pools:     []broker.SeedPool{s},
			Resources: []broker.SeedResource{{ID: desktop, Pool: pool, Assign: []string{"group:staff"}}},
		})
		for _, name := range hosts {
			p.enrol(name, pool)
			p.up(name)
		}
		run(p)
	}
}

func (p *place) ok(err error) {
	p.t.Helper()
	require.NoError(p.t, err)
}

func (p *place) code(want reachback.Code, err error) {
	p.t.Helper()
	require.Equal(p.t, want, reachback.CodeOf(err), "%v", err)
}

func (p *place) apply(s *broker.Seed) {
	p.t.Helper()
	p.ok(p.d.Apply(p.t.Context(), s))
}

// now is the directory's time.
func (p *place) now() time.Time {
	if p.h.Advance == nil {
		return time.Now()
	}
	return time.Now().Add(p.advanced)
}

// wait lets time pass.
func (p *place) wait(d time.Duration) {
	if p.h.Advance == nil {
		time.Sleep(d)
		return
	}
	p.advanced += d
	p.h.Advance(p.t, p.d, d)
}

// around lets a time pass, with before just before its end and after at its end.
func (p *place) around(d time.Duration, before, after func()) {
	p.t.Helper()
	short := time.Millisecond
	if p.h.Advance != nil {
		short = 10 * time.Second // which before may take
	}
	p.wait(d - short)
	before()
	p.wait(short)
	after()
}

// user is somebody of the group staff.
func user(name string) *reachback.User {
	return &reachback.User{Issuer: "https://idp.example", Subject: name, Groups: []string{"staff"}}
}

// randomKey draws the thumbprint of a key that nobody has.
func randomKey() broker.Thumbprint { return sha256.Sum256([]byte(rand.Text())) }

// registration makes a registration token and returns a request that shows it.
func (p *place) registration(r broker.Registration) *broker.EnrolRequest {
	p.t.Helper()
	secret := sha256.Sum256([]byte(rand.Text()))
	r.ID, r.Hash = rand.Text()[:16], secret[:]
	if r.Expires.IsZero() {
		r.Expires = p.now().Add(day)
	}
	if r.Uses == 0 {
		r.Uses = 1
	}
	p.ok(p.d.NewRegistration(p.t.Context(), &r))
	return &broker.EnrolRequest{Registration: r.ID, Hash: secret, Key: randomKey()}
}

// enrol makes a host of a pool in the tenant "".
func (p *place) enrol(name, pool string) *broker.Enrolled {
	p.t.Helper()
	return p.enrolAs(name, broker.Registration{Pool: pool})
}

func (p *place) enrolAs(name string, r broker.Registration) *broker.Enrolled {
	p.t.Helper()
	e := p.registration(r)
	e.Name = name
	h, err := p.d.Enrol(p.t.Context(), e)
	p.ok(err)
	p.ids[name], p.keys[name] = h.ID, e.Key
	return h
}

// up opens a control channel of the host.
func (p *place) up(name string) *broker.Attachment {
	p.t.Helper()
	a, err := p.d.Attach(p.t.Context(), p.ids[name])
	p.ok(err)
	p.epochs[name] = a.Epoch
	return a
}

func (p *place) down(name string) {
	p.t.Helper()
	p.ok(p.d.Detach(p.t.Context(), p.ids[name], p.epochs[name]))
}

func (p *place) drain(name string, on bool) {
	p.t.Helper()
	p.ok(p.d.Drain(p.t.Context(), p.ids[name], p.epochs[name], on))
}

func (p *place) fit(name string, fit bool) {
	p.t.Helper()
	p.ok(p.d.Health(p.t.Context(), p.ids[name], p.epochs[name], &broker.Health{Fit: fit, Target: true}))
}

// says is the host's report of its sessions.
func (p *place) says(name string, full bool, reports ...broker.SessionReport) *broker.ReportAnswer {
	p.t.Helper()
	a, err := p.d.HostReport(p.t.Context(), p.ids[name], p.epochs[name], full, reports)
	p.ok(err)
	return a
}

func is(s *broker.Session, state string) broker.SessionReport {
	return broker.SessionReport{Session: s.ID, State: state}
}

// name is that of a host by its id.
func (p *place) name(id string) string {
	for name, i := range p.ids {
		if i == id {
			return name
		}
	}
	return ""
}

// token draws the id of a connection token.
func (p *place) token() string {
	p.t.Helper()
	id, err := p.d.NewTokenID(p.t.Context())
	p.ok(err)
	return id
}

// wants is a new framed call for the desktop.
func (p *place) wants(who string) *broker.Reservation {
	p.t.Helper()
	return &broker.Reservation{
		User: *user(who), Resource: desktop, Token: p.token(), Expires: p.now().Add(10 * time.Minute),
		Call: rand.Text(), Address: home, CorrelationID: rand.Text(),
	}
}

func (p *place) reserve(r *broker.Reservation) (*broker.Session, error) {
	return p.d.Reserve(p.t.Context(), r)
}

func (p *place) reserved(r *broker.Reservation) *broker.Session {
	p.t.Helper()
	s, err := p.reserve(r)
	p.ok(err)
	return s
}

func (p *place) join(s *broker.Session) {
	p.t.Helper()
	p.ok(p.d.Joined(p.t.Context(), s.ID, "call of "+s.ID))
}

func (p *place) leave(s *broker.Session) {
	p.t.Helper()
	p.ok(p.d.Left(p.t.Context(), s.ID, "call of "+s.ID))
}

// goes has a user placed, at a host, and joins the session.
func (p *place) goes(who, host string) *broker.Session {
	p.t.Helper()
	s := p.reserved(p.wants(who))
	require.Equal(p.t, host, p.name(s.Host), "where %s goes", who)
	p.join(s)
	return s
}

// refused has a user find no place.
func (p *place) refused(who string, want reachback.Code) {
	p.t.Helper()
	_, err := p.reserve(p.wants(who))
	p.code(want, err)
}

// status is a host as lists have it.
func (p *place) status(name string) broker.HostStatus {
	p.t.Helper()
	hosts, err := p.d.Hosts(p.t.Context(), &broker.HostQuery{Host: p.ids[name]})
	p.ok(err)
	require.Len(p.t, hosts, 1, "the host %s as lists have it", name)
	require.Equal(p.t, p.ids[name], hosts[0].ID)
	return hosts[0]
}

// counts are the user sessions of a host.
func (p *place) counts(name string, want int) {
	p.t.Helper()
	require.Equal(p.t, want, p.status(name).UserSessions, "user sessions on %s", name)
}

func (p *place) state(s *broker.Session) broker.SessionState {
	p.t.Helper()
	got, err := p.d.Session(p.t.Context(), s.ID)
	p.ok(err)
	return got.State
}

// live are the pending and active sessions of a host.
func (p *place) live(name string) []broker.Session {
	p.t.Helper()
	s, err := p.d.ListSessions(p.t.Context(), &broker.SessionQuery{Host: p.ids[name], Live: true})
	p.ok(err)
	return s
}
