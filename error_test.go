package reachback_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

func TestErrorMatchesByCodeAtAnyDepth(t *testing.T) {
	refusal := &reachback.Error{Code: reachback.CodeNoHost, Message: "nobody is up", CorrelationID: "c1"}
	err := fmt.Errorf("dial desktop: %w", errors.Join(io.ErrUnexpectedEOF, fmt.Errorf("gateway: %w", refusal)))

	require.ErrorIs(t, err, &reachback.Error{Code: reachback.CodeNoHost})
	require.ErrorIs(t, err, reachback.Refuse(reachback.CodeNoHost))
	require.NotErrorIs(t, err, reachback.Refuse(reachback.CodeHostsFull))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestErrorText(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  *reachback.Error
		want string
	}{
		{"message and code", &reachback.Error{Code: "no_host", Message: "nobody is up"}, "nobody is up (no_host)"},
		{"a code alone", &reachback.Error{Code: "no_host"}, "no_host"},
		{"the code's own text", reachback.Refuse(reachback.CodeKilled), "an operator ended the session (killed)"},
	} {
		t.Run(tt.name, func(t *testing.T) { require.EqualError(t, tt.err, tt.want) })
	}
}

func TestCodeOfAndAsError(t *testing.T) {
	refusal := &reachback.Error{Code: reachback.CodeTokenExpired, CorrelationID: "c1"}
	for _, tt := range []struct {
		name string
		err  error
		code reachback.Code
		as   *reachback.Error
	}{
		{"a refusal", refusal, reachback.CodeTokenExpired, refusal},
		{"a wrapped refusal", fmt.Errorf("call: %w", refusal), reachback.CodeTokenExpired, refusal},
		{"the first of two", errors.Join(refusal, reachback.Refuse(reachback.CodeKilled)), reachback.CodeTokenExpired, refusal},
		{"any other error tells nothing", errors.New("open /etc/secret"), reachback.CodeInternal, reachback.Refuse(reachback.CodeInternal)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.code, reachback.CodeOf(tt.err))
			require.Equal(t, tt.as, reachback.AsError(tt.err))
		})
	}
	require.Empty(t, reachback.CodeOf(nil))
}

func TestErrorOnTheWire(t *testing.T) {
	full := &reachback.Error{Code: reachback.CodeNoHost, Message: "nobody is up", CorrelationID: "c1"}
	b, err := json.Marshal(full)
	require.NoError(t, err)
	require.JSONEq(t, `{"code":"no_host","message":"nobody is up","correlation_id":"c1"}`, string(b))
	var back reachback.Error
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, full, &back)

	b, err = json.Marshal(&reachback.Error{Code: reachback.CodeNoHost})
	require.NoError(t, err)
	require.JSONEq(t, `{"code":"no_host","message":""}`, string(b), "no correlation id before there is a connection")
}

// A code of a newer version must not become a success, nor a panic.
func TestUnknownCode(t *testing.T) {
	c := reachback.Code("of_a_later_version")
	require.Empty(t, c.Text())
	require.Equal(t, http.StatusInternalServerError, c.Status())
	require.EqualError(t, reachback.Refuse(c), "of_a_later_version")
}

func TestCodeOfAPeerHasTheFormOfACode(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		ok         bool
	}{
		{"known", "no_host", true},
		{"of a later version", "of_a_later_version_2", true},
		{"the longest", strings.Repeat("x", 64), true},
		{"too long", strings.Repeat("x", 65), false},
		{"a line of its own", "no_host\n2026/01/01 all is well", false},
		{"for a terminal", "\x1b[2J", false},
		{"capitals", "NO_HOST", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := json.Marshal(tt.text)
			require.NoError(t, err)
			var c reachback.Code
			err = json.Unmarshal(b, &c)
			require.Equal(t, tt.ok, err == nil)
			if tt.ok {
				require.Equal(t, reachback.Code(tt.text), c)
			}
		})
	}
}

// Two users whose parts run into the same text must not become one.
func TestUserIDKeepsPartsApart(t *testing.T) {
	users := []reachback.User{
		{Issuer: "ab", Subject: "c"},
		{Issuer: "a", Subject: "bc"},
		{Tenant: "ab", Subject: "c"},
		{Tenant: "a", Issuer: "b", Subject: "c"},
	}
	seen := map[string]reachback.User{}
	for _, u := range users {
		require.NotContains(t, seen, u.ID())
		seen[u.ID()] = u
	}
	named := users[0]
	named.Name, named.Groups = "Alice", []string{"staff"}
	require.Equal(t, users[0].ID(), named.ID(), "name and groups are no part of who somebody is")
}
