package admin

import (
	"context"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/examples/internal/program"
)

const (
	checkWithin = 2 * time.Second
	// checkEvery is how long an answer is good, so that many who ask do not
	// become many who check.
	checkEvery = time.Second
)

// health asks what the process needs whether it answers.
type health struct {
	checks map[string]func(context.Context) error

	mu    sync.Mutex // held while checking
	at    time.Time  // of results
	found map[string]error
}

func newHealth(p *Parts) *health {
	h := &health{checks: maps.Clone(p.Checks)}
	if h.checks == nil {
		h.checks = make(map[string]func(context.Context) error)
	}
	if p.Directory != nil {
		h.checks["directory"] = func(ctx context.Context) error {
			_, err := p.Directory.Workspace(ctx, "")
			return err
		}
	}
	if p.Link != nil {
		h.checks["link"] = func(context.Context) error {
			if !p.Link.Stats().Up {
				return reachback.Refuse(reachback.CodeBrokerUnreachable)
			}
			return nil
		}
	}
	return h
}

// results returns, for each check, why it failed, or nil. Who asks first does the
// checking for those who ask meanwhile.
func (h *health) results(ctx context.Context) map[string]error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.found != nil && time.Since(h.at) < checkEvery {
		return h.found
	}
	// Others wait for the result, so it does not hang on this request.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkWithin)
	defer cancel()
	found := make(map[string]error, len(h.checks))
	var mu sync.Mutex // guards found
	var wg sync.WaitGroup
	for name, check := range h.checks {
		wg.Go(func() { // ends with the check, whose context ends; awaited below
			err := check(ctx)
			mu.Lock()
			defer mu.Unlock()
			found[name] = err
		})
	}
	wg.Wait()
	h.found, h.at = found, time.Now()
	return found
}

func (h *health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := struct {
		Status string            `json:"status"`
		Checks map[string]string `json:"checks"`
	}{"ok", make(map[string]string)}
	status := http.StatusOK
	for name, err := range h.results(r.Context()) {
		answer.Checks[name] = "ok"
		if err != nil {
			answer.Checks[name] = program.OneLine(err.Error())
			answer.Status, status = "failing", http.StatusServiceUnavailable
		}
	}
	writeJSON(w, status, &answer)
}
