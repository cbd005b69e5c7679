package broker

import (
	"context"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/reachback/reachback"
)

type operatorKey struct{}

// ByOperator returns a context under which the broker's records of what an operator
// does name who that is.
func ByOperator(ctx context.Context, who string) context.Context {
	return context.WithValue(ctx, operatorKey{}, who)
}

// Operate does something to the directory on an operator's behalf, and leaves a record
// and a line in the log of it, whether it succeeds or not. What is said in a few words.
func (b *Broker) Operate(ctx context.Context, what string, r Record, do func(context.Context) error) error {
	b.start()
	began := time.Now()
	err := refusal(do(ctx))
	who, _ := ctx.Value(operatorKey{}).(string)
	r.Step, r.Party, r.Code, r.Duration = StepAdmin, partyBroker, reachback.CodeOf(err), time.Since(began)
	r.Detail = what
	if who != "" {
		r.Detail = joinDetails(what, "by "+who)
	}
	b.record(r)
	log := b.log().With("what", what, "operator", who, "host", r.Host, "gateway", r.Gateway, "session", r.Session)
	if err != nil {
		log.Warn("operator's action failed", "err", err)
		return err
	}
	log.Info("operator's action")
	return nil
}

// SetDrain takes a host out of the placement of new users, or back in, for as long as
// the operator wants. Sessions go on, and users with a user session there return to it.
func (b *Broker) SetDrain(ctx context.Context, host string, on bool) error {
	what := "drain off"
	if on {
		what = "drain on"
	}
	return b.Operate(ctx, what, Record{Host: host}, func(ctx context.Context) error {
		return b.dir.all.SetDrain(ctx, host, on)
	})
}

// Approve lets a host of a pool that asks for approval have users.
func (b *Broker) Approve(ctx context.Context, host string) error {
	return b.Operate(ctx, "approve", Record{Host: host}, func(ctx context.Context) error {
		return b.dir.all.Approve(ctx, host)
	})
}

// userSessionWithin bounds what a host is asked to do about a user session.
const userSessionWithin = 15 * time.Second

// What a host is asked to do about a user session.
const (
	doLogOff     = "log_off"
	doDisconnect = "disconnect"
	doMessage    = "message"
)

// LogOff ends the user session that a session belongs to, with all programs in it, and
// returns when the host has done so. It refuses with not_found, host_not_connected,
// and no_session_control where the host knows nothing of user sessions.
func (b *Broker) LogOff(ctx context.Context, session string) error {
	return b.userSession(ctx, "log off", &userSessionMessage{Do: doLogOff, Session: session})
}

// DisconnectUser takes a user session from its user's screen, and refuses as LogOff
// does. What runs in it goes on.
func (b *Broker) DisconnectUser(ctx context.Context, session string) error {
	return b.userSession(ctx, "disconnect", &userSessionMessage{Do: doDisconnect, Session: session})
}

// MessageUser shows a text on the user's screen, and refuses as LogOff does. Title and
// text have [MaxUserMessage] bytes at most together, and no control characters but
// tabs and line ends.
func (b *Broker) MessageUser(ctx context.Context, session, title, text string) error {
	if !showable(title, text) {
		return reachback.Refuse(reachback.CodeBadRequest)
	}
	return b.userSession(ctx, "message", &userSessionMessage{Do: doMessage, Session: session, Title: title, Text: text})
}

// showable reports whether a message can go on a user's screen.
func showable(title, text string) bool {
	odd := func(r rune) bool { return unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r' }
	all := title + text
	return text != "" && len(all) <= MaxUserMessage && utf8.ValidString(all) && !strings.ContainsFunc(all, odd)
}

func (b *Broker) userSession(ctx context.Context, what string, m *userSessionMessage) error {
	b.start()
	r, err := b.sessionRecord(ctx, m.Session)
	return b.Operate(ctx, what, r, func(ctx context.Context) error {
		if err != nil {
			return err
		}
		ch := b.channel(r.Host)
		if ch == nil {
			return reachback.Refuse(reachback.CodeHostNotConnected)
		}
		ctx, cancel := context.WithTimeoutCause(ctx, userSessionWithin, reachback.Refuse(reachback.CodeHostTimeout))
		defer cancel()
		got, err := ch.request(ctx, m)
		if err != nil {
			return err
		}
		if _, ok := got.(*acceptMessage); !ok {
			return reachback.Refuse(reachback.CodeProtocolError)
		}
		return nil
	})
}

// sessionRecord is a record about a session, with what the directory knows of it.
func (b *Broker) sessionRecord(ctx context.Context, session string) (Record, error) {
	s, err := b.dir.Session(ctx, session)
	if err != nil {
		return Record{Session: session}, err
	}
	return Record{
		Session: s.ID, Host: s.Host, Tenant: s.User.Tenant, User: s.User.Subject, Resource: s.Resource.ID, CorrelationID: s.CorrelationID,
	}, nil
}
