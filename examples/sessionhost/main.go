// Command sessionhost is the agent beside an RDP server. It listens on nothing:
// it keeps one outbound control channel to the broker, and dials a gateway when
// it is asked to.
//
//	sessionhost -server https://127.0.0.1:8443 -dir host -target 127.0.0.1:3389 -ca srv/ca.pem -enrol srv/registration.token
//
// Standard output has the events "registered", "session" and "end".
package main

import (
	"context"
	"flag"

	"github.com/reachback/reachback/examples/internal/hostside"
	"github.com/reachback/reachback/examples/internal/program"
)

func main() {
	var cfg hostside.Config
	program.Main("sessionhost", "lets sessions in to an RDP server without an open port.", func(f *flag.FlagSet) {
		f.StringVar(&cfg.Server, "server", "", "base `URL` of the broker; required")
		f.StringVar(&cfg.Dir, "dir", "", "`folder` of the host's key and certificate; required")
		f.StringVar(&cfg.Target, "target", "", "`address` of the RDP server, host:port; required")
		f.StringVar(&cfg.CA, "ca", "", "`file` with the server's certificate authorities, PEM; the system's by default")
		f.StringVar(&cfg.Enrol, "enrol", "", "`file` with a registration token; needed until the host is enrolled")
		f.StringVar(&cfg.Name, "name", "", "the host's `name`, at enrolment; the machine's by default")
		f.StringVar(&cfg.Pool, "pool", "", "the host's `pool`, at enrolment; the token's by default")
	}, func(ctx context.Context, p *program.Program) error {
		if err := p.Require("server", "dir", "target"); err != nil {
			return err
		}
		return hostside.Run(ctx, p, &cfg, func() {})
	})
}
