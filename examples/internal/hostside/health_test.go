package hostside

import (
	"bytes"
	"context"
	"errors"
	"math"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Answers to a connection request: of Windows, of a server that knows no negotiation,
// and of one that refuses what it was asked for.
var (
	confirm    = []byte{3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0x1f, 8, 0, 2, 0, 0, 0}
	oldConfirm = []byte{3, 0, 0, 11, 6, 0xd0, 0, 0, 0x12, 0x34, 0}
	refusal    = []byte{3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 3, 0, 8, 0, 1, 0, 0, 0}
)

// patience is how long a test waits for others on a busy machine.
const patience = 30 * time.Second

// rdpServer stands for one: it takes what a client says first, and answers as told.
type rdpServer struct {
	addr string

	mu     sync.Mutex
	answer []byte // nil: none, ever
	asked  [][]byte
}

func startRDPServer(t *testing.T, addr string, answer []byte) *rdpServer {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	s := &rdpServer{addr: l.Addr().String(), answer: answer}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				defer context.AfterFunc(ctx, func() { c.Close() })()
				b := make([]byte, 64)
				n, err := c.Read(b)
				if err != nil {
					return
				}
				s.mu.Lock()
				s.asked = append(s.asked, b[:n])
				answer := s.answer
				s.mu.Unlock()
				if answer != nil {
					c.Write(answer)
				}
				c.Read(b) // until the client leaves
			})
		}
	})
	t.Cleanup(func() { cancel(); l.Close(); wg.Wait() })
	return s
}

func (s *rdpServer) set(answer []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func newHealth(t *testing.T, target string, cfg Health) *health {
	return &health{cfg: cfg, target: target, dir: t.TempDir()}
}

// soon bounds how long a test waits for the answer of a server that gives none.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestHealth_AnRDPServer(t *testing.T) {
	for name, answer := range map[string][]byte{"as Windows": confirm, "without negotiation": oldConfirm, "with a refusal": refusal} {
		t.Run(name, func(t *testing.T) {
			s := startRDPServer(t, "127.0.0.1:0", answer)
			h := newHealth(t, s.addr, Health{})
			got := h.check(t.Context())
			require.True(t, got.Fit)
			require.True(t, got.Target)
			require.Empty(t, got.Problem)
			require.Equal(t, [][]byte{connectionRequest}, s.asked)
		})
	}
}

func TestHealth_AServerThatIsDownComesBack(t *testing.T) {
	addr := freeAddr(t)
	h := newHealth(t, addr, Health{})
	got := h.check(t.Context())
	require.False(t, got.Fit)
	require.False(t, got.Target)
	require.Equal(t, "the RDP server refuses connections", got.Problem)
	startRDPServer(t, addr, confirm)
	require.True(t, h.check(t.Context()).Fit)
}

// A server that hangs takes connections as well as ever. That it is late once is no
// reason to send users away.
func TestHealth_AServerThatHangs(t *testing.T) {
	s := startRDPServer(t, "127.0.0.1:0", confirm)
	h := newHealth(t, s.addr, Health{})
	require.True(t, h.check(t.Context()).Fit)
	s.set(nil)
	require.True(t, h.check(soon(t)).Fit)
	s.set(confirm)
	require.True(t, h.check(t.Context()).Fit)
	s.set(nil)
	require.True(t, h.check(soon(t)).Fit)
	got := h.check(soon(t))
	require.False(t, got.Fit)
	require.False(t, got.Target)
	require.Equal(t, "the RDP server takes connections and does not answer", got.Problem)
	s.set(confirm)
	require.True(t, h.check(t.Context()).Fit)
}

// What has never spoken RDP need not begin with it.
func TestHealth_ATargetThatIsNoRDPServer(t *testing.T) {
	for name, answer := range map[string][]byte{"silent": nil, "an echo": connectionRequest, "another greeting": []byte("SSH-2.0-x\r\n")} {
		t.Run(name, func(t *testing.T) {
			s := startRDPServer(t, "127.0.0.1:0", answer)
			h := newHealth(t, s.addr, Health{})
			for range 3 {
				require.True(t, h.check(soon(t)).Fit)
			}
		})
	}
}

func TestHealth_Probes(t *testing.T) {
	addr := freeAddr(t)
	off := newHealth(t, addr, Health{Probe: ProbeOff})
	require.True(t, off.check(t.Context()).Fit)
	tcp := newHealth(t, addr, Health{Probe: ProbeTCP})
	require.False(t, tcp.check(t.Context()).Fit)
	s := startRDPServer(t, addr, nil)
	require.True(t, tcp.check(t.Context()).Fit)
	require.Empty(t, s.asked)
}

func TestHealth_Disk(t *testing.T) {
	s := startRDPServer(t, "127.0.0.1:0", confirm)
	h := newHealth(t, s.addr, Health{MinDisk: 1})
	got := h.check(t.Context())
	require.True(t, got.Fit)
	require.Positive(t, got.DiskFree)
	h.cfg.MinDisk = 1 << 60
	got = h.check(t.Context())
	require.False(t, got.Fit)
	require.True(t, got.Target)
	require.Regexp(t, `^\d+ MiB of disk space are free, 1099511627776 must be$`, got.Problem)
	h.dir = "/no/such/folder"
	require.Equal(t, "the free disk space is not known", h.check(t.Context()).Problem)
	h.cfg.MinDisk = 0
	require.True(t, h.check(t.Context()).Fit)
	require.Empty(t, (&health{cfg: Health{MinDisk: 1}}).judgeDisk(0, errors.ErrUnsupported))
}

func TestHealth_BothProblemsAreSaid(t *testing.T) {
	h := newHealth(t, freeAddr(t), Health{MinDisk: math.MaxInt64})
	got := h.check(t.Context())
	require.Regexp(t, `^the RDP server .*; .* disk space`, got.Problem)
	require.Less(t, len(got.Problem), 150)
}

func FuzzReadConfirm(f *testing.F) {
	for _, answer := range [][]byte{confirm, oldConfirm, refusal, connectionRequest, {}, {3, 0, 0xff, 0xff, 14, 0xd0}} {
		f.Add(answer)
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		r := bytes.NewReader(answer)
		if readConfirm(r) {
			require.Equal(t, len(answer)-r.Len(), int(answer[2])<<8|int(answer[3]))
		}
		require.LessOrEqual(t, len(answer)-r.Len(), maxConfirm)
	})
}

func TestReadConfirm_NeedsAllOfIt(t *testing.T) {
	for i := range confirm {
		require.False(t, readConfirm(bytes.NewReader(confirm[:i])), i)
	}
	require.True(t, readConfirm(bytes.NewReader(confirm)))
}
