package usersession

import (
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/broker"
)

// The calls of Windows themselves were not run by any test.

var signedIn = []wtsSession{
	{1, `CORP\Alice`, false},
	{2, `CORP\bob`, true},
	{3, `HOST7\bob`, false},
	{4, `CORP\alice`, true},
	{5, `CORP\carol`, false},
}

func TestWTS_WhoseSessions(t *testing.T) {
	tests := []struct {
		name string
		user string
		want []uint32
		says string // of the error; empty: none
	}{
		{"by name", "carol", []uint32{5}, ""},
		{"by account", `corp\carol`, []uint32{5}, ""},
		{"by mail address", "carol@corp.example", []uint32{5}, ""},
		{"all that he has", "alice", []uint32{1, 4}, ""},
		{"nobody", "dave", nil, ""},
		{"of another domain", "carol@other.example", nil, ""},
		{"of one of two domains", "bob@corp.example", []uint32{2}, ""},
		{"either of two people", "bob", nil, "may be"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := (&WTS{}).of(tt.user, signedIn)
			if tt.says != "" {
				require.ErrorContains(t, err, tt.says)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestWTS_SubjectsThatAreNoNames(t *testing.T) {
	subjects := map[string]string{`CORP\Alice`: "00u1", `CORP\alice`: "00u1", `CORP\bob`: "00u2"}
	w := &WTS{User: func(account string) string { return subjects[account] }}
	ids, err := w.of("00u1", signedIn)
	require.NoError(t, err)
	require.Equal(t, []uint32{1, 4}, ids)
	require.Equal(t, []broker.UserSession{{User: "00u1", Connected: true}, {User: "00u2", Connected: true}}, w.byUser(signedIn))
}

func TestWTS_OneEntryForAUser(t *testing.T) {
	require.Equal(t, []broker.UserSession{
		{User: `CORP\Alice`, Connected: true}, {User: `CORP\bob`, Connected: true}, {User: `HOST7\bob`}, {User: `CORP\carol`},
	}, (&WTS{}).byUser(signedIn))
}

func TestWTS_OnOtherSystems(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("this is one")
	}
	_, err := (&WTS{}).UserSessions(t.Context())
	for _, err := range []error{
		err, (&WTS{}).Disconnect(t.Context(), "alice"), (&WTS{}).LogOff(t.Context(), "alice"), (&WTS{}).Message(t.Context(), "alice", "title", "text"),
	} {
		require.ErrorIs(t, err, errors.ErrUnsupported)
	}
}
