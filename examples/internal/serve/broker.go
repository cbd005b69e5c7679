package serve

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/feed"
)

const (
	hostTokenFile    = "registration.token"
	gatewayTokenFile = "gateway-registration.token"
	tokenLife        = 27 * 24 * time.Hour
	tokenUses        = 10_000
)

func (s *Server) openBroker(ctx context.Context, mux *http.ServeMux) (err error) {
	if s.store, err = s.plan.openStore(ctx); err != nil {
		return err
	}
	s.broker = &broker.Broker{Keys: s.store.keys, Directory: s.store.dir, Logger: s.logger.With("part", "broker")}
	if s.plan.gateway {
		s.broker.Gateways = []string{s.plan.instance.String()}
	}
	mux.Handle("/reachback/v1/control", s.broker)
	mux.Handle("/reachback/v1/enrol", s.broker)
	return nil
}

func (s *Server) openFeed(mux *http.ServeMux) error {
	h := &feed.Handler{Source: s.broker, URL: s.URL, Logger: s.logger.With("part", "feed")}
	if err := s.openSignIn(h, mux); err != nil {
		return err
	}
	if c := s.plan.Signing; c.CertFile != "" {
		var err error
		if s.signing, err = c.openSigning(); err != nil {
			return err
		}
		h.Signer = s.signing.current.Load
	}
	mux.Handle("/", h)
	return nil
}

// fill puts the seed in force and keeps usable registration tokens beside it.
func (s *Server) fill(ctx context.Context) error {
	if err := s.applySeed(ctx); err != nil {
		return err
	}
	if err := s.registrationToken(ctx, hostTokenFile, broker.RoleHost); err != nil {
		return err
	}
	return s.registrationToken(ctx, gatewayTokenFile, broker.RoleGateway)
}

// registrationToken keeps a usable registration token in a file of the folder. The
// directory has only its hash, so the file is the only copy.
func (s *Server) registrationToken(ctx context.Context, file string, role broker.Role) error {
	old, err := os.ReadFile(filepath.Join(s.plan.Dir, file))
	if err == nil && s.broker.CheckRegistrationToken(ctx, strings.TrimSpace(string(old))) == nil {
		return nil
	}
	token, _, err := s.broker.NewRegistrationToken(ctx, broker.TokenOptions{Role: role, Life: tokenLife, Uses: tokenUses})
	if err != nil {
		return err
	}
	_, err = program.WriteFile(s.plan.Dir, file, []byte(token+"\n"))
	return err
}
