package relay

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/framing"
	"github.com/reachback/reachback/internal/simnet"
	"github.com/reachback/reachback/internal/tlsrecord"
)

// inFramedPair runs f with a joined pair whose client's leg has a framing, of each kind.
func inFramedPair(t *testing.T, f func(t *testing.T, leg *framedLeg, host net.Conn, s *splicing)) {
	inFramedPairOver(t, simulated, f)
}

func inFramedPairOver(t *testing.T, connect func() (near, far net.Conn), f func(t *testing.T, leg *framedLeg, host net.Conn, s *splicing)) {
	for _, k := range []legKind{recordLegs, wiredLegs, tlsLegs} {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &splicing{result: make(chan spliceResult, 1)}
				near, far := connect()
				cl, client := k.make(t, near, far)
				near, far = simulated()
				hl, host := k.make(t, near, far)
				s.client, s.host = client, host
				t.Cleanup(func() {
					client.wire.Close()
					host.wire.Close()
				})
				leg := newFramedLeg(&framing.Conn{Conn: cl.(*carrier.Conn), Framing: &chunkFraming{}}, spliceTimeout)
				require.NoError(t, leg.greet())
				got := make([]byte, len("ready"))
				_, err := io.ReadFull(client, got)
				require.NoError(t, err)
				var h io.Closer = hl
				if k.takeOver {
					require.NoError(t, leg.takeOver())
					h, err = takeOver(hl.(*carrier.Conn), spliceTimeout)
					require.NoError(t, err)
				}
				go func() { s.result <- spliceFramed(leg, h, spliceOptions{WriteTimeout: spliceTimeout}) }()
				synctest.Wait()
				f(t, leg, hl, s)
			})
		})
	}
}

// fill fills the connection to a client that takes nothing, to the last byte.
func (s *splicing) fill() (total int) {
	const record = 512 // which every kind of leg reads as one
	const piece = record - 2 - tlsrecord.HeaderLen - tlsrecord.Overhead
	for range simnet.BufferSize / record {
		s.host.Write(make([]byte, piece))
		synctest.Wait()
		total += piece
	}
	return total
}

// A kill ends a session in time, whatever its client does.
func TestA6_NoClientOutlivesAKill(t *testing.T) {
	frame := append([]byte{0xC0, 0}, make([]byte, 16<<10)...)
	for _, tt := range []struct {
		name  string
		do    func(s *splicing)
		hears bool
	}{
		{"is silent", func(*splicing) {}, true},
		{"was silent for long", func(s *splicing) {
			s.host.Write([]byte{0})
			io.ReadFull(s.client, make([]byte, 2))
			time.Sleep(2 * spliceTimeout)
		}, true},
		{"takes not one byte more", func(s *splicing) { s.fill() }, false},
		{"takes no bytes", func(s *splicing) {
			go s.host.Write(make([]byte, 8<<20)) // ends with the leg
			synctest.Wait()
		}, false},
		{"sends for ever", func(s *splicing) {
			go io.Copy(io.Discard, s.host)
			go func() {
				for {
					if _, err := s.client.Write(frame); err != nil {
						return
					}
					time.Sleep(time.Millisecond)
				}
			}()
			time.Sleep(100 * time.Millisecond)
		}, true},
		{"has sent much", func(s *splicing) {
			go io.Copy(io.Discard, s.host)
			s.client.Write(frame)
			synctest.Wait()
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inFramedPair(t, func(t *testing.T, leg *framedLeg, host net.Conn, s *splicing) {
				tt.do(s)
				began := time.Now()
				why := reachback.CodeKilled
				leg.why.Store(&why)
				cutAll([]io.Closer{leg, host}, why)
				<-s.result
				require.LessOrEqual(t, time.Since(began)+killGrace, 1500*time.Millisecond)
				got, _ := io.ReadAll(s.client)
				time.Sleep(time.Second) // for what the client did
				require.Equal(t, tt.hears, string(got) == "\x00killed", "%.40q", got)
			})
		})
	}
}

// Somebody who reads a leg over another listener sets deadlines of its own: the end
// must not depend on them.
func TestACutDoesNotDependOnDeadlines(t *testing.T) {
	inFramedPair(t, func(t *testing.T, leg *framedLeg, host net.Conn, s *splicing) {
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
					leg.SetReadDeadline(time.Time{})
				}
			}
		}()
		began := time.Now()
		leg.cut(reachback.CodeKilled)
		require.LessOrEqual(t, time.Since(began), 2*goodbye)
		close(stop)
		<-done
		host.Close()
		<-s.result
	})
}

// A client that is slow to take the end of its session gets all of it.
func TestFramedLegOfASlowClientEndsRegularly(t *testing.T) {
	for name, room := range map[string]bool{"all is on its way": true, "the end has to wait": false} {
		t.Run(name, func(t *testing.T) {
			inFramedPairOver(t, resettable, func(t *testing.T, _ *framedLeg, _ net.Conn, s *splicing) {
				total := s.fill()
				frames, got := &chunkFraming{}, 0
				read := func() error {
					buf := make([]byte, 1<<10)
					n, err := s.client.Read(buf)
					require.NoError(t, err)
					n, _, err = frames.Strip(buf[:n])
					got += n
					return err
				}
				if room { // for the end
					for got < total/8 {
						require.NoError(t, read())
					}
				}
				s.host.Close()
				time.Sleep(10 * time.Second)
				for read() == nil {
				}
				require.Equal(t, total, got)
				s.client.Close()
				require.Equal(t, reachback.CodeClosed, (<-s.result).Code)
			})
		})
	}
}

// resettable is simulated with a near end that is reset when it is closed, where that
// was asked for.
func resettable() (near, far net.Conn) {
	a, b := simnet.Pipe("relay:443", "peer:1")
	return &lingering{Conn: a}, b
}

type lingering struct {
	*simnet.Conn
	reset atomic.Bool
}

func (c *lingering) SetLinger(sec int) error {
	c.reset.Store(sec == 0)
	return nil
}

func (c *lingering) Close() error {
	if c.reset.Load() {
		c.Cut()
	}
	return c.Conn.Close()
}

// A host that hears of a kill too may be the first to end the session. The client is
// told of the kill all the same.
func TestFramedLegHearsOfAKillFromAHostThatLeaves(t *testing.T) {
	inFramed(t, func(t *testing.T, w *world, client *tls.Conn, host *Leg) {
		w.kills <- Kill{Session: w.reported(EventJoined)[0].Session}
		synctest.Wait()
		host.Close()
		got, err := io.ReadAll(client)
		require.NoError(t, err)
		require.Equal(t, "\x00killed", string(got))
		client.Close()
	})
}

// Of many kills at once none waits for another's client, and Close for all at once.
func TestKillsDoNotWaitForEachOther(t *testing.T) {
	const pairs = 8
	for name, kill := range map[string]func(w *world){
		"hosts": func(w *world) {
			for i := range pairs {
				w.kills <- Kill{Host: fmt.Sprint("host-", i)}
			}
		},
		"sessions": func(w *world) {
			for i := range pairs {
				w.kills <- Kill{Session: fmt.Sprint("session-", i)}
			}
		},
		"all": func(w *world) { w.relay.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.server.Handler = w.framedDoor()
				var hosts sync.WaitGroup
				for i := range pairs {
					id := fmt.Sprint("host-", i)
					w.decide = func(_ context.Context, c *Call) (*Permit, error) {
						w.summons <- c
						return &Permit{Session: fmt.Sprint("session-", i), Host: id}, nil
					}
					w.callDoor()
					host := must(t, w.answer(<-w.summons, w.host(id)))
					synctest.Wait()
					hosts.Go(func() { host.Write(make([]byte, 8<<20)) }) // that the client does not take
				}
				synctest.Wait()
				require.Equal(t, pairs, w.relay.Stats().Joined)
				began := time.Now()
				kill(w)
				hosts.Wait()
				for w.relay.Stats().Joined > 0 {
					time.Sleep(10 * time.Millisecond)
				}
				require.LessOrEqual(t, time.Since(began), 2*time.Second)
			})
		})
	}
}

// A client that takes nothing holds nobody whose host is lost.
func TestAStuckClientIsNotWaitedFor(t *testing.T) {
	inFramedPair(t, func(t *testing.T, leg *framedLeg, _ net.Conn, s *splicing) {
		if _, ok := leg.NetConn().(*wire); !ok {
			t.Skip("crypto/tls takes what is lost for an end")
		}
		s.fill()
		began := time.Now()
		s.host.wire.Close()
		require.Equal(t, reachback.CodeHostLost, (<-s.result).Code)
		require.LessOrEqual(t, time.Since(began), 2*goodbye)
	})
}
