package hostside

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"

	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/program"
)

// health says how the host is. The agent asks it, and has the log say what changes.
type health struct {
	cfg    Health
	target string
	dir    string

	mu     sync.Mutex
	rdp    bool // the target has answered as an RDP server
	silent int  // how often in a row it has not answered since
}

// check is broker.Agent.Health.
func (h *health) check(ctx context.Context) broker.Health {
	now := broker.Health{Target: true, Load: load()}
	var problems []string
	if p := h.askTarget(ctx); p != "" {
		now.Target = false
		problems = append(problems, p)
	}
	free, err := program.DiskFree(h.dir)
	now.DiskFree = free
	if p := h.judgeDisk(free, err); p != "" {
		problems = append(problems, p)
	}
	now.Problem = strings.Join(problems, "; ")
	now.Fit = len(problems) == 0
	return now
}

const mebibyte = 1 << 20

func (h *health) judgeDisk(free int64, err error) (problem string) {
	switch {
	case h.cfg.MinDisk == 0 || errors.Is(err, errors.ErrUnsupported):
		return ""
	case err != nil:
		return "the free disk space is not known"
	case free < h.cfg.MinDisk:
		return fmt.Sprintf("%d MiB of disk space are free, %d must be", free/mebibyte, h.cfg.MinDisk/mebibyte)
	}
	return ""
}

// askTarget connects to the RDP server as a client would, and returns what is wrong.
func (h *health) askTarget(ctx context.Context) (problem string) {
	if h.cfg.Probe == ProbeOff {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := dialTarget(ctx, h.target)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "the RDP server refuses connections"
	}
	if err != nil {
		return "the RDP server cannot be reached"
	}
	defer conn.Close()
	if h.cfg.Probe == ProbeTCP {
		return ""
	}
	return h.judgeAnswer(negotiate(ctx, conn))
}

// maxSilent is how often in a row an RDP server may leave a probe without an answer,
// which a busy machine's does, before its host takes no new users.
const maxSilent = 1

func (h *health) judgeAnswer(answered bool) (problem string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case answered:
		h.rdp, h.silent = true, 0
	case h.rdp:
		h.silent++
	}
	if h.silent > maxSilent {
		return "the RDP server takes connections and does not answer"
	}
	return ""
}
