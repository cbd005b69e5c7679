// Command sessionhost is the agent beside an RDP server. It listens on nothing:
// it keeps one outbound control channel to the broker, and dials a gateway when
// it is asked to.
//
//	sessionhost -server https://127.0.0.1:8443 -dir host -target 127.0.0.1:3389 -ca srv/ca.pem -enrol srv/registration.token
//
// Standard output has the events "registered", "session" and "end".
//
// # Health
//
// The host is given new users while it is fit. It asks every ten seconds: whether the
// RDP server answers to what a client says first, which starts no session and ends
// none (-probe tcp only connects, -probe off does not ask), and whether the volume
// of -dir has the free space of -min-disk. When it is fit again it says so by itself.
// Some RDP servers log each time that they are asked as a client that left.
//
// # User sessions
//
// For the broker to know the desktops that users left and to log them off,
// -session-command names a program that does it; package
// [github.com/reachback/reachback/broker/usersession] says how it is called, and the
// file session-command beside this one is one for systemd-logind. On Windows its own
// Remote Desktop Services are asked.
//
// # As a service
//
// sessionhost install, with the flags to run with, writes a systemd unit that may
// write to -dir only, or on Windows makes a service. The event "installed" says what
// to run next. sessionhost uninstall undoes it. Keep -enrol with a token that is
// valid again when a host comes back that was off for longer than its certificate
// lived, 30 days: it enrols again with the key it has.
package main

import (
	"context"
	"flag"
	"os"

	"github.com/reachback/reachback/examples/internal/hostside"
	"github.com/reachback/reachback/examples/internal/program"
)

const summary = `lets sessions in to an RDP server without an open port.

  sessionhost FLAGS            runs
  sessionhost install FLAGS    has the system run it with these flags
  sessionhost uninstall        undoes that`

func main() {
	switch subcommand() {
	case "install":
		var c command
		program.Main("sessionhost install", "has the system run sessionhost with these flags.", c.defineInstall, c.install)
	case "uninstall":
		var c command
		program.Main("sessionhost uninstall", "undoes sessionhost install.", c.defineService, c.uninstall)
	default:
		var c command
		program.Main("sessionhost", summary, c.defineRun, c.run)
	}
}

// subcommand takes the first argument off the command line if it is no flag.
func subcommand() string {
	if len(os.Args) < 2 || os.Args[1] != "install" && os.Args[1] != "uninstall" {
		return ""
	}
	name := os.Args[1]
	os.Args = append(os.Args[:1:1], os.Args[2:]...)
	return name
}

// A command is what the flags say.
type command struct {
	host    hostside.Config
	minDisk int64 // MiB
	service service
}

// A service is what the system calls us.
type service struct {
	name string
	dir  string // of units
	user string // whom the unit runs as; empty: root
}

func (c *command) defineRun(f *flag.FlagSet) {
	h := &c.host
	f.StringVar(&h.Server, "server", "", "base `URL` of the broker; required")
	f.StringVar(&h.Dir, "dir", "", "`folder` of the host's key and certificate; required")
	f.StringVar(&h.Target, "target", "", "`address` of the RDP server, host:port; required")
	f.StringVar(&h.CA, "ca", "", "`file` with the server's certificate authorities, PEM; the system's by default")
	f.StringVar(&h.Enrol, "enrol", "", "`file` with a registration token; needed until the host is enrolled, and when its certificate has expired")
	f.StringVar(&h.Name, "name", "", "the host's `name`, at enrolment; the machine's by default")
	f.StringVar(&h.Pool, "pool", "", "the host's `pool`, at enrolment; the token's by default")
	f.StringVar(&h.Control, "session-command", hostside.DefaultControl(), "`program` that knows and ends user sessions; wts for those of Windows, none for nobody")
	f.StringVar(&h.Health.Probe, "probe", hostside.ProbeRDP, "how the RDP server is asked whether it is there: `rdp, tcp or off`")
	f.Int64Var(&c.minDisk, "min-disk", 100, "`MiB` that must be free on the volume of -dir for the host to take new users; 0 for any")
}

func (c *command) defineInstall(f *flag.FlagSet) {
	c.defineRun(f)
	c.defineService(f)
	c.service.defineUser(f)
}

// configure finds the mistakes in the flags of run.
func (c *command) configure(p *program.Program) error {
	if err := p.Require("server", "dir", "target"); err != nil {
		return err
	}
	const most = 1 << 40
	if c.minDisk < 0 || c.minDisk > most {
		return program.UsageError("flag -min-disk: no disk has that")
	}
	c.host.Health.MinDisk = c.minDisk << 20
	return c.host.Check()
}

func (c *command) run(ctx context.Context, p *program.Program) error {
	return runAsService(ctx, p, func(ctx context.Context) error {
		if err := c.configure(p); err != nil {
			return err
		}
		return hostside.Run(ctx, p, &c.host, func() {})
	})
}
