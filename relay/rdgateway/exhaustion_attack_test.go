package rdgateway

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/limit"
	"github.com/reachback/reachback/internal/token"
	"github.com/reachback/reachback/relay"
)

// Tunnels of many addresses of which nothing comes, or a byte every 5 s: each is cut
// at its deadline, they hold little, and a good client is served meanwhile.
func TestD1_TunnelsThatStayHalfOpen(t *testing.T) {
	tunnels := 2_000
	if testing.Short() {
		tunnels = 500
	}
	inWorld(t, func(t *testing.T, w *world) {
		var before, during runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		began := time.Now()
		cut := make(chan time.Duration, tunnels)
		for i := range tunnels {
			w.comeFrom(fmt.Sprintf("192.0.%d.%d:1", i/250, i%250))
			nc := w.dial()
			head, trickle := webSocketRequest("RDG-Connection-Id: "+newConnectionID()), clientFrame(0x82, handshakePacket()[:1])
			switch i % 3 {
			case 1:
				head, trickle = halfRequest(methodOut, newConnectionID(), "Content-Length: 0"), nil
			case 2:
				head, trickle = halfRequest(methodIn, newConnectionID(), "Transfer-Encoding: chunked"), []byte("1\r\nx\r\n")
			}
			_, err := io.WriteString(nc, head)
			require.NoError(t, err)
			go func() {
				io.Copy(io.Discard, nc)
				cut <- time.Since(began)
				nc.Close()
			}()
			if i%2 == 0 && trickle != nil {
				go func() {
					for {
						if _, err := nc.Write(trickle); err != nil {
							return
						}
						time.Sleep(5 * time.Second)
					}
				}()
			}
		}
		synctest.Wait()
		require.Equal(t, tunnels, w.inSetup())
		runtime.GC()
		runtime.ReadMemStats(&during)
		each := int(during.HeapAlloc+during.StackInuse-before.HeapAlloc-before.StackInuse) / tunnels
		t.Logf("%d B for each, the attacker's end included", each)
		require.Less(t, each, 96<<10)

		w.comeFrom("198.51.100.1:1")
		for _, way := range ways {
			answering := w.answering()
			s, no := way.call(w, w.token())
			require.Zero(t, no)
			requireCarries(t, s, <-answering, way.name)
			defer quit(s)
		}
		require.Zero(t, time.Since(began), "in no time but the CPU's")
		for range tunnels {
			require.LessOrEqual(t, <-cut, 31*time.Second)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Zero(t, w.inSetup())
	})
}

// A head that comes byte by byte has one deadline, whichever request it is of; so
// have the two requests of IN on one connection, each its own.
func TestD3_OneDeadlineForAHead(t *testing.T) {
	for name, head := range map[string]string{
		"WebSocket": webSocketRequest("RDG-Connection-Id: {1}"), "OUT": halfRequest(methodOut, "{1}"),
		"IN": halfRequest(methodIn, "{1}", "Transfer-Encoding: chunked"), "bare RDP": rawRequest("Authorization: Bearer " + strings.Repeat("x", 2000)),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				for _, every := range []time.Duration{100 * time.Millisecond, 4 * time.Second} {
					c := w.dial()
					began := time.Now()
					gone := make(chan time.Duration, 1)
					go func() {
						io.Copy(io.Discard, c)
						gone <- time.Since(began)
					}()
					for i := range len(head) {
						if _, err := io.WriteString(c, head[i:i+1]); err != nil {
							break
						}
						time.Sleep(every)
					}
					require.Equal(t, carrier.HeadTimeout, <-gone, "a byte every %v", every)
				}
			})
		})
	}
}

// Lengths that lie, of packets, frames and chunks, in every state: no memory for
// them, and the connection is closed.
func TestD4_LengthsThatLie(t *testing.T) {
	header := func(kind byte, n uint32) []byte { return binary.LittleEndian.AppendUint32([]byte{kind, 0, 0, 0}, n) }
	frame := func(n uint64) []byte {
		b := binary.BigEndian.AppendUint64([]byte{0x82, 0x80 | 127}, n)
		return append(b, 1, 2, 3, 4)
	}
	lies := map[string]func(c *client) []byte{
		"a chunk of 2^64":            func(*client) []byte { return []byte("10000000000000000\r\n") },
		"a chunk of -1":              func(*client) []byte { return []byte("-1\r\n") },
		"a frame of 2^63":            func(*client) []byte { return frame(1 << 63) },
		"a frame of -1":              func(*client) []byte { return frame(1<<64 - 1) },
		"a frame, and a ping of 126": func(*client) []byte { return []byte{0x89, 0x80 | 126, 0, 126, 1, 2, 3, 4} },
	}
	for _, n := range []uint32{0, 7, maxPacket + 1, 1 << 31, 1<<32 - 1} {
		lies[fmt.Sprintf("a packet of %d", n)] = nil
	}
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			for state := range 5 {
				inModes(t, func(t *testing.T, w *world, c *client) {
					if lie != nil && strings.Contains(name, "chunk") == c.ws || !c.ws && strings.Contains(name, "frame") {
						return // of the other transport
					}
					steps := w.steps()
					for _, p := range steps[:min(state, 3)] {
						c.send(p)
						c.expect(int(p[0]) + 1)
					}
					if state == 4 {
						answering := w.answering()
						c.send(steps[3])
						c.opens()
						defer func() {
							_, err := io.Copy(io.Discard, <-answering)
							require.Error(t, err, "the host's leg is cut")
						}()
					}
					synctest.Wait()
					var before, after runtime.MemStats
					runtime.ReadMemStats(&before)
					if lie != nil {
						to := c.out
						if !c.ws {
							to = c.in
						}
						c.write(to, string(lie(c)))
					} else {
						var n uint32
						fmt.Sscanf(name, "a packet of %d", &n)
						kind := byte(state*2 + 1)
						if state > 0 {
							kind = byte(state*2 + 2)
						}
						c.send(header(kind, n))
					}
					began := time.Now()
					c.requireClosed()
					require.LessOrEqual(t, time.Since(began), time.Second)
					runtime.ReadMemStats(&after)
					require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
					c.quit()
					time.Sleep(3 * time.Second)
					requireNothingLeft(t, w)
				})
			}
		})
	}
}

// The longest packet that a set-up may have, never whole: it is not waited for beyond
// the deadline, and a longer one is refused by its header.
func TestD4_APacketThatNeverEnds(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		c.send(handshakePacket())
		c.expect(2)
		c.sendBytes(binary.LittleEndian.AppendUint32([]byte{4, 0, 0, 0}, 32<<10))
		for left := 32<<10 - headerLen - 1; left > 0; {
			n := min(left, 4<<10)
			c.sendBytes(make([]byte, n))
			left -= n
		}
		began := time.Now()
		_, _, err := c.readPacket()
		require.Error(t, err)
		require.InDelta(t, 30, time.Since(began).Seconds(), 1)
		c.quit()
		requireNothingLeft(t, w)
	})
	inModes(t, func(t *testing.T, w *world, c *client) {
		c.send(handshakePacket())
		c.expect(2)
		c.sendBytes(binary.LittleEndian.AppendUint32([]byte{4, 0, 0, 0}, 32<<10+1))
		require.Equal(t, cookieBadPacket, status(t, 5, c.expect(5)))
		c.requireClosed()
	})
}

// A token as long as a cookie can be is refused, and costs no signature.
func TestD4_ATokenOf64KiB(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		c.send(handshakePacket())
		c.expect(2)
		c.send(createPacket(strings.Repeat("A", 32_700)))
		require.Equal(t, cookieBadPacket, status(t, 5, c.expect(5)))
		c.requireClosed()
		c.quit()
		requireNothingLeft(t, w)
		require.NotContains(t, w.logs.String(), "AAAA", "nor is it logged")
	})
	inWorld(t, func(t *testing.T, w *world) {
		c := w.raw("Authorization: Bearer " + strings.Repeat("A", 64<<10))
		require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, c.head().StatusCode)
		c.quit()
		time.Sleep(time.Second) // net/http lingers for the answer to arrive
	})
}

// Tunnels and calls that are opened and dropped at full speed leave nothing, a
// session beside them goes on, and whoever makes wrong ones is refused before
// anything is computed.
func TestD10_OpenAndDropAtFullSpeed(t *testing.T) {
	storm := 2_000
	if testing.Short() {
		storm = 300
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.comeFrom("192.0.2.1:1")
		answering := w.answering()
		good, no := w.callTunnel(true, w.token())
		require.Zero(t, no)
		host := <-answering
		synctest.Wait()
		idle := goroutines()

		w.comeFrom("192.0.2.66:1")
		tok := w.token(func(c *token.Connection) { c.User.Subject = "mallory" })
		for i := range storm {
			c := modes[i%2].dial(w)
			switch i % 6 / 2 {
			case 1:
				c.setUp(tok)
			case 2:
				c.setUp(tok)
				c.send(channelPacket("desktop"))
				<-w.summons
			}
			c.quit()
			synctest.Wait()
		}
		requireCarries(t, good, host, "undisturbed")
		time.Sleep(time.Second)
		synctest.Wait()
		requireOnly(t, w, 1)
		require.LessOrEqual(t, goroutines(), idle+2)

		for range limit.Burst {
			w.ask(webSocketRequest("RDG-Connection-Id: " + strings.Repeat("x", 65)))
		}
		for _, way := range ways {
			_, no := way.call(w, w.token())
			require.Equal(t, reachback.CodeRateLimited, no.code)
		}
		requireCarries(t, host, good, "still undisturbed")
	})
}

// goroutines counts them in a dump. runtime.NumGoroutine looks while others move what
// is left of those that have ended, and is off by tens then.
func goroutines() int {
	b := make([]byte, 1<<20)
	return strings.Count(string(b[:runtime.Stack(b, true)]), "\n\ngoroutine ") + 1
}

// requireOnly requires that so many sessions are all that there is.
func requireOnly(t *testing.T, w *world, sessions int) {
	t.Helper()
	require.Zero(t, w.inSetup())
	require.Zero(t, w.relay.Stats().Waiting)
	require.Equal(t, sessions, w.relay.Stats().Joined)
	w.door.mu.Lock()
	defer w.door.mu.Unlock()
	require.Empty(t, w.door.pairs)
	require.Len(t, w.door.live, sessions)
}

// A client that reads nothing holds up its own host and nobody else, and is cut.
func TestD6_AClientThatStopsReading(t *testing.T) {
	inWays(t, func(t *testing.T, w *world, call func(string) (io.ReadWriter, refused)) {
		answering := w.answering()
		s, no := call(w.token())
		require.Zero(t, no)
		host := <-answering
		answering = w.answering()
		other, no := w.callRaw(w.token())
		require.Zero(t, no)
		otherHost := <-answering
		began := time.Now()
		wrote := make(chan int, 1)
		go func() {
			n, b := 0, make([]byte, 32<<10)
			for {
				k, err := host.Write(b)
				if n += k; err != nil {
					wrote <- n
					return
				}
			}
		}()
		synctest.Wait()
		requireCarries(t, other, otherHost, "unaffected")
		require.Less(t, <-wrote, 1<<20, "the simulated sockets hold 256 KiB each")
		require.WithinRange(t, time.Now(), began.Add(2*time.Minute), began.Add(2*time.Minute+15*time.Second))
		time.Sleep(3 * time.Second)
		synctest.Wait()
		w.requireEnd(t, reachback.CodeStalled)
		requireCarries(t, otherHost, other, "still")
		requireOnly(t, w, 1)
		quit(s)
	})
}

// A client that has answers coming and takes none, while its call waits for a host.
func TestD6_PingsWithoutReadingWhileTheCallWaits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.webSocket()
		c.setUp(w.token())
		c.send(channelPacket("desktop"))
		<-w.summons
		pings := strings.Repeat(string(clientFrame(0x89, make([]byte, 125))), 100)
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				if _, err := io.WriteString(c.out, pings); err != nil {
					return
				}
			}
		}()
		time.Sleep(20 * time.Second) // longer than the call may wait
		synctest.Wait()
		requireNothingLeft(t, w)
		c.quit()
		<-stopped
	})
}

// The same where its host comes.
func TestD6_PingsWithoutReadingInTheWayOfTheHost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.webSocket()
		c.setUp(w.token())
		c.send(channelPacket("desktop"))
		call := <-w.summons
		pings := strings.Repeat(string(clientFrame(0x89, make([]byte, 125))), 100)
		go func() {
			for {
				if _, err := io.WriteString(c.out, pings); err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		answered := make(chan *relay.Leg, 1)
		go func() {
			leg, _ := w.answerTo(call)
			answered <- leg
		}()
		time.Sleep(20 * time.Second)
		require.Len(t, answered, 1, "the host is told")
		if leg := <-answered; leg != nil {
			_, err := leg.Read(make([]byte, 1))
			require.Error(t, err)
		}
		requireNothingLeft(t, w)
		c.quit()
	})
}

// A client that asks for the first half of IN again and again, which holds nothing,
// has its connection for as long as any client of HTTP.
func TestD10_TheFirstRequestOfInHoldsNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		r := bufio.NewReader(c)
		for range 1000 {
			_, err := io.WriteString(c, halfRequest(methodIn, newConnectionID(), "Content-Length: 0"))
			require.NoError(t, err)
			resp, err := http.ReadResponse(r, nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, resp.StatusCode)
		}
		requireNothingLeft(t, w)
		began := time.Now()
		_, err := r.ReadByte()
		require.Error(t, err)
		require.InDelta(t, 60, time.Since(began).Seconds(), 1)
	})
}
