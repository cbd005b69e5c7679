//go:build unix

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/broker/usersession"
	"github.com/reachback/reachback/internal/peertest"
)

// fakes stand for the programs of a host with systemd-logind, on which alice has two
// sessions, one of them at its end, bob has one, and a greeter waits.
var fakes = map[string]string{
	"loginctl": `case $1 in
list-sessions) printf '%s\n' "  1 1000 alice seat0 tty2" "  2 1000 alice" " c3  110 gdm   seat0 tty1" " 17 1001 bob" "x4 0 root" ;;
show-session)
	case $2 in
	1) printf '%s\n' Name=alice Class=user State=active ;;
	2) printf '%s\n' State=closing Class=user Name=alice ;;
	c3) printf '%s\n' Name=gdm Class=greeter State=active ;;
	17) printf '%s\n' Name=bob State=online Class=user ;;
	*) echo "no session $2" >&2; exit 1 ;;
	esac ;;
*) printf '<%s>' "$@" >> "$(dirname "$0")/asked"; echo >> "$(dirname "$0")/asked" ;;
esac`,
	"id":      `echo 1000`,
	"runuser": `printf '<%s>' "$@" >> "$(dirname "$0")/asked"`,
}

func TestSessionCommand(t *testing.T) {
	peertest.Path(t, "awk", "mawk")
	dir := t.TempDir()
	for name, body := range fakes {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+body+"\n"), 0o700))
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	path, err := filepath.Abs("session-command")
	require.NoError(t, err)
	control := &usersession.Command{Path: path}
	asked := func() string {
		data, _ := os.ReadFile(filepath.Join(dir, "asked"))
		os.Remove(filepath.Join(dir, "asked"))
		return string(data)
	}

	sessions, err := control.UserSessions(t.Context())
	require.NoError(t, err)
	require.Equal(t, []broker.UserSession{{User: "alice", Connected: true}, {User: "bob"}}, sessions)

	require.NoError(t, control.LogOff(t.Context(), "alice"))
	require.Equal(t, "<terminate-session><1>\n", asked())
	for _, nobody := range []string{"1000", "0", "gdm", "*", "dave"} { // numbers are no names
		require.NoError(t, control.LogOff(t.Context(), nobody))
		require.Empty(t, asked())
	}
	require.NoError(t, control.Disconnect(t.Context(), "alice"))
	require.Empty(t, asked())

	require.NoError(t, control.Message(t.Context(), "alice", "-u critical", "To night: $(id)\nat ten"))
	require.Equal(t, "<-u><alice><--><env><DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus><notify-send><--><-u critical><To night: $(id)\nat ten>", asked())
}
