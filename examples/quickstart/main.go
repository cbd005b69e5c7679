// Command quickstart runs the whole system in one process: gateway, broker, feed,
// a session host beside the RDP server at -target, and a client at -rdp.
//
//	go run ./examples/quickstart
//	xfreerdp /v:127.0.0.1:13389
//
// Standard output has the event "ready" once the client's port is open.
package main

import (
	"context"
	"flag"
	"net"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/reachback/reachback/examples/internal/clientside"
	"github.com/reachback/reachback/examples/internal/hostside"
	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/examples/internal/serve"
)

func main() {
	var dir, listen, target, rdp string
	program.Main("quickstart", "runs gateway, broker, feed, session host and client in one process.", func(f *flag.FlagSet) {
		f.StringVar(&dir, "dir", "quickstart-data", "`folder` of keys and state")
		f.StringVar(&listen, "listen", "127.0.0.1:8443", "loopback `address` of the TLS port")
		f.StringVar(&target, "target", "127.0.0.1:3389", "`address` of the RDP server")
		f.StringVar(&rdp, "rdp", "127.0.0.1:13389", "loopback `address` for RDP clients")
	}, func(ctx context.Context, p *program.Program) error {
		return run(ctx, p, dir, listen, target, rdp)
	})
}

func run(ctx context.Context, p *program.Program, dir, listen, target, rdp string) error {
	local, err := clientside.Listen(rdp)
	if err != nil {
		return err
	}
	defer local.Close()
	server, err := serve.Open(ctx, &serve.Config{
		Dir: dir, Listen: listen, PublicURL: "https://" + listen, SignIn: serve.SignInConfig{DevIdP: true}, Logger: p.Logger,
	})
	if err != nil {
		return err
	}
	// The server outlives host and client, so that they can say goodbye to it.
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- server.Serve(serving, func() {}) }() // ended by stopServing, awaited below
	err = runEnds(ctx, p, server, dir, target, local)
	stopServing()
	if serveErr := <-served; err == nil {
		err = serveErr
	}
	return err
}

// runEnds runs the host and the client until ctx ends or one of them fails.
func runEnds(ctx context.Context, p *program.Program, server *serve.Server, dir, target string, local net.Listener) error {
	token := server.Tokens["alice"]
	g, ctx := errgroup.WithContext(ctx)
	registered := make(chan struct{})
	g.Go(func() error {
		return hostside.Run(ctx, p, &hostside.Config{
			Server: server.URL, Dir: filepath.Join(dir, "host"), Target: target, CA: server.CAFile,
			Enrol: filepath.Join(dir, "registration.token"), Name: "quickstart", Pool: "desktops",
		}, func() { close(registered) })
	})
	g.Go(func() error {
		select {
		case <-registered:
		case <-ctx.Done():
			return nil
		}
		c, err := clientside.New(p, &clientside.Config{Server: server.URL, Token: token, Dir: filepath.Join(dir, "client"), CA: server.CAFile})
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.Subscribe(ctx); err != nil {
			return err
		}
		p.Event("ready", "url", server.URL, "feed", server.URL+"/feed", "page", server.URL+"/", "ca", server.CAFile, "token", token, "rdp", local.Addr().String())
		return c.Carry(ctx, local, "desktop")
	})
	return g.Wait()
}
