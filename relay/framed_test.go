package relay

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/framing"
	"github.com/reachback/reachback/internal/token"
)

// chunkFraming puts a length of two bytes in front of each piece, of one where that is
// enough: 1 to 127, or its high byte with the first bit set and its low byte. Length 0
// is the end, and 0x80 0x00 asks for 'P' in answer.
type chunkFraming struct {
	header []byte
	left   int
}

func (f *chunkFraming) Room() int     { return 2 }
func (f *chunkFraming) MaxPiece() int { return 16<<10 - 2 }

func (f *chunkFraming) Wrap(b []byte, n int) int {
	if n < 128 {
		b[1] = byte(n)
		return 1
	}
	b[0], b[1] = 0x80|byte(n>>8), byte(n)
	return 0
}

func (f *chunkFraming) Strip(p []byte) (n int, answer []byte, err error) {
	for _, b := range p {
		switch {
		case f.left > 0:
			p[n] = b
			n, f.left = n+1, f.left-1
		case len(f.header) == 1:
			if f.left = int(f.header[0]&0x7F)<<8 | int(b); f.left == 0 {
				answer = append(answer, 1, 'P')
			}
			f.header = nil
		case b&0x80 != 0:
			f.header = []byte{b}
		case b == 0:
			return n, answer, io.EOF
		default:
			f.left = int(b)
		}
	}
	return n, answer, nil
}

func (f *chunkFraming) Ready() []byte                                   { return []byte("ready") }
func (f *chunkFraming) Refusal(e *reachback.Error) []byte               { return []byte("refused " + e.Code) }
func (f *chunkFraming) End(c reachback.Code) []byte                     { return append([]byte{0}, c...) }
func (f *chunkFraming) KeepAlive() (packet []byte, every time.Duration) { return nil, 0 }

// greeting is not as long as a key update.
const greeting = "welcome"

// framedDoor lets a client call with a line that holds its token. Something is sent to
// it before, as front doors do.
func (w *world) framedDoor() http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/door" {
			w.relay.ServeHTTP(rw, r)
			return
		}
		c, err := carrier.Hijack(rw)
		if err != nil {
			return
		}
		for range 20 {
			io.WriteString(c, greeting)
		}
		p, err := w.relay.Open(w.t.Context(), &Call{Token: r.Header.Get("Token"), Remote: carrier.Remote(r), Raw: true})
		if err != nil {
			c.Close()
			return
		}
		p.Splice(&framing.Conn{Conn: c, Framing: &chunkFraming{}, Early: []byte("early ")})
	})
}

func (w *world) callDoor() *tls.Conn { return w.callDoorWith(func(*tls.Config) {}) }

// callDoorWith asks for other things first, on the same connection.
func (w *world) callDoorWith(edit func(c *tls.Config), first ...string) *tls.Conn {
	w.t.Helper()
	nc, err := w.net.Dial(w.t.Context(), "tcp", "gw.example:443")
	require.NoError(w.t, err)
	cfg := &tls.Config{RootCAs: w.roots, ServerName: "gw.example", MaxVersion: w.version}
	edit(cfg)
	c := tls.Client(nc, cfg)
	w.t.Cleanup(func() { nc.Close() })
	for _, path := range first {
		_, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: gw.example\r\n\r\n")
		require.NoError(w.t, err)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(w.t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(w.t, err)
	}
	tok := w.token("alice", func(t *token.Connection) { t.ClientKey = [32]byte{} })
	_, err = io.WriteString(c, "GET /door HTTP/1.1\r\nHost: gw.example\r\nToken: "+tok+"\r\n\r\n")
	require.NoError(w.t, err)
	got := make([]byte, 20*len(greeting))
	_, err = io.ReadFull(c, got)
	require.NoError(w.t, err)
	return c
}

// inFramed runs f with a joined pair, with records of the relay's and without.
func inFramed(t *testing.T, f func(t *testing.T, w *world, client *tls.Conn, host *Leg)) {
	for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.version = version
				w.server.Handler = w.framedDoor()
				client := w.callDoor()
				host := must(t, w.answer(<-w.summons, w.host("host-1")))
				got := make([]byte, len("ready"))
				_, err := io.ReadFull(client, got)
				require.NoError(t, err)
				require.Equal(t, "ready", string(got))
				got = make([]byte, len("early "))
				_, err = io.ReadFull(host, got)
				require.NoError(t, err)
				require.Equal(t, "early ", string(got))
				w.requireTakenOver(version == tls.VersionTLS13)
				f(t, w, client, host)
			})
		})
	}
}

// requireTakenOver requires of the one pair that there is that the client's records
// are the relay's, or are not.
func (w *world) requireTakenOver(want bool) {
	w.t.Helper()
	synctest.Wait() // it follows on Ready
	var got []bool
	w.relay.mu.Lock()
	for j := range w.relay.joined {
		got = append(got, j.client.(*framedLeg).records != nil)
	}
	w.relay.mu.Unlock()
	require.Equal(w.t, []bool{want}, got)
}

// TestFramedLegCarries sends much, in writes of all sizes, and asks for answers on the
// way.
func TestFramedLegCarries(t *testing.T) {
	const total = 3 << 20
	inFramed(t, func(t *testing.T, w *world, client *tls.Conn, host *Leg) {
		want := make([]byte, total)
		random := rand.NewChaCha8([32]byte{1})
		random.Read(want)
		r := rand.New(random)
		sizes := func(most int) (s []int) {
			for left := total; left > 0; {
				n := min(left, 1+r.IntN(most))
				if r.IntN(4) == 0 {
					n = min(left, 1+r.IntN(200))
				}
				s, left = append(s, n), left-n
			}
			return s
		}
		down, up := sizes(100_000), sizes(0x7FFF)
		go func() { // ends with the host's leg
			at := 0
			for _, n := range down {
				host.Write(want[at : at+n])
				at += n
			}
		}()
		go func() {
			at := 0
			for _, n := range up {
				client.Write(append([]byte{0x80 | byte(n>>8), byte(n)}, want[at:at+n]...))
				at += n
			}
			client.Write([]byte{0x80, 0, 0x80, 0})
		}()
		done := make(chan []byte)
		go func() {
			got := make([]byte, total)
			io.ReadFull(host, got)
			done <- got
		}()
		frames := &chunkFraming{}
		var got []byte
		for buf := make([]byte, 20_000); len(got) < total+2; {
			n, err := client.Read(buf)
			require.NoError(t, err)
			n, _, err = frames.Strip(buf[:n])
			require.NoError(t, err)
			got = append(got, buf[:n]...)
		}
		require.True(t, bytes.Equal(want, <-done), "up")
		// The answers are pieces of their own, anywhere between the others.
		require.Len(t, got, total+2)
		require.True(t, isWith(got, want, 'P', 2), "down")
	})
}

// A client that would take a session ticket gets none: it would be a record that the
// relay does not know of.
func TestFramedLegOfAClientThatResumes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.server.Handler = w.framedDoor()
		cache := tls.NewLRUClientSessionCache(1)
		for range 2 {
			client := w.callDoorWith(func(c *tls.Config) { c.ClientSessionCache = cache })
			require.False(t, client.ConnectionState().DidResume)
			host := must(t, w.answer(<-w.summons, w.host("host-1")))
			got := make([]byte, len("ready"))
			_, err := io.ReadFull(client, got)
			require.NoError(t, err)
			w.requireTakenOver(true)
			io.WriteString(host, "yes")
			got = make([]byte, 4)
			_, err = io.ReadFull(client, got)
			require.NoError(t, err)
			require.Equal(t, "\x03yes", string(got))
			host.Close()
			io.ReadAll(client)
			client.Close()
			synctest.Wait()
		}
	})
}

// isWith reports whether got is want with that many more of b in it.
func isWith(got, want []byte, b byte, more int) bool {
	i := 0
	for _, x := range got {
		if i < len(want) && x == want[i] {
			i++
		} else if x != b {
			return false
		} else {
			more--
		}
	}
	return i == len(want) && more == 0
}

func TestFramedLegHearsWhy(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(w *world, host *Leg)
		want string
	}{
		"regular":    {func(_ *world, host *Leg) { host.Close() }, "\x00closed"},
		"lost":       {func(_ *world, host *Leg) { host.Abort() }, "\x00host_lost"},
		"killed":     {func(w *world, _ *Leg) { w.kills <- Kill{Host: "host-1", Code: reachback.CodeKilled} }, "\x00killed"},
		"going down": {func(w *world, _ *Leg) { go w.relay.Close() }, "\x00draining"},
	} {
		t.Run(name, func(t *testing.T) {
			inFramed(t, func(t *testing.T, w *world, client *tls.Conn, host *Leg) {
				c.end(w, host)
				got, err := io.ReadAll(client)
				require.NoError(t, err)
				require.Equal(t, c.want, string(got))
				client.Close()
				synctest.Wait()
				require.Zero(t, w.relay.Stats().Joined)
			})
		})
	}
}
