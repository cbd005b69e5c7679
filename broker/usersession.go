package broker

import "context"

// A SessionControl knows and ends the user sessions of a host's operating system.
// Package usersession has one for Windows, and one that runs a command of the
// operator's. Without one a user session counts until the pool's linger time after
// its last connection, and cannot be logged off from here.
//
// Users are named as the grants of their sessions name them, by subject; which
// account that is on the host is for the implementation to know.
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
