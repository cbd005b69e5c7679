package session

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := openPeer(t, 100, Config{})
		start := time.Now()
		for range 2 { // the first was sent with HELLO
			require.Equal(t, framePing, p.next().typ)
		}
		require.Equal(t, 20*time.Second, time.Since(start))
		_, err := s.Read(make([]byte, 1))
		require.Equal(t, 25*time.Second, time.Since(start))
		requireCode(t, reachback.CodePathLost, err)
		require.ErrorIs(t, err, reachback.Refuse(reachback.CodeHeartbeatLost))
		p.want(frame{})
	})
}

func TestFrozenPathIsDeadAfter25s(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pa, pb := paths()
		a, b := open(t, pa, pb, Config{}, Config{})
		time.Sleep(time.Hour) // heartbeats keep it alive
		require.NoError(t, a.Err())
		require.NoError(t, b.Err())
		start := time.Now()
		pa.Freeze()
		<-a.Done()
		<-b.Done()
		require.LessOrEqual(t, time.Since(start), 25*time.Second)
		require.Greater(t, time.Since(start), 14*time.Second)
		requireCode(t, reachback.CodePathLost, a.Err())
		requireCode(t, reachback.CodePathLost, b.Err())
	})
}

func TestRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := openPeer(t, 100, Config{})
		defer p.path.Close()
		ping := p.next()
		time.Sleep(30 * time.Millisecond)
		p.send(appendProbe(nil, framePong, ping.probe))
		p.send(appendProbe(nil, framePong, ping.probe)) // again, and of another
		p.send(appendProbe(nil, framePong, 12345))
		synctest.Wait()
		require.Equal(t, 30*time.Millisecond, s.Stats().RoundTrip)
	})
}

// A thousand PINGs of a peer that does not read are one PONG: what the reader has
// to answer does not grow.
func TestOnePONGIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := openPeer(t, 10<<20, Config{})
		defer p.path.Close()
		_, err := s.Write(make([]byte, 1<<20)) // fills the path
		require.NoError(t, err)
		synctest.Wait()
		for i := range uint64(1000) {
			p.send(appendProbe(nil, framePing, i))
		}
		synctest.Wait()
		pongs, bytes := 0, 0
		for bytes < 1<<20 {
			switch f := p.next(); f.typ {
			case framePong:
				pongs++
				require.Equal(t, uint64(999), f.probe)
			case frameData:
				bytes += len(f.data)
			}
		}
		require.Equal(t, 1, pongs)
	})
}

func TestAcknowledgements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const window = 1 << 20
		s, p := openPeer(t, 100, Config{Window: window})
		defer p.path.Close()
		start := time.Now()

		// A little: late, and once.
		p.data(0, "a", false)
		p.data(1, "b", false)
		p.silent()
		p.want(frame{typ: frameAck, offset: 2, limit: window})
		require.Equal(t, ackDelay, time.Since(start))

		// With what is sent anyway: at once.
		p.data(2, "c", false)
		synctest.Wait()
		s.Write([]byte("x"))
		p.want(frame{typ: frameAck, offset: 3, limit: window})
		p.want(frame{typ: frameData, data: []byte("x")})

		// Much: every 256 KiB.
		block := string(make([]byte, 64<<10))
		for i := range uint64(4) {
			p.data(3+i*64<<10, block, false)
		}
		p.want(frame{typ: frameAck, offset: 3 + 256<<10, limit: window})

		// Room: an eighth of the window at a time.
		_, err := io.ReadFull(s, make([]byte, window/8+10))
		require.NoError(t, err)
		ack := p.next()
		require.Equal(t, uint64(3+256<<10), ack.offset)
		require.GreaterOrEqual(t, ack.limit, uint64(window+window/8))
		require.Equal(t, ackDelay, time.Since(start))

		// The end: at once.
		p.data(3+256<<10, "", true)
		f := p.next()
		require.Equal(t, uint64(3+256<<10+1), f.offset)
		require.Equal(t, ackDelay, time.Since(start))
	})
}

// The application at one end stops reading. The other end's Write waits, what both
// hold is bounded by the window, the session lives, and nothing is lost.
func TestD6_ReaderThatStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t)
		sum := sha256.New()
		written := make(chan int, 1)
		go func() {
			n := 0
			r := rand.New(rand.NewPCG(1, 1))
			for n < 20<<20 {
				p := make([]byte, 100_000)
				for i := range p {
					p[i] = byte(r.Uint32())
				}
				k, err := a.Write(p)
				if err != nil {
					break
				}
				sum.Write(p[:k])
				n += k
			}
			a.CloseWrite()
			written <- n
		}()
		time.Sleep(10 * time.Minute)
		require.NoError(t, a.Err())
		require.NoError(t, b.Err())
		b.mu.Lock()
		require.Equal(t, 4<<20, b.in.buf.n)
		require.LessOrEqual(t, len(b.in.buf.chunks), 4<<20/chunkSize+1)
		b.mu.Unlock()
		a.mu.Lock()
		require.Zero(t, a.out.buf.n)
		require.Empty(t, a.out.buf.chunks)
		a.mu.Unlock()

		// The other direction is not concerned.
		_, err := b.Write([]byte("hello"))
		require.NoError(t, err)
		_, err = io.ReadFull(a, make([]byte, 5))
		require.NoError(t, err)

		got := sha256.New()
		n, err := io.Copy(got, b)
		require.NoError(t, err)
		require.EqualValues(t, <-written, n)
		require.Equal(t, sum.Sum(nil), got.Sum(nil))
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	})
}

func TestIdleSessionHoldsNoBuffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t)
		for range 3 {
			go a.Write(make([]byte, 1<<20))
			_, err := io.ReadFull(b, make([]byte, 1<<20))
			require.NoError(t, err)
			time.Sleep(time.Second)
			for _, s := range []*Session{a, b} {
				s.mu.Lock()
				require.Empty(t, s.in.buf.chunks)
				require.Empty(t, s.out.buf.chunks)
				s.mu.Unlock()
			}
		}
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	})
}

// Both ends write, read, wait, time out and half-close as it comes. Whatever
// happens, each reads exactly what the other wrote.
func TestStreamsArriveWhole(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			pa, pb := paths()
			windows := [2]int{1 + r.IntN(1<<r.IntN(22)), 1 + r.IntN(1<<r.IntN(22))}
			a, b := open(t, pa, pb, Config{Window: windows[0]}, Config{Window: windows[1]})
			var sent, received [2]hash.Hash
			for i := range 2 {
				sent[i], received[i] = sha256.New(), sha256.New()
			}
			var ends sync.WaitGroup
			for i, s := range []*Session{a, b} {
				amount := min(r.IntN(1<<r.IntN(22)), 1000*windows[1-i]) // the smallest take a round trip for a byte
				wr, rr := rand.New(rand.NewPCG(seed, uint64(10+i))), rand.New(rand.NewPCG(seed, uint64(20+i)))
				ends.Go(func() { writeRandomly(t, s, wr, amount, sent[i]) })
				ends.Go(func() { readRandomly(t, s, rr, received[1-i]) })
			}
			ends.Wait()
			for i := range 2 {
				require.Equal(t, sent[i].Sum(nil), received[i].Sum(nil), "seed %d", seed)
			}
			var closes sync.WaitGroup
			closes.Go(func() { require.NoError(t, a.Close()) })
			closes.Go(func() { require.NoError(t, b.Close()) })
			closes.Wait()
			requireCode(t, reachback.CodeClosed, a.Err())
			requireCode(t, reachback.CodeClosed, b.Err())
		})
	}
}

func writeRandomly(t *testing.T, s net.Conn, r *rand.Rand, amount int, sum hash.Hash) {
	p := make([]byte, 1<<18)
	for amount > 0 {
		q := p[:min(amount, 1+r.IntN(1<<r.IntN(19)))]
		for i := range q {
			q[i] = byte(r.Uint32())
		}
		if r.IntN(4) == 0 {
			s.SetWriteDeadline(time.Now().Add(time.Duration(r.IntN(50)) * time.Millisecond))
		}
		n, err := s.Write(q)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
			return
		}
		sum.Write(q[:n])
		amount -= n
		s.SetWriteDeadline(time.Time{})
		if r.IntN(8) == 0 {
			time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
		}
	}
	if err := s.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Error(err)
	}
}

func readRandomly(t *testing.T, s net.Conn, r *rand.Rand, sum hash.Hash) {
	p := make([]byte, 1<<18)
	for {
		if r.IntN(4) == 0 {
			s.SetReadDeadline(time.Now().Add(time.Duration(r.IntN(50)) * time.Millisecond))
		}
		n, err := s.Read(p[:1+r.IntN(1<<r.IntN(19))])
		sum.Write(p[:n])
		if err == io.EOF {
			return
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
			return
		}
		s.SetReadDeadline(time.Time{})
		if r.IntN(32) == 0 {
			time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
		}
	}
}

// FuzzSession feeds a session with bytes of a peer that may say anything. It must
// not panic, hold more than its window, or stay when the path has ended.
func FuzzSession(f *testing.F) {
	hello := appendHello(nil, 0, 1000)
	f.Add(hello)
	f.Add(append(appendData(hello, 0, 5, true), "hello"...))
	f.Add(appendAck(append(appendData(hello, 0, 2, false), "hi"...), 4, 5000))
	f.Add(appendReset(appendProbe(appendProbe(hello, framePing, 9), framePong, 1), reachback.CodeClosed))
	f.Add(append(appendData(append(appendData(hello, 0, 3, false), "abc"...), 1, 3, false), "bcd"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		synctest.Test(t, func(t *testing.T) {
			const window = 64
			pa, pb := paths()
			go io.Copy(io.Discard, pb)
			go func() {
				pb.Write(b)
				pb.CloseWrite()
			}()
			s, err := Open(t.Context(), pa, Config{Window: window})
			if err == nil {
				s.SetWriteDeadline(time.Now().Add(time.Second))
				s.Write([]byte("ping"))
				<-s.Done()
				s.mu.Lock()
				require.LessOrEqual(t, s.in.buf.n, window)
				require.LessOrEqual(t, len(s.in.buf.chunks), 2)
				s.mu.Unlock()
				_, err := io.Copy(io.Discard, s)
				if err == nil {
					require.True(t, s.in.ended)
				}
				s.Close()
			}
			pb.Close()
		})
	})
}
