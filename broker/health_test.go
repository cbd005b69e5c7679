package broker

import (
	"context"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// probe is a host's Health that can be set, and hang.
type probe struct {
	mu     sync.Mutex
	health Health
	hangs  chan struct{} // until closed; nil: it answers
	asked  []time.Time
}

func (p *probe) look(context.Context) Health {
	p.mu.Lock()
	p.asked = append(p.asked, time.Now())
	hangs := p.hangs
	p.mu.Unlock()
	if hangs != nil {
		<-hangs // and takes no notice of its context
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.health
}

func (p *probe) says(h Health) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.health = h
}

func (p *probe) hang(c chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hangs = c
}

// health is what the directory has of a host's health.
func (w *world) health(host string) *Health {
	w.dir.begin()
	defer w.dir.mu.Unlock()
	return w.dir.hosts[host].health
}

// upWith is up with a probe.
func (w *world) upWith(name string, p *probe) *host {
	h := w.enrol(name, "desktops")
	h.agent.Health = p.look
	h.run()
	synctest.Wait()
	require.NotZero(w.t, h.epoch())
	return h
}

func TestAHostThatIsNotFitGetsNoNewUser(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := &probe{health: Health{Fit: true, Target: true}}
		h := w.upWith("pc1", p)
		require.Equal(t, &Health{Fit: true, Target: true}, w.health(h.id), "it is told right after the welcome")
		w.joined(alice(), "desktop")

		p.says(Health{Problem: "the RDP server does not answer"})
		time.Sleep(HealthEvery)
		synctest.Wait()
		require.Equal(t, "the RDP server does not answer", w.health(h.id).Problem)
		_, err := w.orchestrate(call(w.connect(user("bob"), "desktop")))
		require.Error(t, err)
		require.Len(t, h.summoned(), 1)

		p.says(Health{Fit: true, Target: true})
		time.Sleep(HealthEvery)
		synctest.Wait()
		_, err = w.orchestrate(call(w.connect(user("bob"), "desktop")))
		require.NoError(t, err)

		// A new channel begins with a new word.
		w.lastConn().Cut()
		time.Sleep(backoffBase)
		synctest.Wait()
		require.Len(t, h.welcomes, 2)
		require.NotNil(t, w.health(h.id))
	})
}

func TestAProbeThatHangsIsNotFit(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := &probe{health: Health{Fit: true, Target: true}}
		h := w.upWith("pc1", p)
		loose := make(chan struct{})
		p.hang(loose)
		time.Sleep(HealthEvery + HealthWithin + lookGrace)
		synctest.Wait()
		require.False(t, w.health(h.id).Fit)
		require.Contains(t, w.health(h.id).Problem, "did not answer within 5s")

		asked := len(p.asked)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		require.Len(t, p.asked, asked, "it is not asked again before it has returned")
		w.lastConn().Cut()
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Len(t, h.welcomes, 2, "nor does it hold up the channel")
		require.False(t, w.health(h.id).Fit)

		p.hang(nil)
		close(loose)
		time.Sleep(2 * HealthEvery)
		synctest.Wait()
		require.True(t, w.health(h.id).Fit)
	})
}

func TestLoadAndDiskAreToldNowAndThen(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := &probe{health: Health{Fit: true, Load: 0.1, DiskFree: 1000}}
		h := w.upWith("pc1", p)
		var told []Health
		last := w.health(h.id)
		for i := range 30 { // five minutes, in which everything changes at every look
			p.says(Health{Fit: true, Load: 0.1 + float64(i%2)/2, DiskFree: int64(1000 + 100*i)})
			time.Sleep(HealthEvery)
			synctest.Wait()
			if now := w.health(h.id); now != last {
				told, last = append(told, *now), now
			}
		}
		require.InDelta(t, 10, len(told), 1)

		still := w.health(h.id)
		p.says(Health{Fit: true, Load: still.Load + loadStep/2, DiskFree: still.DiskFree + still.DiskFree/100})
		time.Sleep(10 * time.Minute)
		require.Same(t, still, w.health(h.id), "a little is not worth a message")
	})
}

func TestHealthIsTidied(t *testing.T) {
	for _, tt := range []struct {
		name     string
		in, want Health
	}{
		{"no number", Health{Load: math.NaN()}, Health{}},
		{"without end", Health{Load: math.Inf(1)}, Health{}},
		{"less than nothing", Health{Load: -1, DiskFree: -1}, Health{}},
		{"too exact", Health{Load: 0.123456}, Health{Load: 0.12}},
		{"a terminal's command", Health{Problem: "\x1b[2J"}, Health{Problem: "\ufffd[2J"}},
		{"a book", Health{Problem: strings.Repeat("x", 1000)}, Health{Problem: strings.Repeat("x", 128)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.in.tidy()
			require.Equal(t, tt.want, tt.in)
			_, err := appendMessage(nil, &healthMessage{Health: tt.in})
			require.NoError(t, err)
		})
	}
}

func TestB10_HealthOfAnotherHostChangesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		one := w.upWith("pc1", &probe{health: Health{Fit: true}})
		c := w.enrol("pc2", "desktops").open()
		say(t, c, `{"type":"hello","versions":[1]}`)
		hear(t, c)
		say(t, c, `{"type":"health","host":"`+one.id+`","fit":false,"problem":"it burns"}`)
		synctest.Wait()
		require.True(t, w.health(one.id).Fit)
	})
}
