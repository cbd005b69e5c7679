// Package usersession knows and ends the user sessions of a session host: what
// stands behind [broker.Agent.Control].
//
//	┌────────┐ list, log off  ┌───────┐              ┌─────────┐   Windows: WTS
//	│ broker │ ─────────────▶ │ agent │ ───────────▶ │ Control │ ─ elsewhere: Command,
//	└────────┘                └───────┘              └─────────┘   a program of the operator's
//
// [WTS] asks the Remote Desktop Services of Windows. [Command] runs a program, for
// every other system has its own idea of what a session is. With systemd-logind a
// few lines of shell do; examples/sessionhost/session-command has them.
//
// # Names
//
// The broker names a user by the subject of his token. Where that is an account's
// name, with or without a domain, [broker.SameUser] knows one by the other. Where it
// is a random number of the issuer's, WTS.User or the program says whose an account is.
//
// To disconnect or to log off a user without a session is no error, for it is as it was
// asked for.
package usersession

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
)

// maxUser bounds a user's name, in bytes. A subject has at most 255.
const maxUser = 512

// checkUser refuses a name that a program might take for an option, or that would
// not be one line of its output.
func checkUser(user string) error {
	if user == "" || len(user) > maxUser || strings.HasPrefix(user, "-") || !oneLine(user) {
		return fmt.Errorf("usersession: no user can have the name %.64q: %w", user, reachback.Refuse(reachback.CodeBadRequest))
	}
	return nil
}

func checkMessage(title, text string) error {
	switch {
	case len(title)+len(text) > broker.MaxUserMessage:
		return fmt.Errorf("usersession: a message of %d bytes is too long: %w", len(title)+len(text), reachback.Refuse(reachback.CodeBadRequest))
	case !oneLine(title), !utf8.ValidString(text), strings.ContainsRune(text, 0):
		return fmt.Errorf("usersession: the message is not text, or its title not one line: %w", reachback.Refuse(reachback.CodeBadRequest))
	}
	return nil
}

func oneLine(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// fail adds what was attempted to an error of the system or of the program.
func fail(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("usersession: %s: %w", what, err)
}
