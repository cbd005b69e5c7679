// Command server runs gateway, broker and feed behind one TLS port.
//
// A first try on one machine, with a user alice and a pool desktops:
//
//	server -dir srv -listen 127.0.0.1:8443 -public-url https://127.0.0.1:8443 -dev-idp
//
// It writes srv/ca.pem for -ca of the other programs, srv/registration.token for
// hosts, and srv/alice.token for a client. Standard output has the event "ready".
package main

import (
	"context"
	"flag"

	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/examples/internal/serve"
)

func main() {
	var cfg serve.Config
	program.Main("server", "runs gateway, broker and feed behind one TLS port.", func(f *flag.FlagSet) {
		f.StringVar(&cfg.Dir, "dir", "", "`folder` of keys and state; required")
		f.StringVar(&cfg.Listen, "listen", "", "`address` of the TLS port, host:port; required")
		f.StringVar(&cfg.PublicURL, "public-url", "", "base `URL` for users and hosts, https://host[:port]; required")
		f.StringVar(&cfg.InstanceURL, "instance-url", "", "base `URL` of this very instance, which hosts dial; -public-url by default")
		f.StringVar(&cfg.CertFile, "tls-cert", "", "`file` with the public certificate chain, PEM; by default the server has a CA of its own")
		f.StringVar(&cfg.KeyFile, "tls-key", "", "`file` with the key of -tls-cert, PEM")
		f.StringVar(&cfg.Seed, "seed", "", "JSON `file` with users, pools and resources, as in SPEC.md, section 7; by default user alice, pool desktops, desktop")
		f.BoolVar(&cfg.DevIdP, "dev-idp", false, "issue tokens for the seed's users, for demonstrations on loopback; required, as the only issuer so far")
	}, func(ctx context.Context, p *program.Program) error {
		if err := p.Require("dir", "listen", "public-url"); err != nil {
			return err
		}
		cfg.Logger = p.Logger
		s, err := serve.Open(&cfg)
		if err != nil {
			return err
		}
		p.Event("ready", "url", s.URL, "feed", s.URL+"/feed")
		return s.Serve(ctx)
	})
}
