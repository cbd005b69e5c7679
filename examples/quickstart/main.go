// Command quickstart runs the whole system in one process: gateway, broker, feed,
// a session host beside the RDP server at -target, and a client at -rdp.
//
//	go run ./examples/quickstart
//	xfreerdp quickstart-data/desktop.rdp
//	xfreerdp /v:127.0.0.1:13389
//
// The first way needs no client of ours: the RDP client itself speaks to the gateway. The
// file holds a token that opens one session; while quickstart runs there is always a fresh
// one in it. The second way is through our client, with TLS that the gateway cannot read.
//
// Standard output has the event "ready" once the client's port is open.
package main

import (
	"context"
	"flag"
	"net"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/reachback/reachback"
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
	called := make(chan struct{}, 1)
	server, err := serve.Open(ctx, &serve.Config{
		Dir: dir, Listen: listen, PublicURL: "https://" + listen, SignIn: serve.SignInConfig{DevIdP: true}, SeedRaw: true,
		RawCalled: func() {
			select {
			case called <- struct{}{}:
			default: // it is known already
			}
		},
		Logger: p.Logger,
	})
	if err != nil {
		return err
	}
	// The server outlives host and client, so that they can say goodbye to it.
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- server.Serve(serving, func() {}) }() // ended by stopServing, awaited below
	err = (&ends{p, server, dir, target, local, called}).run(ctx)
	stopServing()
	if serveErr := <-served; err == nil {
		err = serveErr
	}
	return err
}

// ends are the host and the client.
type ends struct {
	program *program.Program
	server  *serve.Server
	dir     string
	target  string
	local   net.Listener    // for RDP clients
	called  <-chan struct{} // a stock client has called the gateway
}

// run runs both until ctx ends or one of them fails.
func (e *ends) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	registered := make(chan struct{})
	g.Go(func() error {
		return hostside.Run(ctx, e.program, &hostside.Config{
			Server: e.server.URL, Dir: filepath.Join(e.dir, "host"), Target: e.target, CA: e.server.CAFile,
			Enrol: filepath.Join(e.dir, "registration.token"), Name: "quickstart", Pool: "desktops",
		}, func() { close(registered) })
	})
	g.Go(func() error {
		select {
		case <-registered:
		case <-ctx.Done():
			return nil
		}
		return e.runClient(ctx)
	})
	return g.Wait()
}

// runClient carries what comes to the loopback port, and keeps the file for stock clients.
func (e *ends) runClient(ctx context.Context) error {
	token := e.server.Tokens["alice"]
	c, err := clientside.New(e.program, &clientside.Config{Server: e.server.URL, Token: token, Dir: filepath.Join(e.dir, "client"), CA: e.server.CAFile})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Subscribe(ctx); err != nil {
		return err
	}
	path := filepath.Join(e.dir, "desktop.rdp")
	file, err := c.StockFile(ctx, "desktop", path)
	if reachback.CodeOf(err) == reachback.CodeRawNotAllowed { // the setup in the folder is an older one
		e.program.Logger.Warn("there is no file for stock clients: the pool does not admit them; a new -dir has one that does")
		file, path, err = nil, "", nil
	}
	if err != nil {
		return err
	}
	e.program.Event("ready", "url", e.server.URL, "feed", e.server.URL+"/feed", "page", e.server.URL+"/", "ca", e.server.CAFile,
		"token", token, "rdp", e.local.Addr().String(), "file", path)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.Carry(ctx, e.local, "desktop") })
	if file != nil {
		g.Go(func() error { file.Keep(ctx, e.called); return nil })
	}
	return g.Wait()
}
