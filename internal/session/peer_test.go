package session

import (
	"bufio"
	"encoding/binary"
	"io"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

// A peer is the other end of a session's path, and says what the test wants.
type peer struct {
	t    testing.TB
	path simPath
	br   *bufio.Reader
}

// openPeer returns a session and its peer, after the HELLO of both. It needs a
// synctest bubble.
func openPeer(t testing.TB, limit uint64, cfg Config) (*Session, *peer) {
	t.Helper()
	a, b := paths()
	p := &peer{t, b, bufio.NewReader(b)}
	p.send(appendHello(nil, 0, limit))
	s, err := Open(t.Context(), a, cfg)
	require.NoError(t, err)
	hello := p.next()
	require.Equal(t, frame{typ: frameHello, version: 1, limit: cfg.window()}, hello)
	require.Equal(t, framePing, p.next().typ)
	return s, p
}

func (p *peer) send(b ...[]byte) {
	p.t.Helper()
	for _, b := range b {
		_, err := p.path.Write(b)
		require.NoError(p.t, err)
	}
}

func (p *peer) data(offset uint64, s string, fin bool) {
	p.t.Helper()
	p.send(appendData(nil, offset, len(s), fin), []byte(s))
}

// next returns the next frame; the zero frame when the session has closed the path.
func (p *peer) next() frame {
	p.t.Helper()
	h, err := p.br.Peek(headerLen)
	if err == io.EOF {
		return frame{}
	}
	require.NoError(p.t, err)
	b := make([]byte, headerLen+int(binary.BigEndian.Uint32(h[1:])))
	_, err = io.ReadFull(p.br, b)
	require.NoError(p.t, err)
	f, n, err := parse(b)
	require.NoError(p.t, err)
	require.Equal(p.t, len(b), n)
	return f
}

// want fails unless the next frame, PINGs aside, is f.
func (p *peer) want(f frame) {
	p.t.Helper()
	got := p.next()
	for got.typ == framePing {
		got = p.next()
	}
	require.Equal(p.t, f, got)
}

// silent fails if the session has sent anything that was not read.
func (p *peer) silent() {
	p.t.Helper()
	synctest.Wait()
	require.Zero(p.t, p.br.Buffered())
}

// requireEndsWith sends a session that was not told anything yet the bytes, and
// fails unless it ends with the code and says so.
func requireEndsWith(t testing.TB, want reachback.Code, b ...[]byte) {
	t.Helper()
	run := func(t *testing.T) {
		t.Helper()
		a, other := paths()
		p := &peer{t, other, bufio.NewReader(other)}
		p.send(b...)
		s, err := Open(t.Context(), a, Config{})
		if err == nil {
			synctest.Wait() // until all is taken in: what came before the fault can be read until then
			_, err = s.Read(make([]byte, 1))
		}
		requireCode(t, want, err)
		f := p.next()
		for f.typ != frameReset && f.typ != 0 {
			f = p.next()
		}
		require.Equal(t, frame{typ: frameReset, code: want}, f)
		p.want(frame{})
		other.Close()
		if s != nil {
			<-s.Done()
			require.NoError(t, s.Close())
		}
	}
	synctest.Test(t.(*testing.T), run)
}
