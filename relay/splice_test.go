package relay

import (
	"bytes"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/simnet"
)

func TestSpliceCarriesTheEndOfEachDirection(t *testing.T) {
	for _, tt := range []struct {
		name        string
		first, then func(s *splicing) *peer
	}{
		{"client first", (*splicing).clientEnd, (*splicing).hostEnd},
		{"host first", (*splicing).hostEnd, (*splicing).clientEnd},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inSplice(t, func(t *testing.T, _ legKind, s *splicing) {
				first, then := tt.first(s), tt.then(s)
				io.WriteString(first, "question")
				require.NoError(t, first.CloseWrite())
				got, err := io.ReadAll(then)
				require.NoError(t, err)
				require.Equal(t, "question", string(got))

				time.Sleep(time.Hour) // a direction that has ended does not end the other
				io.WriteString(then, "a long answer")
				require.NoError(t, then.CloseWrite())
				got, err = io.ReadAll(first)
				require.NoError(t, err)
				require.Equal(t, "a long answer", string(got))

				r := <-s.result
				require.Equal(t, reachback.CodeClosed, r.Code)
				require.NoError(t, r.Err)
				require.Equal(t, int64(len("questiona long answer")), r.ToHost+r.ToClient)
				require.Equal(t, r.ToHost, s.up.Load())
				require.Equal(t, r.ToClient, s.down.Load())
			})
		})
	}
}

func TestSpliceCutsBothWhenOneBreaks(t *testing.T) {
	reset := func(p *peer) { p.wire.Conn.(*simnet.Conn).Cut() }
	// A process that is killed leaves this behind: its kernel closes in order.
	bareEnd := func(p *peer) { p.wire.Conn.Close() }
	for _, tt := range []struct {
		name  string
		kinds []legKind
		do    func(p *peer)
		whose func(s *splicing) (broken, other *peer)
		want  reachback.Code
	}{
		{"client reset", legKinds, reset, func(s *splicing) (*peer, *peer) { return s.client, s.host }, reachback.CodeClientLost},
		{"host reset", legKinds, reset, func(s *splicing) (*peer, *peer) { return s.host, s.client }, reachback.CodeHostLost},
		{"client killed", []legKind{recordLegs, wiredLegs}, bareEnd, func(s *splicing) (*peer, *peer) { return s.client, s.host }, reachback.CodeClientLost},
		{"host killed", []legKind{recordLegs, wiredLegs}, bareEnd, func(s *splicing) (*peer, *peer) { return s.host, s.client }, reachback.CodeHostLost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, k := range tt.kinds {
				t.Run(k.name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := startSplice(t, k, simulated)
						requireCarries(t, s.client, s.host, "hello")
						broken, other := tt.whose(s)
						tt.do(broken)
						r := <-s.result
						require.Equal(t, tt.want, r.Code)
						require.Error(t, r.Err)
						if k.name != bareLegs.name {
							_, err := other.Read(make([]byte, 1))
							require.ErrorIs(t, err, errBareEnd, "a cut must not look like an end")
						}
					})
				})
			}
		})
	}
}

func TestSpliceEndsWhenCutFromOutside(t *testing.T) {
	for _, k := range legKinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := simulated()
				cl, client := k.make(t, near, far)
				near, far = simulated()
				hl, host := k.make(t, near, far)
				done := make(chan spliceResult, 1)
				go func() { done <- k.splice(t, cl, hl, spliceOptions{WriteTimeout: spliceTimeout}) }()
				requireCarries(t, client, host, "hello")
				synctest.Wait()
				cut(cl, reachback.CodeKilled)
				cut(hl, reachback.CodeKilled)
				require.NotEqual(t, reachback.CodeClosed, (<-done).Code)
			})
		})
	}
}

// A user closes the window of a session while the host still draws.
func TestSpliceOfAClientThatSaysGoodbyeAndLeaves(t *testing.T) {
	inSplice(t, func(t *testing.T, _ legKind, s *splicing) {
		var drawing sync.WaitGroup
		drawing.Go(func() {
			for {
				if _, err := s.host.Write(make([]byte, 10_000)); err != nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		})
		io.ReadFull(s.client, make([]byte, 100_000))
		s.client.Close()
		require.Equal(t, reachback.CodeClosed, (<-s.result).Code)
		drawing.Wait()
	})
}

func TestD6_ReaderThatStopsIsCut(t *testing.T) {
	for _, k := range legKinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := startSplice(t, k, simulated)
				start := time.Now()
				n, err := io.Copy(s.host, endless{})
				require.Error(t, err)
				require.Less(t, n, int64(4*simnet.BufferSize), "the writer is held back, and the rest is not stored")
				r := <-s.result
				require.Equal(t, reachback.CodeStalled, r.Code)
				took := time.Since(start)
				require.GreaterOrEqual(t, took, spliceTimeout)
				require.LessOrEqual(t, took, spliceTimeout+spliceTimeout/stallSteps)
			})
		})
	}
}

func TestSpliceLetsASlowReaderBe(t *testing.T) {
	for _, k := range []legKind{recordLegs, wiredLegs} {
		t.Run(k.name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { letsASlowReaderBe(t, k) }) })
	}
}

func letsASlowReaderBe(t *testing.T, k legKind) {
	s := startSplice(t, k, simulated)
	var writing sync.WaitGroup
	writing.Go(func() { io.Copy(s.host, endless{}) })
	for range 60 { // 17 bytes a second: one record takes longer than the timeout
		time.Sleep(time.Minute)
		_, err := io.ReadFull(s.client.wire.Conn, make([]byte, 1000))
		require.NoError(t, err)
	}
	s.client.wire.Close()
	require.Equal(t, reachback.CodeClientLost, (<-s.result).Code)
	writing.Wait()
}

// Nothing is kept back to be sent with more.
func TestSpliceForwardsAtOnce(t *testing.T) {
	inSplice(t, func(t *testing.T, _ legKind, s *splicing) {
		start := time.Now()
		for _, n := range []int{1, 2, 511, 512, 513, 5000, 16 << 10, 16<<10 + 1, 40_000, 1} {
			for _, way := range [][2]*peer{{s.client, s.host}, {s.host, s.client}} {
				sent := bytes.Repeat([]byte{byte(n)}, n)
				_, err := way[0].Write(sent)
				require.NoError(t, err)
				got := make([]byte, n)
				_, err = io.ReadFull(way[1], got)
				require.NoError(t, err)
				require.Equal(t, sent, got)
			}
		}
		require.Zero(t, time.Since(start))
	})
}

// exchange sends random chunks of seeds' bytes both ways at once, and compares the
// hashes at the other ends.
func exchange(t *testing.T, s *splicing, size int64, maxChunk int) {
	var all sync.WaitGroup
	for i, way := range [][2]*peer{{s.client, s.host}, {s.host, s.client}} {
		sent, got := sha256.New(), sha256.New()
		var wrote, read sync.WaitGroup
		wrote.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			block := make([]byte, maxChunk)
			for j := range block {
				block[j] = byte(rnd.Uint32())
			}
			for left := size; left > 0; {
				n := min(left, 1+rnd.Int64N(int64(maxChunk)))
				block[rnd.IntN(maxChunk)]++
				sent.Write(block[:n])
				if _, err := way[0].Write(block[:n]); err != nil {
					t.Error(err)
					return
				}
				left -= n
			}
			way[0].CloseWrite()
		})
		read.Go(func() {
			if _, err := io.Copy(got, way[1]); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			wrote.Wait()
			read.Wait()
			if !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
				t.Error("other bytes came out than went in")
			}
		})
	}
	all.Wait()
	r := <-s.result
	require.Equal(t, reachback.CodeClosed, r.Code)
	require.Equal(t, [2]int64{size, size}, [2]int64{r.ToHost, r.ToClient})
}

func TestSpliceKeepsRandomChunks(t *testing.T) {
	inSplice(t, func(t *testing.T, _ legKind, s *splicing) { exchange(t, s, 4<<20, 50_000) })
}

func TestSpliceOnSockets(t *testing.T) {
	for _, k := range legKinds {
		t.Run(k.name, func(t *testing.T) {
			for _, tt := range []struct {
				name  string
				chunk int
				size  int64
			}{{"small chunks", 100, 200_000}, {"any chunks", 50_000, 16 << 20}} {
				t.Run(tt.name, func(t *testing.T) { exchange(t, startSplice(t, k, loopback(t)), tt.size, tt.chunk) })
			}
		})
	}
}

func TestSpliceCarriesAGibibyteEachWay(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds of both processors")
	}
	exchange(t, startSplice(t, recordLegs, loopback(t)), 1<<30, 300_000)
}

func TestSpliceOnSocketsNoticesAKilledPeer(t *testing.T) {
	s := startSplice(t, recordLegs, loopback(t))
	requireCarries(t, s.client, s.host, "hello")
	s.host.wire.Close()
	require.Equal(t, reachback.CodeHostLost, (<-s.result).Code)
	_, err := s.client.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, io.EOF)
}
