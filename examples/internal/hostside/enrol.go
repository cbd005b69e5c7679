package hostside

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/transport"
)

// listen opens the control channel, with an identity certificate that it enrols for
// where there is none or where it has expired: the machine was off for longer than
// the certificate lived. The key stays, and with it the host.
func listen(ctx context.Context, lc *transport.ListenConfig, cfg *Config) (*transport.Listener, error) {
	agent := lc.Agent
	if agent.Identity.Host() == "" {
		if cfg.Enrol == "" {
			return nil, program.UsageError("flag -enrol is required until the host is enrolled")
		}
		if err := enrol(ctx, agent, cfg); err != nil {
			return nil, err
		}
	}
	l, err := lc.Listen(ctx)
	if reachback.CodeOf(err) != reachback.CodeCertificateExpired {
		return l, err
	}
	if cfg.Enrol == "" {
		return nil, fmt.Errorf("%w; start once with -enrol and a registration token", err)
	}
	agent.Logger.Warn("enrolling again with the same key, for the identity certificate has expired", "host", agent.Identity.Host())
	if err := enrol(ctx, agent, cfg); err != nil {
		return nil, err
	}
	return lc.Listen(ctx)
}

func enrol(ctx context.Context, agent *broker.Agent, cfg *Config) error {
	token, err := os.ReadFile(cfg.Enrol)
	if err != nil {
		return err
	}
	name := cfg.Name
	if name == "" {
		if name, err = os.Hostname(); err != nil {
			return err
		}
	}
	_, err = agent.Enrol(ctx, broker.EnrolOptions{Token: strings.TrimSpace(string(token)), Name: name, Pool: cfg.Pool})
	return err
}
