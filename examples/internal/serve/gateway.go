package serve

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/relay"
	"github.com/reachback/reachback/relay/rdgateway"
)

// identityFile is the key and certificate of a gateway apart.
const identityFile = "gateway.pem"

// openGateway makes the relay, whose orchestrator is the broker beside it, or a link
// to the one that -broker names.
func (s *Server) openGateway(ctx context.Context, mux *http.ServeMux) error {
	logger := s.logger.With("part", "gateway")
	s.gateway = &relay.Relay{Orchestrator: s.broker, URL: s.plan.instance.String(), Logger: logger}
	if s.plan.apart() {
		if err := s.openLink(ctx); err != nil {
			return err
		}
		s.gateway.Orchestrator = s.link
	}
	if s.plan.RawCalled != nil {
		s.gateway.Orchestrator = telling{s.gateway.Orchestrator, s.plan.RawCalled}
	}
	for _, path := range []string{"call", "answer", "health"} {
		mux.Handle("/reachback/v1/"+path, s.gateway)
	}
	s.stock = &rdgateway.Handler{Relay: s.gateway, Logger: logger}
	mux.Handle(rdgateway.Path, s.stock)
	mux.Handle(rdgateway.RawPath, s.stock)
	return nil
}

// telling is an orchestrator that tells of raw calls, whatever becomes of them.
type telling struct {
	relay.Orchestrator
	rawCalled func()
}

func (t telling) Orchestrate(ctx context.Context, c *relay.Call) (*relay.Permit, error) {
	if c.Raw {
		t.rawCalled()
	}
	return t.Orchestrator.Orchestrate(ctx, c)
}

// openLink makes the link, after enrolling the gateway at its first start.
func (s *Server) openLink(ctx context.Context) error {
	tlsConfig, err := program.TrustFile(s.plan.Broker.CA)
	if err != nil {
		return err
	}
	identity, err := broker.OpenIdentity(filepath.Join(s.plan.Dir, identityFile))
	if err != nil {
		return err
	}
	s.link = &broker.Link{
		Server: s.plan.brokerURL.String(), URL: s.plan.instance.String(), Identity: identity, TLS: tlsConfig,
		Logger: s.logger.With("part", "link"),
	}
	if identity.Gateway() != "" {
		return nil
	}
	if s.plan.Broker.Enrol == "" {
		return program.UsageError("flag -enrol is required until the gateway is enrolled")
	}
	return s.enrol(ctx)
}

func (s *Server) enrol(ctx context.Context) error {
	token, err := os.ReadFile(s.plan.Broker.Enrol)
	if err != nil {
		return err
	}
	_, err = s.link.Enrol(ctx, broker.EnrolOptions{Token: strings.TrimSpace(string(token))})
	return err
}

// runLink keeps the link until ctx ends. It calls ready once the broker has said all
// that calls need. A gateway that was off for longer than its certificate lived, or
// has got another URL, enrols the same key again.
func (s *Server) runLink(ctx context.Context, ready func()) error {
	var once sync.Once
	s.link.Ready = func(*broker.Welcome) { once.Do(ready) }
	err := s.link.Run(ctx)
	if code := reachback.CodeOf(err); code == reachback.CodeCertificateExpired || code == reachback.CodeGatewayUnknown {
		if s.plan.Broker.Enrol == "" {
			return fmt.Errorf("%w; start once with -enrol and a registration token", err)
		}
		s.logger.Warn("enrolling again with the same key", "gateway", s.link.Identity.Gateway(), "url", s.link.URL, "code", code)
		if err := s.enrol(ctx); err != nil {
			return err
		}
		err = s.link.Run(ctx)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}
