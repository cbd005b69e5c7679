package broker

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/reachback/reachback"
)

const (
	// maxUsers is how many sessions an agent knows the users of; the one that it
	// was summoned for first is forgotten first.
	maxUsers = 4096
	// lookSoon after a session has ended, and then every lookEvery, an agent
	// looks whether the user session goes on; controlWithin bounds the look, and
	// whatever else is asked of a SessionControl.
	lookSoon      = 3 * time.Second
	lookEvery     = 30 * time.Second
	controlWithin = 10 * time.Second
	// maxControlling is how many requests of the broker's a SessionControl works
	// on at once.
	maxControlling = 8
)

// users are whose the sessions of a host are, and the user sessions that are looked
// after because their connection has ended. The zero value is ready.
type users struct {
	mu    sync.Mutex
	of    map[string]string // user by session
	order []string          // its keys, as they came
	left  map[string]*left  // by user
	wake  chan struct{}     // closed when there is something in left again
}

// left is the last session of a user, which has ended. The broker knows the user
// session by it.
type left struct {
	session string
	told    bool // that it goes on
}

// summoned takes note of whose a session is.
func (u *users) summoned(session, user string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.of == nil {
		u.of = make(map[string]string)
	}
	if _, known := u.of[session]; known {
		return
	}
	if len(u.order) >= maxUsers {
		delete(u.of, u.order[0])
		u.order = u.order[1:]
	}
	u.of[session] = user
	u.order = append(u.order, session)
}

func (u *users) user(session string) (user string, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	user, ok = u.of[session]
	return user, ok
}

// reported takes note of what is told to the broker: an ended session's user session
// is looked after until its user has another session.
func (u *users) reported(r *SessionReport) {
	u.mu.Lock()
	defer u.mu.Unlock()
	user, ok := u.of[r.Session]
	switch {
	case !ok:
	case r.State == ReportActive:
		delete(u.left, user)
	case r.State == ReportEnded && (len(u.left) < maxReported || u.left[user] != nil):
		if u.left == nil {
			u.left = make(map[string]*left)
		}
		u.left[user] = &left{session: r.Session}
		if u.wake != nil {
			close(u.wake)
			u.wake = nil
		}
	}
}

// some waits until there is a user session to look after, or ctx ends.
func (u *users) some(ctx context.Context) bool {
	u.mu.Lock()
	if len(u.left) > 0 {
		u.mu.Unlock()
		return true
	}
	wake := make(chan struct{})
	u.wake = wake
	u.mu.Unlock()
	select {
	case <-wake:
		return true
	case <-ctx.Done():
		return false
	}
}

// settle compares what is looked after with what there is, and returns what is new.
func (u *users) settle(here []UserSession) (news []SessionReport) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for user, l := range u.left {
		goesOn := slices.ContainsFunc(here, func(s UserSession) bool { return SameUser(s.User, user) })
		switch {
		case !goesOn:
			delete(u.left, user)
			news = append(news, SessionReport{Session: l.session, State: ReportLoggedOff})
		case !l.told:
			l.told = true
			news = append(news, SessionReport{Session: l.session, State: ReportDisconnected})
		}
	}
	return news
}

// goOn are the user sessions that are known to go on without a connection.
func (u *users) goOn() (reports []SessionReport) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, l := range u.left {
		if l.told {
			reports = append(reports, SessionReport{Session: l.session, State: ReportDisconnected})
		}
	}
	return reports
}

// watchUsers looks after user sessions whose connection has ended, while there are
// any, until ctx ends. Run waits for it.
func (a *Agent) watchUsers(ctx context.Context, l *lookout[[]UserSession]) {
	for wait := lookSoon; a.users.some(ctx); wait = lookEvery {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		here, err := l.look(ctx, controlWithin)
		if err != nil {
			if ctx.Err() == nil {
				a.log().Error("user sessions not listed; what the broker was told of them stays", "err", err)
			}
			continue
		}
		for _, r := range a.users.settle(here) {
			a.Report(r)
		}
	}
}

// userSession does what the broker asks for about a user session, beside the reader.
// Run waits for it, because an operating system may take longer than a channel lives.
func (c *agentChannel) userSession(m *userSessionMessage) {
	control := c.agent.Control
	if control == nil {
		c.answer(m.ID, nil, reachback.Refuse(reachback.CodeNoSessionControl))
		return
	}
	user, ok := c.agent.users.user(m.Session)
	if !ok {
		c.answer(m.ID, nil, reachback.Refuse(reachback.CodeNotFound))
		return
	}
	var do func(context.Context) error
	switch m.Do {
	case doLogOff:
		do = func(ctx context.Context) error { return control.LogOff(ctx, user) }
	case doDisconnect:
		do = func(ctx context.Context) error { return control.Disconnect(ctx, user) }
	case doMessage:
		do = func(ctx context.Context) error { return control.Message(ctx, user, m.Title, m.Text) }
	}
	if do == nil || m.Do == doMessage && !showable(m.Title, m.Text) {
		c.answer(m.ID, nil, reachback.Refuse(reachback.CodeBadRequest))
		return
	}
	select {
	case c.beside.controlling <- struct{}{}:
	default:
		c.answer(m.ID, nil, reachback.Refuse(reachback.CodeRateLimited))
		return
	}
	c.beside.wg.Go(func() {
		defer func() { <-c.beside.controlling }()
		ctx, cancel := context.WithTimeoutCause(c.beside.ctx, controlWithin, reachback.Refuse(reachback.CodeHostTimeout))
		defer cancel()
		err := do(ctx)
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		log := c.agent.log().With("do", m.Do, "session", m.Session, "user", user)
		if err != nil {
			log.Error("user session not controlled", "err", err)
		} else {
			log.Info("user session controlled")
		}
		c.answer(m.ID, &acceptMessage{}, err)
	})
}
