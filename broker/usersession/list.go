package usersession

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/reachback/reachback/broker"
)

// parseSessions reads what "list" printed.
func parseSessions(out []byte) ([]broker.UserSession, error) {
	var sessions []broker.UserSession
	known := make(map[string]int)
	number := 0
	for line := range bytes.Lines(out) {
		number++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var s struct {
			User      string `json:"user"`
			Connected bool   `json:"connected"`
		}
		if err := json.Unmarshal(line, &s); err != nil {
			return nil, fmt.Errorf("line %d of the program's output is not a session: %w", number, err)
		}
		if err := checkUser(s.User); err != nil {
			return nil, fmt.Errorf("line %d of the program's output: %w", number, err)
		}
		if i, ok := known[s.User]; ok {
			sessions[i].Connected = sessions[i].Connected || s.Connected
			continue
		}
		if len(sessions) == maxSessions {
			return nil, errors.New("the program prints too many sessions")
		}
		known[s.User] = len(sessions)
		sessions = append(sessions, broker.UserSession{User: s.User, Connected: s.Connected})
	}
	return sessions, nil
}
