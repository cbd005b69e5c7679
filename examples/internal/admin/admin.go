// Package admin is what operators see of a server: metrics, health, profiles, and
// an API over pools, resources, hosts, gateways, tokens, sessions and records.
//
//	/metrics            Prometheus
//	/healthz            200 while everything that the process needs answers, else 503
//	/debug/pprof/       profiles
//	/openapi.json       the API's OpenAPI 3.1 document; /openapi.yaml too
//	/api/v1/…           the API
//
// Who reaches it may do everything, so there are two ways to serve it: on a
// loopback address, for every user of the machine, or on any address with mutual
// TLS, for every holder of a certificate of the operator's own authority. There is
// no third. It is never a part of the public port. Requests that a web page may
// have made are refused either way, and so is a loopback one by a name that is not
// this machine's: a page of any site can have the operator's browser send those.
//
// # Bounds
//
// At most 256 connections, with 5 s for the handshake and for the head of a
// request, which has 16 KiB; 15 s for the rest of it, 2 MiB at most for a picture
// and 1 MiB for any other body; 30 s for an answer of the API and two minutes for
// any other.
package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/relay"
)

const (
	maxConnections = 256
	maxHead        = 16 << 10
	headTimeout    = 5 * time.Second
	readTimeout    = 20 * time.Second
	writeTimeout   = 2 * time.Minute
	idleTimeout    = 2 * time.Minute
	drainTime      = 2 * time.Second
)

// Config says where the admin address is and what it is about.
type Config struct {
	Addr     string // host:port
	CertFile string // the server's certificate chain, PEM; this and the next two come together
	KeyFile  string
	ClientCA string // the authorities of operators' certificates, PEM
	Parts
}

// Parts are the parts of the process that there is something to say of.
type Parts struct {
	Broker    *broker.Broker // nil: there is no API
	Directory broker.Directory
	Relay     *relay.Relay // nil: none in this process
	Link      *broker.Link // nil: the gateway, if there is one, is beside its broker
	// Issuer is the issuer of users whom a request names without one.
	Issuer string
	// Checks are what the process needs, by name. A check must return when its
	// context ends; an error says that the thing does not answer. Directory
	// and Link are checked without being here.
	Checks map[string]func(context.Context) error
	Logger *slog.Logger // nil is silent
}

func (p *Parts) log() *slog.Logger {
	if p.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return p.Logger
}

// A Server listens on the admin address.
type Server struct {
	URL string // base URL

	files    tlsFiles
	tls      atomic.Pointer[tls.Config] // nil: without TLS; Reload replaces it
	listener net.Listener
	http     *http.Server
}

// Open listens. Call Serve, or Close where it does not come to that.
func Open(cfg *Config) (*Server, error) {
	files := tlsFiles{cfg.CertFile, cfg.KeyFile, cfg.ClientCA}
	if err := files.check(cfg.Addr); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return nil, err
	}
	// A name is loopback only if that is what it led to.
	if t, ok := l.Addr().(*net.TCPAddr); !files.wanted() && (!ok || !t.IP.IsLoopback()) {
		l.Close()
		return nil, notLoopback(cfg.Addr)
	}
	s, err := newServer(l, files, cfg)
	if err != nil {
		l.Close()
	}
	return s, err
}

func newServer(l net.Listener, files tlsFiles, cfg *Config) (*Server, error) {
	s := &Server{files: files, URL: "http://" + l.Addr().String()}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	l = netutil.LimitListener(l, maxConnections)
	if files.wanted() {
		s.URL = "https" + s.URL[len("http"):]
		l = tls.NewListener(l, &tls.Config{
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.tls.Load(), nil },
		})
	}
	s.listener = l
	s.http = &http.Server{
		Handler:           guard(NewHandler(&cfg.Parts), files.wanted(), cfg.log()),
		ReadHeaderTimeout: headTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHead,
		Protocols:         new(http.Protocols),
		ErrorLog:          slog.NewLogLogger(cfg.log().Handler(), slog.LevelDebug),
	}
	s.http.Protocols.SetHTTP1(true)
	return s, nil
}

// Serve answers until ctx ends, and returns when nothing is left.
func (s *Server) Serve(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.listener) }() // ended by Close below, awaited there
	var err error
	select {
	case err = <-failed:
		failed <- err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	s.http.Shutdown(drain)
	s.http.Close()
	if e := <-failed; err == nil && !errors.Is(e, http.ErrServerClosed) {
		err = e
	}
	return err
}

// Close stops listening, without Serve.
func (s *Server) Close() error { return s.listener.Close() }

// Reload reads certificate, key and authorities again, for new connections. Where
// they are no good, those before stay in force.
func (s *Server) Reload() error {
	if !s.files.wanted() {
		return nil
	}
	c, err := s.files.load()
	if err != nil {
		return err
	}
	s.tls.Store(c)
	return nil
}
