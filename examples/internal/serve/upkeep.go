package serve

import (
	"context"
	"time"
)

const (
	// upkeepEvery is how often the server looks for what has to be renewed.
	upkeepEvery = 24 * time.Hour
	// rotateAfter is how old the newest token key gets before the next is made.
	rotateAfter = 30 * 24 * time.Hour
)

// upkeep renews what ages, until ctx ends.
func (s *Server) upkeep(ctx context.Context) {
	ticker := time.NewTicker(upkeepEvery)
	defer ticker.Stop()
	for {
		s.renew(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) renew(ctx context.Context) {
	if s.cert.own && s.cert.aged(time.Now()) {
		s.report("certificate", "renewed", s.cert.reload())
	}
	if s.signing != nil {
		s.signing.warn(s)
	}
	if s.store != nil && time.Since(s.store.keys.Newest()) > rotateAfter {
		ctx, cancel := context.WithTimeout(ctx, openTimeout)
		defer cancel()
		s.report("token keys", "rotated", s.store.keys.Rotate(ctx))
	}
}

// Reload reads certificate and seed again. What is broken stays as it was, and the
// log says why.
func (s *Server) Reload(ctx context.Context) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	s.report("certificate", "reloaded", s.cert.reload())
	if s.signing != nil {
		s.report("certificate of the .rdp files", "reloaded", s.signing.reload())
	}
	if s.admin != nil && s.plan.Admin.CertFile != "" {
		s.report("certificate of the admin address", "reloaded", s.admin.Reload())
	}
	if s.store != nil && s.plan.Seed != "" {
		s.report("seed", "reloaded", s.applySeed(ctx))
	}
}

func (s *Server) report(what, done string, err error) {
	if err != nil {
		s.logger.Error(what+" not "+done+", the old one stays in force", "err", err)
		return
	}
	s.logger.Info(what + " " + done)
}
