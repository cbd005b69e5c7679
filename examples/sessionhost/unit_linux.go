package main

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/reachback/reachback/examples/internal/program"
)

const (
	// unitMark begins every unit that is ours to replace and to remove.
	unitMark = "# Written by sessionhost install, which will replace it.\n"
	wantedBy = "multi-user.target"
)

// A unit is what systemd has to know.
type unit struct {
	exec []string // the program, absolute, and its arguments
	dir  string   // the one folder to write to; absolute
	user string   // empty: root
	// privileged leaves the unit what a -session-command needs to end other
	// users' processes.
	privileged bool
}

// text is the unit's file. The limits let in what the agent does: it reads files, dials
// out, and writes to its folder.
func (u *unit) text() (string, error) {
	if strings.ContainsAny(u.dir, "\"\\") || strings.ContainsFunc(u.dir, unicode.IsControl) {
		return "", program.UsageError(fmt.Sprintf("flag -dir: a unit cannot name the folder %q", u.dir))
	}
	var b strings.Builder
	b.WriteString(unitMark)
	fmt.Fprintf(&b, `[Unit]
Description=%s
Documentation=https://github.com/reachback/reachback
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=%s
Restart=always
RestartSec=5
RestartPreventExitStatus=2
LimitNOFILE=65536
`, description, commandLine(u.exec))
	if u.user != "" {
		fmt.Fprintf(&b, "User=%s\n", strings.ReplaceAll(u.user, "%", "%%"))
	}
	fmt.Fprintf(&b, `UMask=0077
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths="%s"
ProtectHome=read-only
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
PrivateDevices=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
`, strings.ReplaceAll(u.dir, "%", "%%"))
	if !u.privileged {
		b.WriteString(`CapabilityBoundingSet=
MemoryDenyWriteExecute=yes
SystemCallFilter=@system-service
`)
	}
	fmt.Fprintf(&b, "\n[Install]\nWantedBy=%s\n", wantedBy)
	return b.String(), nil
}

// commandLine quotes a command for ExecStart (systemd.service(5), "Command lines"): "%"
// begins a specifier everywhere, and "$" a variable in arguments, though not in the
// path of the program.
func commandLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		w = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(w)
		if i > 0 {
			w = strings.ReplaceAll(w, "$", "$$")
		}
		quoted[i] = `"` + w + `"`
	}
	return strings.Join(quoted, " ")
}
