package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/internal/peertest"
)

// runCommand runs a subcommand as its process would, and returns its status, its
// event and what it says on standard error.
func runCommand(t *testing.T, name string, args ...string) (status int, event map[string]string, says string) {
	t.Helper()
	var c command
	define, run := c.defineInstall, c.install
	if name == "uninstall" {
		define, run = c.defineService, c.uninstall
	}
	var stdout, stderr bytes.Buffer
	status = program.Run(t.Context(), "sessionhost "+name, "", args, &stdout, &stderr, define, run)
	if stdout.Len() > 0 {
		require.NoError(t, json.Unmarshal(stdout.Bytes(), &event))
	}
	return status, event, stderr.String()
}

func TestInstall(t *testing.T) {
	dir, units := t.TempDir(), t.TempDir()
	t.Chdir(dir)
	install := []string{
		"-unit-dir", units, "-server", "https://broker.example", "-dir", "state of it", "-target", "127.0.0.1:3389",
		"-ca", "ca.pem", "-enrol", "/etc/100%.token", "-name", "pc$HOME", "-v",
	}
	status, event, says := runCommand(t, "install", install...)
	require.Zero(t, status, says)
	path := filepath.Join(units, "reachback-sessionhost.service")
	require.Equal(t, map[string]string{
		"event": "installed", "unit": path, "next": "systemctl daemon-reload && systemctl enable --now reachback-sessionhost",
	}, event)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	require.Contains(t, string(data), `ExecStart="`+self+`" "-ca=`+dir+`/ca.pem" "-dir=`+dir+`/state of it" "-enrol=/etc/100%%.token" `+
		`"-name=pc$$HOME" "-server=https://broker.example" "-target=127.0.0.1:3389" "-v=true"`+"\n")
	require.Contains(t, string(data), `ReadWritePaths="`+dir+`/state of it"`+"\n")
	require.Contains(t, string(data), "\nCapabilityBoundingSet=\n")
	require.DirExists(t, filepath.Join(dir, "state of it"))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o644), info.Mode())
	verify(t, path)

	// The flags mean what they meant.
	var again command
	f := flag.NewFlagSet("", flag.ContinueOnError)
	again.defineInstall(f)
	require.NoError(t, f.Parse([]string{"-ca=" + dir + "/ca.pem", "-dir=" + dir + "/state of it"}))
	require.NoError(t, absolute(f))
	require.Equal(t, dir+"/ca.pem", again.host.CA)

	t.Run("again, with a command that needs privileges", func(t *testing.T) {
		script, err := filepath.Abs("session-command")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(script, nil, 0o700))
		status, _, says := runCommand(t, "install", append(install, "-session-command", "session-command")...)
		require.Zero(t, status, says)
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Contains(t, string(data), `"-session-command=`+script+`"`)
		require.NotContains(t, string(data), "CapabilityBoundingSet")
		verify(t, path)
	})
	t.Run("uninstall", func(t *testing.T) {
		wants := filepath.Join(units, "multi-user.target.wants")
		require.NoError(t, os.Mkdir(wants, 0o700))
		require.NoError(t, os.Symlink(path, filepath.Join(wants, filepath.Base(path))))
		status, event, says := runCommand(t, "uninstall", "-unit-dir", units)
		require.Zero(t, status, says)
		require.Equal(t, "uninstalled", event["event"])
		require.NoFileExists(t, path)
		_, err := os.Lstat(filepath.Join(wants, filepath.Base(path)))
		require.ErrorIs(t, err, os.ErrNotExist)
		require.DirExists(t, filepath.Join(dir, "state of it"))
		status, _, _ = runCommand(t, "uninstall", "-unit-dir", units)
		require.Equal(t, 1, status)
	})
	t.Run("another program's unit stays", func(t *testing.T) {
		other := filepath.Join(units, "other.service")
		require.NoError(t, os.WriteFile(other, []byte("[Unit]\n"), 0o600))
		for _, name := range []string{"install", "uninstall"} {
			args := []string{"-unit-dir", units, "-service", "other"}
			if name == "install" {
				args = append(args, install[2:]...)
			}
			status, event, says := runCommand(t, name, args...)
			require.Equal(t, 1, status)
			require.Empty(t, event)
			require.Contains(t, says, "was not written by sessionhost install")
		}
		data, err := os.ReadFile(other)
		require.NoError(t, err)
		require.Equal(t, "[Unit]\n", string(data))
	})
}

// verify has systemd judge a unit.
func verify(t *testing.T, path string) {
	t.Helper()
	analyze := peertest.Path(t, "systemd-analyze", "systemd")
	out, err := exec.CommandContext(context.WithoutCancel(t.Context()), analyze, "verify", "--man=no", path).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NotContains(t, string(out), filepath.Base(path), "%s", out)
}

func TestInstall_BadFlags(t *testing.T) {
	units := t.TempDir()
	good := []string{"-unit-dir", units, "-server", "https://broker.example", "-dir", t.TempDir(), "-target", "127.0.0.1:3389"}
	tests := []struct {
		name string
		args []string
		says string
	}{
		{"no server", []string{"-server", ""}, "-server"},
		{"no target", []string{"-target", "nowhere"}, "-target"},
		{"a name that is a path", []string{"-service", "../x"}, "-service"},
		{"a second line", []string{"-name", "a\nExecStartPre=/bin/evil"}, "control character"},
		{"a second line in the folder", []string{"-dir", "/x\ny"}, "control character"},
		{"a folder that cannot be named", []string{"-dir", `/x"y`}, "cannot name the folder"},
		{"an unknown account", []string{"-user", "no-such-account"}, "no-such-account"},
		{"an unknown probe", []string{"-probe", "icmp"}, "-probe"},
		{"less disk than none", []string{"-min-disk", "-1"}, "-min-disk"},
		{"user sessions of Windows", []string{"-session-command", "wts"}, "only Windows"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, event, says := runCommand(t, "install", append(good, tt.args...)...)
			require.Equal(t, 2, status, says)
			require.Contains(t, says, tt.says)
			require.Equal(t, 1, strings.Count(says, "\n"))
			require.Empty(t, event)
			left, err := os.ReadDir(units)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
	status, _, says := runCommand(t, "install", append(good, "-session-command", "/no/such/program")...)
	require.Equal(t, 1, status)
	require.Contains(t, says, "-session-command")
}

func TestCommandLine(t *testing.T) {
	got := commandLine([]string{`/opt/50% "best"/$x\run`, "", "a b", `-n="q"\`, "$HOME ${x} %h", ";", "'"})
	require.Equal(t, `"/opt/50%% \"best\"/$x\\run" "" "a b" "-n=\"q\"\\" "$$HOME $${x} %%h" ";" "'"`, got)
}
