// Package serve assembles gateway, broker and feed, together or each apart, behind
// one TLS port.
package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/broker/oidc"
	"github.com/reachback/reachback/examples/internal/admin"
	"github.com/reachback/reachback/examples/internal/devidp"
	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/relay"
	"github.com/reachback/reachback/relay/rdgateway"
)

const (
	// openTimeout bounds the start: a database that does not answer is down.
	openTimeout = 30 * time.Second
	// drainTime is how long live sessions may go on after a signal.
	drainTime = 10 * time.Second
)

// A Server is what its roles ask for, listening but not serving yet.
type Server struct {
	URL    string            // the public URL
	CAFile string            // the CA of the server's certificate; empty where it is public
	Tokens map[string]string // of each of the seed's users, the path of a file with a token

	plan     *plan
	logger   *slog.Logger
	unlock   func() // lets another process have the folder
	listener net.Listener
	http     *http.Server
	cert     *certificate
	signing  *signing // of the .rdp files; nil without -sign-cert

	gateway *relay.Relay       // nil without the role
	stock   *rdgateway.Handler // the gateway's, for stock clients
	link    *broker.Link       // to the gateway's broker, where that is elsewhere; otherwise nil
	broker  *broker.Broker     // nil without the role
	store   *store             // the broker's
	admin   *admin.Server      // nil without an address

	// One of these two verifies users' tokens, in a feed.
	issuer   *devidp.Issuer
	verifier *oidc.Verifier

	reloading sync.Mutex // held by Reload
}

// Open checks the flags, listens, reads what is kept and makes what is missing.
func Open(ctx context.Context, cfg *Config) (_ *Server, err error) {
	p, err := cfg.check()
	if err != nil {
		return nil, err
	}
	if err := program.MakeDir(cfg.Dir); err != nil {
		return nil, err
	}
	s := &Server{URL: p.public.String(), plan: p, logger: cfg.Logger}
	if s.unlock, err = program.Lock(cfg.Dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.release()
		}
	}()
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, err
	}
	s.listener = relay.NewListener(&reporting{l, cfg.Logger})
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	mux := http.NewServeMux()
	if p.broker {
		err = s.openBroker(ctx, mux)
	}
	if err == nil {
		err = s.openCertificate()
	}
	if err == nil && p.gateway {
		err = s.openGateway(ctx, mux)
	}
	if err == nil && p.feed {
		err = s.openFeed(mux)
	}
	if err == nil && p.Admin.Addr != "" {
		err = s.openAdmin()
	}
	if err == nil && p.broker {
		err = s.fill(ctx)
	}
	if err != nil {
		return nil, err
	}
	s.mountRest(mux)
	s.http = &http.Server{
		Handler:   mux,
		TLSConfig: &tls.Config{GetCertificate: s.cert.get},
		ErrorLog:  slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	return s, relay.ConfigureServer(s.http)
}

// mountRest answers load balancers where no gateway does, and whoever asks for
// anything else.
func (s *Server) mountRest(mux *http.ServeMux) {
	switch {
	case s.plan.feed: // which has the rest
	case s.plan.gateway:
		mux.Handle("/", s.gateway)
	default:
		mux.Handle("/", s.broker)
	}
	if !s.plan.gateway {
		mux.HandleFunc("GET /reachback/v1/health", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "no-store")
			io.WriteString(w, `{"status":"ok"}`+"\n")
		})
	}
}

// reporting is a listener that tells the operator why it cannot accept, most likely
// for want of descriptors. What else net/http has to say is of peers.
type reporting struct {
	net.Listener
	logger *slog.Logger
}

func (r *reporting) Accept() (net.Conn, error) {
	c, err := r.Listener.Accept()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		r.logger.Error("no connection can be accepted", "err", err)
	}
	return c, err
}

// Ready are the fields of the event "ready".
func (s *Server) Ready() []any {
	fields := []any{"url", s.URL}
	if s.plan.feed {
		fields = append(fields, "feed", s.URL+"/feed")
		if s.issuer != nil || s.plan.SignIn.ClientID != "" {
			fields = append(fields, "page", s.URL+"/")
		}
	}
	if s.admin != nil {
		fields = append(fields, "admin", s.admin.URL)
	}
	return fields
}

// Serve serves until ctx ends, then drains, and returns when nothing is left. It
// calls ready once calls can be served: a gateway apart has then heard from its
// broker.
func (s *Server) Serve(ctx context.Context, ready func()) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	failed := make(chan error, 3) // has room for every goroutine that can fail
	wg.Go(func() { failed <- s.http.ServeTLS(s.listener, "", "") })
	if s.link != nil {
		wg.Go(func() { failed <- s.runLink(running, ready) })
	} else {
		ready()
	}
	if s.admin != nil {
		wg.Go(func() { failed <- s.admin.Serve(running) })
	}
	if s.verifier != nil {
		wg.Go(func() { s.checkIssuer(running) })
	}
	wg.Go(func() { s.upkeep(running) })

	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	if s.gateway != nil && reachback.CodeOf(err) == reachback.CodeGatewayRevoked {
		s.gateway.Close() // what goes through it has no more right to
	}
	s.drain(context.WithoutCancel(ctx))
	stop()
	wg.Wait()
	s.release()
	return err
}

// drain ends what is served. The port stays open until the gateway is empty: hosts
// may be on their way to a call that was let in.
func (s *Server) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	if s.gateway != nil {
		s.gateway.Shutdown(ctx)
		s.stock.Close() // those that had not called yet
	}
	if s.broker != nil {
		s.broker.Shutdown(ctx)
	}
	s.http.Close()
}

// release gives back what Open has taken, whatever of it there is.
func (s *Server) release() {
	if s.listener != nil {
		s.listener.Close()
	}
	if s.admin != nil {
		s.admin.Close()
	}
	if s.broker != nil {
		s.broker.Close()
	}
	if s.verifier != nil {
		s.verifier.Close()
	}
	if s.store != nil {
		s.store.close()
	}
	s.unlock()
}
