package broker

import (
	"context"
	"strings"
)

// A SessionControl knows and ends the user sessions of a host's operating system.
// Package usersession has one for Windows, and one that runs a command of the
// operator's. Without one a user session counts until the pool's linger time after
// its last connection, and cannot be logged off from here.
//
// Users are named as the grants of their sessions name them, by subject. What
// UserSessions returns may name the account instead, if [SameUser] takes the one
// for the other.
//
// Methods may be called concurrently, have 10 s, and must return when their ctx ends:
// one that does not is not called again before it has, and holds up the end of
// [Agent.Run], but nothing else.
type SessionControl interface {
	// UserSessions returns what there is now, connected or not.
	UserSessions(ctx context.Context) ([]UserSession, error)
	// Disconnect takes the user's session from his screen; it goes on.
	Disconnect(ctx context.Context, user string) error
	// LogOff ends the user's session with all programs in it.
	LogOff(ctx context.Context, user string) error
	// Message shows a text on the user's screen.
	Message(ctx context.Context, user, title, text string) error
}

// A UserSession is what a user has on a host.
type UserSession struct {
	User      string
	Connected bool
}

// MaxUserMessage bounds title and text of a message to a user, in bytes together.
const MaxUserMessage = 4 << 10

// SameUser reports whether two names are one user's: the subject of a grant, and an
// account as the host's operating system names it. Upper and lower case are the
// same. Where both name a domain, as CORP\alice and alice@corp.example do, that must
// be the same too, or the first label of the other.
func SameUser(a, b string) bool {
	an, ad := splitUser(a)
	bn, bd := splitUser(b)
	return an != "" && strings.EqualFold(an, bn) && (ad == "" || bd == "" || sameDomain(ad, bd))
}

func splitUser(s string) (name, domain string) {
	if domain, name, ok := strings.Cut(s, `\`); ok {
		return name, domain
	}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, ""
}

func sameDomain(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	return strings.EqualFold(a, b) ||
		!strings.Contains(a, ".") && len(b) > len(a) && b[len(a)] == '.' && strings.EqualFold(a, b[:len(a)])
}
