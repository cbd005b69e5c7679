package session

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

func TestPeersFaultsEndTheSessionWithACode(t *testing.T) {
	const limit = 4 << 20
	hello := appendHello(nil, 0, 100)
	data := func(offset uint64, n int, fin bool) []byte {
		return append(appendData(nil, offset, n, fin), make([]byte, n)...)
	}
	for _, tt := range []struct {
		name string
		code reachback.Code
		send [][]byte
	}{
		{"data before hello", reachback.CodeProtocolError, [][]byte{data(0, 1, false)}},
		{"extension before hello", reachback.CodeProtocolError, [][]byte{appendHeader(nil, 0x80, 0)}},
		{"version 0", reachback.CodeVersionUnsupported, [][]byte{{0x01, 0, 0, 0, 14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}},
		{"second hello", reachback.CodeProtocolError, [][]byte{hello, hello}},
		{"type 0", reachback.CodeProtocolError, [][]byte{hello, appendHeader(nil, 0, 0)}},
		{"type of a later version", reachback.CodeProtocolError, [][]byte{hello, appendHeader(nil, 0x07, 0)}},
		{"last type that is not skipped", reachback.CodeProtocolError, [][]byte{hello, appendHeader(nil, 0x7f, 0)}},
		{"unknown flag", reachback.CodeProtocolError, [][]byte{hello, {0x02, 0, 0, 0, 9, 2, 0, 0, 0, 0, 0, 0, 0, 0}}},
		{"hole", reachback.CodeProtocolError, [][]byte{hello, data(1, 1, false)}},
		{"data beyond the window", reachback.CodeWindowExceeded, [][]byte{hello, data(limit, 1, false)}},
		{"data around the end of numbers", reachback.CodeWindowExceeded, [][]byte{hello, data(1<<64-1, 2, false)}},
		{"data behind fin", reachback.CodeProtocolError, [][]byte{hello, data(0, 1, true), data(1, 1, false)}},
		{"second fin elsewhere", reachback.CodeProtocolError, [][]byte{hello, data(0, 2, true), data(0, 1, true)}},
		{"fin below what was taken", reachback.CodeProtocolError, [][]byte{hello, data(0, 2, false), data(0, 1, true)}},
		{"ack of what was not sent", reachback.CodeProtocolError, [][]byte{hello, appendAck(nil, 1, 100)}},
		{"reset with a strange code", reachback.CodeProtocolError, [][]byte{hello, append(appendHeader(nil, frameReset, 2), "a\n"...)}},
	} {
		t.Run(tt.name, func(t *testing.T) { requireEndsWith(t, tt.code, tt.send...) })
	}
}

func TestHarmlessFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := openPeer(t, 100, Config{})
		p.send(append(appendHeader(nil, 0x80, 65536), make([]byte, 65536)...), appendHeader(nil, 0xff, 0))
		p.data(0, "hel", false)
		p.data(0, "he", false)   // again
		p.data(1, "ello", false) // overlapping
		p.data(5, "", false)     // nothing
		p.data(3, "lo", true)    // with FIN
		p.data(5, "", true)      // FIN again
		p.send(appendAck(nil, 0, 100), appendAck(nil, 0, 50), appendProbe(nil, framePong, 77))
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		require.Equal(t, "hello", string(got))
		n, err := s.Write(make([]byte, 80))
		require.NoError(t, err, "a limit does not go back")
		require.Equal(t, 80, n)
		p.send(appendReset(nil, reachback.CodeClosed))
		p.path.CloseWrite()
		require.NoError(t, s.Close())
	})
}

func TestLossOfThePathEndsBothEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pa, pb := paths()
		a, b := open(t, pa, pb, Config{CorrelationID: "c-1"}, Config{})
		synctest.Wait() // or the first PONG could take the acknowledgement along
		_, err := a.Write([]byte("taken before"))
		require.NoError(t, err)
		synctest.Wait()
		start := time.Now()
		blocked := make(chan error)
		go func() {
			_, err := a.Read(make([]byte, 1))
			blocked <- err
		}()
		pa.Cut()
		err = <-blocked
		requireCode(t, reachback.CodePathLost, err)
		require.Equal(t, "c-1", reachback.AsError(err).CorrelationID)
		_, err = a.Write([]byte("x"))
		requireCode(t, reachback.CodePathLost, err)

		got, err := io.ReadAll(b)
		requireCode(t, reachback.CodePathLost, err)
		require.Equal(t, "taken before", string(got))
		_, err = b.Write([]byte("x"))
		requireCode(t, reachback.CodePathLost, err)
		<-a.Done()
		<-b.Done()
		require.Equal(t, start, time.Now())
		requireCode(t, reachback.CodePathLost, a.Close()) // what it wrote was not acknowledged yet
		require.NoError(t, b.Close())
	})
}

func TestEndOfThePathWithoutAWordIsALoss(t *testing.T) {
	frames := bytes.Join([][]byte{
		appendHello(nil, 0, 100), appendProbe(nil, framePing, 1), appendAck(nil, 0, 200),
		append(appendData(nil, 0, 5, true), "hello"...),
	}, nil)
	for n := range len(frames) {
		synctest.Test(t, func(t *testing.T) {
			a, b := paths()
			_, err := b.Write(frames[:n])
			require.NoError(t, err)
			b.CloseWrite()
			s, err := Open(t.Context(), a, Config{})
			if err == nil {
				_, err = io.ReadAll(s)
			}
			requireCode(t, reachback.CodePathLost, err)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			b.Close()
		})
	}
}

// The bytes that TCP or a gateway cut are those behind what was taken: EOF comes
// only where FIN and everything before it was taken.
func TestG7_EOFComesAfterTheLastByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := openPeer(t, 100, Config{})
		p.data(0, "all but ", false)
		p.data(8, "the end", true)
		synctest.Wait()
		p.path.Cut()
		<-s.Done()
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		require.Equal(t, "all but the end", string(got))
		_, err = s.Write([]byte("x"))
		requireCode(t, reachback.CodePathLost, err)
	})
}

// The peer takes everything, and its acknowledgement is lost with the path.
func TestG7_CloseWithALostAcknowledgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := openPeer(t, 100, Config{})
		_, err := s.Write([]byte("bye"))
		require.NoError(t, err)
		synctest.Wait()
		closed := make(chan error)
		go func() { closed <- s.Close() }()
		p.want(frame{typ: frameData, data: []byte("bye")})
		p.want(frame{typ: frameData, offset: 3, fin: true, data: []byte{}})
		p.path.Cut()
		requireCode(t, reachback.CodePathLost, <-closed)
		requireCode(t, reachback.CodePathLost, s.Err())
	})
	// The path dies unnoticed with bytes and FIN on it.
	synctest.Test(t, func(t *testing.T) {
		pa, pb := paths()
		a, b := open(t, pa, pb, Config{}, Config{})
		_, err := a.Write([]byte("bye"))
		require.NoError(t, err)
		synctest.Wait()
		pa.Freeze()
		requireCode(t, reachback.CodePathLost, a.Close())
		requireCode(t, reachback.CodePathLost, a.Err())
		got, err := io.ReadAll(b)
		requireCode(t, reachback.CodePathLost, err)
		require.Equal(t, "bye", string(got))
	})
}

func TestCloseDeliversEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t)
		want := bytes.Repeat([]byte("0123456789"), 300_000)
		go b.Write(bytes.Repeat([]byte("x"), 10<<20)) // nobody reads it, and it is in nobody's way
		_, err := a.Write(want)
		require.NoError(t, err)
		require.NoError(t, a.Close())
		requireCode(t, reachback.CodeClosed, a.Err())
		_, err = b.Write([]byte("x"))
		requireCode(t, reachback.CodeClosed, err)
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))
		require.NoError(t, b.Close())
		require.NoError(t, a.Close(), "again")
		for _, s := range []*Session{a, b} {
			_, err = s.Read(make([]byte, 1))
			require.ErrorIs(t, err, net.ErrClosed)
			_, err = s.Write(make([]byte, 1))
			require.ErrorIs(t, err, net.ErrClosed)
			require.ErrorIs(t, s.CloseWrite(), net.ErrClosed)
			require.ErrorIs(t, s.SetDeadline(time.Time{}), net.ErrClosed)
		}
	})
}

func TestBothClose(t *testing.T) {
	for _, tt := range []struct {
		name  string
		first func(a, b *Session)
	}{
		{"at once", func(a, b *Session) {}},
		{"with bytes in flight", func(a, b *Session) { a.Write([]byte("x")); b.Write([]byte("y")) }},
		{"after both halves", func(a, b *Session) { a.CloseWrite(); b.CloseWrite(); synctest.Wait() }},
		{"after one half", func(a, b *Session) { a.CloseWrite() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := pair(t)
				start := time.Now()
				tt.first(a, b)
				other := make(chan error)
				go func() { other <- b.Close() }()
				require.NoError(t, a.Close())
				require.NoError(t, <-other)
				requireCode(t, reachback.CodeClosed, a.Err())
				requireCode(t, reachback.CodeClosed, b.Err())
				require.Equal(t, start, time.Now())
			})
		})
	}
}

func TestLossAfterBothEndsIsRegular(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pa, pb := paths()
		a, b := open(t, pa, pb, Config{}, Config{})
		require.NoError(t, a.CloseWrite())
		require.NoError(t, b.CloseWrite())
		synctest.Wait()
		pa.Cut()
		<-a.Done()
		<-b.Done()
		requireCode(t, reachback.CodeClosed, a.Err())
		requireCode(t, reachback.CodeClosed, b.Err())
	})
}

func TestCloseGivesUpASilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := openPeer(t, 100, Config{})
		_, err := s.Write([]byte("bye"))
		require.NoError(t, err)
		synctest.Wait()
		start := time.Now()
		requireCode(t, reachback.CodePathLost, s.Close())
		require.Equal(t, closeTimeout+lingerTimeout, time.Since(start))
		p.want(frame{typ: frameData, data: []byte("bye")})
		p.want(frame{typ: frameData, offset: 3, fin: true, data: []byte{}})
		p.want(frame{typ: frameReset, code: reachback.CodeClosed})
		p.want(frame{})
	})
}

func TestCodeEndsBothEnds(t *testing.T) {
	for _, code := range []reachback.Code{reachback.CodeKilled, "code_of_a_later_version"} {
		synctest.Test(t, func(t *testing.T) {
			a, b := pair(t)
			_, err := a.Write([]byte("not read yet"))
			require.NoError(t, err)
			synctest.Wait()
			require.NoError(t, a.CloseWithCode(code))
			_, err = b.Read(make([]byte, 100))
			requireCode(t, code, err)
			_, err = b.Write([]byte("x"))
			requireCode(t, code, err)
			requireCode(t, code, a.Err())
			requireCode(t, code, b.Err())
			_, err = a.Read(make([]byte, 1))
			require.ErrorIs(t, err, net.ErrClosed)
			require.NoError(t, b.Close())
			require.NoError(t, a.Close())
		})
	}
}

func TestCodesThatNoFrameCanCarryAreNotSent(t *testing.T) {
	for _, code := range []reachback.Code{"", "Not a code", reachback.Code(strings.Repeat("x", 65))} {
		synctest.Test(t, func(t *testing.T) {
			a, b := pair(t)
			require.NoError(t, a.CloseWithCode(code))
			<-b.Done()
			requireCode(t, reachback.CodeInternal, b.Err())
		})
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := paths()
		cause := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Second, cause)
		defer cancel()
		start := time.Now()
		s, err := Open(ctx, a, Config{})
		require.Nil(t, s)
		require.ErrorIs(t, err, cause)
		require.Equal(t, 3*time.Second, time.Since(start))
		b.Close()
	})
}

func TestRefusalIsTheFirstFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := paths()
		go Refuse(b, reachback.CodeClientKeyMismatch)
		s, err := Open(t.Context(), a, Config{CorrelationID: "c-2"})
		requireCode(t, reachback.CodeClientKeyMismatch, err)
		require.Equal(t, "c-2", reachback.AsError(err).CorrelationID)
		require.Nil(t, s)
	})
}

func TestWriteThatTimedOutHarmsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t)
		defer b.Close()
		defer a.Close()
		a.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := a.Write(make([]byte, 10<<20))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		var ne net.Error
		require.ErrorAs(t, err, &ne)
		require.True(t, ne.Timeout())
		require.Equal(t, 4<<20, n)
		a.SetWriteDeadline(time.Time{})
		go func() {
			a.Write([]byte("end"))
			a.CloseWrite()
		}()
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Len(t, got, n+3)
	})
}
