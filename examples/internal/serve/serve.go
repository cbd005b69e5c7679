// Package serve assembles gateway, broker and feed behind one TLS port.
package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/feed"
	"github.com/reachback/reachback/relay"
)

// drainTime is how long live sessions may go on after a signal.
const drainTime = 10 * time.Second

// A Config is what the flags of a server say.
type Config struct {
	Dir         string // keys and state
	Listen      string // address of the TLS port
	PublicURL   string // base URL for users and hosts
	InstanceURL string // base URL of this very instance, for hosts; empty: PublicURL
	CertFile    string // public certificate; empty: one of the installation's own CA
	KeyFile     string
	Seed        string // path of the seed file; empty: user, pool and desktop for a first try
	DevIdP      bool   // issue tokens for the seed's users
	Logger      *slog.Logger
}

// A Server is a gateway, a broker and a feed that listen but do not serve yet.
type Server struct {
	Gateway *relay.Relay
	Broker  *broker.Broker
	URL     string            // the public URL
	CAFile  string            // the CA of the server's certificate; empty where it is public
	Tokens  map[string]string // of each of the seed's users, the path of a file with a token

	state    *broker.File
	listener net.Listener
	http     *http.Server
	logger   *slog.Logger
}

// Open reads the state, makes what is missing and listens.
func Open(cfg *Config) (_ *Server, err error) {
	public, err := program.Origin("-public-url", cfg.PublicURL)
	if err != nil {
		return nil, err
	}
	instance := public
	if cfg.InstanceURL != "" {
		if instance, err = program.Origin("-instance-url", cfg.InstanceURL); err != nil {
			return nil, err
		}
	}
	if cfg.DevIdP {
		if err := loopback("-dev-idp", cfg.Listen); err != nil {
			return nil, err
		}
	} else {
		return nil, program.UsageError("flag -dev-idp is required: it is the only issuer of users' tokens so far")
	}
	if (cfg.CertFile == "") != (cfg.KeyFile == "") {
		return nil, program.UsageError("flags -tls-cert and -tls-key come together")
	}
	if err := program.MakeDir(cfg.Dir); err != nil {
		return nil, err
	}
	s := &Server{URL: public.String(), logger: cfg.Logger}
	defer func() {
		if err != nil {
			s.release()
		}
	}()
	if s.state, err = broker.OpenFile(filepath.Join(cfg.Dir, "state.json")); err != nil {
		return nil, err
	}
	seed, err := s.seed(cfg.Seed)
	if err != nil {
		return nil, err
	}
	issuer, err := s.issueTokens(cfg.Dir, seed)
	if err != nil {
		return nil, err
	}
	cert, err := s.certificate(cfg, public.Hostname(), instance.Hostname())
	if err != nil {
		return nil, err
	}
	s.Broker = &broker.Broker{
		Keys:      s.state.Keys(),
		Directory: s.state.Directory(),
		Verifier:  issuer.Verifier(),
		Gateways:  []string{instance.String()},
		Logger:    cfg.Logger.With("part", "broker"),
	}
	if err := s.registrationToken(cfg.Dir); err != nil {
		return nil, err
	}
	s.Gateway = &relay.Relay{Orchestrator: s.Broker, URL: instance.String(), Logger: cfg.Logger.With("part", "gateway")}
	mux := http.NewServeMux()
	for _, path := range []string{"call", "answer", "health"} {
		mux.Handle("/reachback/v1/"+path, s.Gateway)
	}
	for _, path := range []string{"control", "enrol"} {
		mux.Handle("/reachback/v1/"+path, s.Broker)
	}
	mux.Handle("/dev-idp/", issuer)
	mux.Handle("/", &feed.Handler{Source: s.Broker, URL: public.String(), SignIn: issuer.SignIn(), Logger: cfg.Logger.With("part", "feed")})
	s.http = &http.Server{
		Handler:   mux,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
		ErrorLog:  slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	if err := relay.ConfigureServer(s.http); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, err
	}
	s.listener = relay.NewListener(&reporting{l, cfg.Logger})
	return s, nil
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

// Serve serves until ctx ends, then drains, and returns when nothing is left.
func (s *Server) Serve(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.http.ServeTLS(s.listener, "", "") }() // ended by http.Close below, awaited there
	var err error
	select {
	case err = <-failed:
		failed <- err
	case <-ctx.Done():
		err = nil
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	// The gateway drains while the port is still open: hosts may be on
	// their way to a call that was let in.
	s.Gateway.Shutdown(drain)
	s.Broker.Shutdown(drain)
	s.http.Close()
	if e := <-failed; err == nil && !errors.Is(e, http.ErrServerClosed) {
		err = e
	}
	s.release()
	return err
}

func (s *Server) release() {
	if s.listener != nil {
		s.listener.Close()
	}
	if s.Broker != nil {
		s.Broker.Close()
	}
	if s.state != nil {
		s.state.Close()
	}
}

func (s *Server) certificate(cfg *Config, names ...string) (tls.Certificate, error) {
	if cfg.CertFile != "" {
		return tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
	}
	var err error
	if s.CAFile, err = program.WriteFile(cfg.Dir, "ca.pem", s.state.Keys().ServerCA()); err != nil {
		return tls.Certificate{}, err
	}
	return s.state.Keys().ServerCertificate(append(names, "localhost", "127.0.0.1", "::1")...)
}

// loopback refuses an address that other machines can reach.
func loopback(flag, addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err != nil || (ip == nil || !ip.IsLoopback()) && host != "localhost" {
		return program.UsageError(fmt.Sprintf("flag %s is for demonstrations on a loopback address, and %q is not one", flag, addr))
	}
	return nil
}
