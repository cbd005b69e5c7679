package serve

import (
	"context"

	"github.com/reachback/reachback/examples/internal/admin"
)

// openAdmin listens where operators look and change things.
func (s *Server) openAdmin() (err error) {
	c := &s.plan.Admin
	parts := admin.Parts{Broker: s.broker, Relay: s.gateway, Link: s.link, Issuer: s.issuerURL(), Logger: s.logger.With("part", "admin")}
	if s.store != nil {
		parts.Directory = s.store.dir
	}
	parts.Checks = map[string]func(context.Context) error{"disk": newDisk(s.plan.Dir, leastDisk).check}
	if s.verifier != nil {
		parts.Checks["issuer"] = s.verifier.Check
	}
	s.admin, err = admin.Open(&admin.Config{Addr: c.Addr, CertFile: c.CertFile, KeyFile: c.KeyFile, ClientCA: c.ClientCA, Parts: parts})
	return err
}
