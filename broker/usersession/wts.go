package usersession

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// A WTS is a [broker.SessionControl] on the Remote Desktop Services of Windows. The
// process must run as LocalSystem or as an administrator. On other systems each of
// its methods fails with [errors.ErrUnsupported].
//
// What is asked of Windows cannot be cancelled; it is answered by the same machine.
type WTS struct {
	// User returns the subject of the user whose account it is, as in
	// CORP\alice, and nothing for accounts of others. Nil means the account's
	// own name, which [broker.SameUser] takes for the subjects alice and
	// alice@corp.example.
	User func(account string) string
}

// A wtsSession is one that somebody is signed in to.
type wtsSession struct {
	id        uint32
	account   string // DOMAIN\name
	connected bool
}

func (w *WTS) user(account string) string {
	if w.User == nil {
		return account
	}
	return w.User(account)
}

// UserSessions implements [broker.SessionControl]. A user with several sessions is
// there once, connected if one of them is.
func (w *WTS) UserSessions(ctx context.Context) ([]broker.UserSession, error) {
	all, err := wtsSessions()
	if err != nil {
		return nil, fail("list", err)
	}
	return w.byUser(all), nil
}

func (w *WTS) byUser(all []wtsSession) (sessions []broker.UserSession) {
	known := make(map[string]int)
	for _, s := range all {
		user := w.user(s.account)
		if checkUser(user) != nil { // not a user of ours
			continue
		}
		name := strings.ToLower(user)
		i, ok := known[name]
		if !ok {
			i = len(sessions)
			known[name] = i
			sessions = append(sessions, broker.UserSession{User: user})
		}
		sessions[i].Connected = sessions[i].Connected || s.connected
	}
	return sessions
}

// Disconnect implements [broker.SessionControl].
func (w *WTS) Disconnect(ctx context.Context, user string) error {
	_, err := w.each(ctx, user, wtsDisconnect)
	return fail("disconnect", err)
}

// LogOff implements [broker.SessionControl]. It does not wait for the programs of the
// session to end.
func (w *WTS) LogOff(ctx context.Context, user string) error {
	_, err := w.each(ctx, user, wtsLogOff)
	return fail("log off", err)
}

// Message implements [broker.SessionControl].
func (w *WTS) Message(ctx context.Context, user, title, text string) error {
	if err := checkMessage(title, text); err != nil {
		return err
	}
	n, err := w.each(ctx, user, func(id uint32) error { return wtsMessage(id, title, text) })
	if err == nil && n == 0 {
		err = reachback.Refuse(reachback.CodeNotFound)
	}
	return fail("message", err)
}

// each does something with every session of the user, and returns how many there are.
func (w *WTS) each(ctx context.Context, user string, do func(id uint32) error) (int, error) {
	if err := checkUser(user); err != nil {
		return 0, err
	}
	all, err := wtsSessions()
	if err != nil {
		return 0, err
	}
	ids, err := w.of(user, all)
	if err != nil {
		return 0, err
	}
	var failed error
	for _, id := range ids {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		failed = errors.Join(failed, do(id))
	}
	return len(ids), failed
}

// of returns the ids of the user's sessions. Accounts of one name in several domains
// are several people, and a subject without a domain is none of them for sure.
func (w *WTS) of(user string, all []wtsSession) (ids []uint32, err error) {
	account := ""
	for _, s := range all {
		if !broker.SameUser(user, w.user(s.account)) {
			continue
		}
		if account != "" && !strings.EqualFold(account, s.account) {
			return nil, fmt.Errorf("%.64q may be %.64q or %.64q", user, account, s.account)
		}
		account = s.account
		ids = append(ids, s.id)
	}
	return ids, nil
}
