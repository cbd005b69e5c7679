// Command client subscribes to a feed and lets any RDP client in through a
// loopback port.
//
//	client -server https://127.0.0.1:8443 -token srv/alice.token -dir files -ca srv/ca.pem -list
//	client -server https://127.0.0.1:8443 -token srv/alice.token -dir files -ca srv/ca.pem -resource desktop -listen 127.0.0.1:13389
//	xfreerdp /v:127.0.0.1:13389
//
// With -login it signs the user in at the server's issuer: it prints the event
// "login", with a page to open in any browser ("verification_uri") and a code to
// enter there ("user_code"), and keeps the token in the file of -token up to date
// while it runs. A refresh token beside it, FILE.refresh, signs him in the next time.
//
// Standard output has the events "login", "resource", "listening", "connected" and
// "end".
package main

import (
	"context"
	"flag"
	"slices"

	"github.com/reachback/reachback/examples/internal/clientside"
	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/feed"
)

func main() {
	var cfg clientside.Config
	var list bool
	var resource, listen string
	program.Main("client", "subscribes to a feed and carries RDP clients to a resource.", func(f *flag.FlagSet) {
		f.StringVar(&cfg.Server, "server", "", "base `URL` of the feed; required")
		f.StringVar(&cfg.Token, "token", "", "`file` with the user's bearer token, read again for each connection; required")
		f.BoolVar(&cfg.Login, "login", false, "sign in at the server's issuer, and write the token to the file of -token")
		f.StringVar(&cfg.Dir, "dir", "", "`folder` for the .rdp files; required")
		f.StringVar(&cfg.CA, "ca", "", "`file` with the server's certificate authorities, PEM; the system's by default")
		f.BoolVar(&list, "list", false, "print an event for each resource")
		f.StringVar(&resource, "resource", "", "`id` of the resource that they get, as -list prints it")
		f.StringVar(&listen, "listen", "", "loopback `address` for RDP clients; comes with -resource")
	}, func(ctx context.Context, p *program.Program) error {
		if err := p.Require("server", "token", "dir"); err != nil {
			return err
		}
		if (resource == "") != (listen == "") {
			return program.UsageError("flags -resource and -listen come together")
		}
		return run(ctx, p, &cfg, list, resource, listen)
	})
}

func run(ctx context.Context, p *program.Program, cfg *clientside.Config, list bool, resource, listen string) error {
	c, err := clientside.New(p, cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SignIn(ctx); err != nil {
		return err
	}
	files, err := c.Subscribe(ctx)
	if err != nil {
		return err
	}
	if list {
		for _, f := range files {
			p.Event("resource", "id", f.ID, "title", f.Title, "kind", f.Kind, "file", f.Path)
		}
	}
	if resource == "" {
		return nil
	}
	if !slices.ContainsFunc(files, func(f feed.File) bool { return f.ID == resource }) {
		p.Logger.Warn("the workspace has no such resource now; -list prints what it has", "resource", resource)
	}
	l, err := clientside.Listen(listen)
	if err != nil {
		return err
	}
	p.Event("listening", "addr", l.Addr().String())
	return c.Carry(ctx, l, resource)
}
