package broker

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/relay"
)

// remote is a directory that is elsewhere: it can be away, and then either fails at
// once or says nothing.
type remote struct {
	*MemoryDirectory

	mu     sync.Mutex
	away   bool
	silent bool
	asked  int // while away
}

var errAway = errors.New("dial tcp 192.0.2.7:5432: connection refused")

func (r *remote) goes(away, silent bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away, r.silent = away, silent
}

func (r *remote) there(ctx context.Context) error {
	r.mu.Lock()
	away, silent := r.away, r.silent
	if away {
		r.asked++
	}
	r.mu.Unlock()
	if away && silent {
		<-ctx.Done()
		return ctx.Err()
	}
	if away {
		return errAway
	}
	return nil
}

func (r *remote) Assigned(ctx context.Context, u *reachback.User, resource string) (*Assignment, error) {
	if err := r.there(ctx); err != nil {
		return nil, err
	}
	return r.MemoryDirectory.Assigned(ctx, u, resource)
}

func (r *remote) Resources(ctx context.Context, u *reachback.User) ([]reachback.Resource, error) {
	if err := r.there(ctx); err != nil {
		return nil, err
	}
	return r.MemoryDirectory.Resources(ctx, u)
}

func (r *remote) Workspace(ctx context.Context, tenant string) (string, error) {
	if err := r.there(ctx); err != nil {
		return "", err
	}
	return r.MemoryDirectory.Workspace(ctx, tenant)
}

func (r *remote) Icon(ctx context.Context, hash string) ([]byte, error) {
	if err := r.there(ctx); err != nil {
		return nil, err
	}
	return r.MemoryDirectory.Icon(ctx, hash)
}

func (r *remote) Registration(ctx context.Context, id string, hash [32]byte) (*Registration, error) {
	if err := r.there(ctx); err != nil {
		return nil, err
	}
	return r.MemoryDirectory.Registration(ctx, id, hash)
}

func (r *remote) Reserve(ctx context.Context, q *Reservation) (*Session, error) {
	if err := r.there(ctx); err != nil {
		return nil, err
	}
	return r.MemoryDirectory.Reserve(ctx, q)
}

func (r *remote) Host(ctx context.Context, id string) (*Host, error) {
	if err := r.there(ctx); err != nil {
		return nil, err
	}
	return r.MemoryDirectory.Host(ctx, id)
}

func (r *remote) Attach(ctx context.Context, id string) (*Attachment, error) {
	if err := r.there(ctx); err != nil {
		return nil, err
	}
	return r.MemoryDirectory.Attach(ctx, id)
}

func (r *remote) Detach(ctx context.Context, id string, epoch uint64) error {
	if err := r.there(ctx); err != nil {
		return err
	}
	return r.MemoryDirectory.Detach(ctx, id, epoch)
}

func (r *remote) Drain(ctx context.Context, id string, epoch uint64, on bool) error {
	if err := r.there(ctx); err != nil {
		return err
	}
	return r.MemoryDirectory.Drain(ctx, id, epoch, on)
}

func (r *remote) Health(ctx context.Context, id string, epoch uint64, h *Health) error {
	if err := r.there(ctx); err != nil {
		return err
	}
	return r.MemoryDirectory.Health(ctx, id, epoch, h)
}

func (r *remote) HostReport(ctx context.Context, id string, epoch uint64, full bool, reports []SessionReport) (*ReportAnswer, error) {
	if err := r.there(ctx); err != nil {
		return nil, err
	}
	return r.MemoryDirectory.HostReport(ctx, id, epoch, full, reports)
}

func (r *remote) Joined(ctx context.Context, session, call string) error {
	if err := r.there(ctx); err != nil {
		return err
	}
	return r.MemoryDirectory.Joined(ctx, session, call)
}

func (r *remote) Left(ctx context.Context, session, call string) error {
	if err := r.there(ctx); err != nil {
		return err
	}
	return r.MemoryDirectory.Left(ctx, session, call)
}

func (r *remote) Kills(ctx context.Context, after uint64) ([]Kill, error) {
	if err := r.there(ctx); err != nil {
		return nil, err
	}
	return r.MemoryDirectory.Kills(ctx, after)
}

func (r *remote) Gateways(ctx context.Context) ([]GatewayStatus, error) {
	if err := r.there(ctx); err != nil {
		return nil, err
	}
	return r.MemoryDirectory.Gateways(ctx)
}

func (r *remote) AddRecords(ctx context.Context, records []Record) error {
	if err := r.there(ctx); err != nil {
		return err
	}
	return r.MemoryDirectory.AddRecords(ctx, records)
}

// inRemoteWorld is inWorld with a directory that can be away.
func inRemoteWorld(t *testing.T, f func(t *testing.T, w *world, d *remote)) {
	t.Helper()
	inWorld(t, func(t *testing.T, w *world) {
		d := &remote{MemoryDirectory: w.dir}
		w.broker.Directory = d
		f(t, w, d)
	})
}

func TestNobodyHangsOnADirectoryThatIsAway(t *testing.T) {
	for _, tt := range []struct {
		name   string
		silent bool
		within time.Duration
	}{{"it refuses", false, 0}, {"it says nothing", true, directoryWithin}} {
		t.Run(tt.name, func(t *testing.T) {
			inRemoteWorld(t, func(t *testing.T, w *world, d *remote) {
				w.up("pc1", "desktops")
				tok := w.connect(alice(), "desktop")
				registration := w.token("desktops", time.Hour, 1)
				d.goes(true, tt.silent)
				for what, do := range map[string]func() error{
					"connect":     func() error { _, err := w.broker.Connect(t.Context(), alice(), "desktop", clientKey); return err },
					"feed":        func() error { _, err := w.broker.Resources(t.Context(), alice()); return err },
					"workspace":   func() error { _, err := w.broker.Workspace(t.Context(), ""); return err },
					"icon":        func() error { _, err := w.broker.Icon(t.Context(), "picture"); return err },
					"token":       func() error { return w.broker.CheckRegistrationToken(t.Context(), registration) },
					"orchestrate": func() error { _, err := w.orchestrate(call(tok)); return err },
				} {
					began := time.Now()
					requireCode(t, reachback.CodeUnavailable, do(), what)
					require.LessOrEqual(t, time.Since(began), tt.within, what)
				}
				require.Contains(t, w.logs.String(), "unavailable")
				d.goes(false, false)
				_, err := w.orchestrate(call(tok))
				require.NoError(t, err, "nothing was changed, the token neither")
			})
		})
	}
}

func TestHostsAreNotThrownOutByAnOutage(t *testing.T) {
	for _, silent := range []bool{false, true} {
		inRemoteWorld(t, func(t *testing.T, w *world, d *remote) {
			one, two := w.up("pc1", "desktops"), w.up("pc2", "desktops")
			c, p := w.joined(alice(), "desktop")
			require.Equal(t, one.id, p.Host)
			_, q := w.joined(user("bob"), "desktop")
			require.Equal(t, two.id, q.Host)

			d.goes(true, silent)
			// While it is away a session ends, as both parties say, and the other
			// host reports again and again and goes into drain.
			w.broker.Report(relay.Event{Kind: relay.EventEnded, Call: c.ID, Session: p.Session, Host: p.Host, Code: reachback.CodeClosed})
			one.agent.Report(SessionReport{Session: p.Session, State: ReportEnded, Code: reachback.CodeClosed})
			for i := range 100 {
				two.agent.Drain(i%2 == 0)
				two.agent.Report(SessionReport{Session: q.Session, State: ReportActive})
				time.Sleep(5 * time.Second)
			}
			two.agent.Drain(true)
			synctest.Wait()
			require.Equal(t, 2, w.broker.Stats().Channels)
			require.Len(t, one.welcomes, 1)
			require.Len(t, two.welcomes, 1)

			d.goes(false, false)
			time.Sleep(2*retryMost + directoryWithin)
			synctest.Wait()
			require.Equal(t, SessionEnded, w.state(p.Session))
			require.Equal(t, SessionActive, w.state(q.Session))
			require.True(t, w.dir.hosts[two.id].draining)
			require.Equal(t, 2, w.broker.Stats().Channels)
			_, err := w.orchestrate(call(w.connect(user("carol"), "desktop")))
			require.NoError(t, err)
			require.Len(t, one.summoned(), 2, "the one that is not in drain")
			require.NotEmpty(t, w.why(RecordQuery{Session: p.Session, Step: StepEnd}), "the records outlived it too")
		})
	}
}

func TestAChannelThatEndsDuringAnOutageIsDetachedAfterIt(t *testing.T) {
	inRemoteWorld(t, func(t *testing.T, w *world, d *remote) {
		h := w.up("pc1", "desktops")
		d.goes(true, false)
		h.stop()
		synctest.Wait()
		require.Zero(t, w.broker.Stats().Channels)
		require.True(t, w.dir.hosts[h.id].up, "the row says what it said")
		time.Sleep(time.Minute)
		d.goes(false, false)
		time.Sleep(2 * retryMost)
		synctest.Wait()
		require.False(t, w.dir.hosts[h.id].up)
		require.Zero(t, w.broker.Stats().Notes)
	})
}

func TestABrokerThatHasNotReadTheKillsTrustsNobody(t *testing.T) {
	for _, silent := range []bool{false, true} {
		inRemoteWorld(t, func(t *testing.T, w *world, d *remote) {
			d.goes(true, silent)
			began := time.Now()
			_, err := w.orchestrate(call("any"))
			requireCode(t, reachback.CodeUnavailable, err)
			require.LessOrEqual(t, time.Since(began), directoryWithin)
			d.goes(false, false)
			time.Sleep(pollKills + directoryWithin)
			w.up("pc1", "desktops")
			_, err = w.orchestrate(call(w.connect(alice(), "desktop")))
			require.NoError(t, err)
		})
	}
}

func TestABrokerEndsInTimeDuringAnOutage(t *testing.T) {
	for _, silent := range []bool{false, true} {
		inRemoteWorld(t, func(t *testing.T, w *world, d *remote) {
			w.up("pc1", "desktops")
			c, p := w.joined(alice(), "desktop")
			d.goes(true, silent)
			w.broker.Report(relay.Event{Kind: relay.EventEnded, Call: c.ID, Session: p.Session})
			synctest.Wait()
			began := time.Now()
			require.NoError(t, w.broker.Close())
			require.LessOrEqual(t, time.Since(began), 2*closeWithin+directoryWithin+bookFlush+recordFlush)
		})
	}
}
