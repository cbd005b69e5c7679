package rdgateway

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/relay"
)

func TestTheHostIsLost(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		host := w.opened(c)
		host.Abort()
		_, err := c.Read(make([]byte, 1))
		require.Equal(t, closedWith(alreadyDisconnected), err)
		c.requireClosed()
		c.quit()
		synctest.Wait()
		w.requireEnd(t, reachback.CodeHostLost)
		requireNothingHeld(t, w)
	})
}

func TestAKilledSession(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		host := w.opened(c)
		began := time.Now()
		w.kills <- relay.Kill{Host: "host-1", Code: reachback.CodeKilled}
		_, err := c.Read(make([]byte, 1))
		require.Equal(t, closedWith(napAccessDenied), err)
		require.Less(t, time.Since(began), 2*time.Second)
		c.requireClosed()
		_, err = host.Read(make([]byte, 1))
		require.Error(t, err)
		time.Sleep(time.Second)
		synctest.Wait()
		w.requireEnd(t, reachback.CodeKilled)
	})
}

// A kill that comes while the legs are being joined is heard, and counted once.
func TestKilledAsItIsJoined(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		w.opening(c)
		w.kills <- relay.Kill{Host: "host-1", Code: reachback.CodeKilled}
		time.Sleep(time.Second)
		c.quit()
		synctest.Wait()
		over := w.reported(relay.EventEnded, relay.EventFailed)
		require.Len(t, over, 1)
		require.Equal(t, reachback.CodeKilled, over[0].Code)
		requireNothingHeld(t, w)
	})
}

func TestTheGatewayGoesDown(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		w.opened(c)
		go w.relay.Close()
		_, err := c.Read(make([]byte, 1))
		require.Equal(t, closedWith(connectionAborted), err)
		c.quit()
		synctest.Wait()
		w.requireEnd(t, reachback.CodeDraining)
		require.Equal(t, reachback.CodeDraining, w.ask(webSocketRequest("RDG-Connection-Id: {1}")))
	})
}

// Close alone ends all that the door holds.
func TestClose(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var all []*client
		for _, m := range modes {
			c := m.dial(w)
			w.opened(c)
			inSetup := m.dial(w)
			inSetup.send(handshakePacket())
			inSetup.expect(2)
			waiting := m.dial(w)
			waiting.setUp(w.token())
			waiting.send(channelPacket("desktop"))
			<-w.summons
			all = append(all, c, inSetup, waiting)
		}
		alone := &client{t: t}
		alone.openIn(w, newConnectionID())
		synctest.Wait()
		require.NoError(t, w.door.Close())
		require.NoError(t, w.door.Close())
		synctest.Wait()
		requireNothingHeld(t, w)
		for _, c := range all {
			c.requireClosed()
		}
		require.Equal(t, reachback.CodeDraining, w.ask(webSocketRequest("RDG-Connection-Id: {1}")))
	})
}

func TestTheClientLeaves(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		host := w.opened(c)
		c.quit()
		began := time.Now()
		_, err := host.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.Zero(t, time.Since(began))
		host.Close()
		synctest.Wait()
		w.requireEnd(t, reachback.CodeClosed)
	})
}

// A host that goes on after the client has left is cut.
func TestTheClientLeavesAndTheHostDoesNotCare(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		host := w.opened(c)
		c.send(closePacket("\x00\x00\x00\x00"))
		c.expect(0x11)
		_, err := host.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		w.requireEnd(t, reachback.CodeClosed)
		_, err = host.Write([]byte("x"))
		require.Error(t, err)
	})
}

// A host that ends does not wait for a client that does not close.
func TestTheClientDoesNotClose(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		host := w.opened(c)
		host.Close()
		_, err := c.Read(make([]byte, 1))
		require.Equal(t, closedWith(gracefulDisconnect), err)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		w.requireEnd(t, reachback.CodeClosed)
		requireNothingHeld(t, w)
	})
}

// A client that takes nothing does not hold up its end for long.
func TestAKillOfAClientThatReadsNothing(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		host := w.opened(c)
		go host.Write(make([]byte, 4<<20))
		synctest.Wait()
		began := time.Now()
		w.kills <- relay.Kill{Host: "host-1", Code: reachback.CodeHostRevoked}
		for len(w.reported(relay.EventEnded)) == 0 {
			time.Sleep(100 * time.Millisecond)
		}
		require.Less(t, time.Since(began), 2500*time.Millisecond)
		w.requireEnd(t, reachback.CodeHostRevoked)
	})
}

func TestAClientThatBreaksTheProtocol(t *testing.T) {
	for name, p := range map[string][]byte{
		"another tunnel":      createPacket("x"),
		"a second channel":    channelPacket("finance"),
		"a length that lies":  packet(0x0A, "\xff\xffshort"),
		"no length":           {0x0A, 0, 0, 0, 0, 0, 0, 0},
		"longer than allowed": {0x0A, 0, 0, 0, 0xff, 0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			inModes(t, func(t *testing.T, w *world, c *client) {
				host := w.opened(c)
				requireCarries(t, c, host, "fine so far")
				c.send(p)
				_, err := c.Read(make([]byte, 1))
				require.Equal(t, closedWith(internalError), err)
				_, err = host.Read(make([]byte, 1))
				require.Error(t, err)
				c.quit()
				synctest.Wait()
				w.requireEnd(t, reachback.CodeProtocolError)
			})
		})
	}
}

// The server's keepalives come every 45 s; a client's are not answered, or two that
// answer each other's would never stop.
func TestKeepAlive(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		host := w.opened(c)
		time.Sleep(46 * time.Second)
		require.Empty(t, c.expect(0x0D))
		for range 10 {
			c.send(packet(0x0D, ""))
		}
		c.requireQuiet()
		requireCarries(t, host, c, "x")
		time.Sleep(90 * time.Second)
		require.Empty(t, c.expect(0x0D))
		require.Empty(t, c.expect(0x0D))
	})
}

func TestPingIsAnswered(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, c := range []*client{w.webSocket(), w.webSocket()} {
			var host *relay.Leg
			if c.opened = w.relay.Stats().Joined > 0; !c.opened { // once while it is set up, once after
				c.write(c.out, string(clientFrame(0x89, []byte("hi"))))
				op, payload, err := c.readFrame()
				require.NoError(t, err)
				require.Equal(t, byte(0xA), op)
				require.Equal(t, "hi", string(payload))
			}
			host = w.opened(c)
			c.write(c.out, string(clientFrame(0x89, nil)))
			op, payload, err := c.readFrame()
			require.NoError(t, err)
			require.Equal(t, byte(0xA), op)
			require.Empty(t, payload)
			requireCarries(t, c, host, "x")
		}
	})
}

// raw opens bare RDP in a WebSocket.
func (w *world) raw(more ...string) *client {
	w.t.Helper()
	c := &client{t: w.t, out: w.dial(), ws: true}
	c.r = bufio.NewReader(c.out)
	c.write(c.out, rawRequest(more...))
	return c
}

func TestRawSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.raw("Authorization: Bearer " + w.token())
		host := w.answer()
		resp := c.head()
		require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
		require.Equal(t, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", resp.Header.Get("Sec-WebSocket-Accept")) // RFC 6455, section 1.3
		require.Equal(t, "cid-of-alice", resp.Header.Get(carrier.HeaderCorrelation))

		c.sendBytes([]byte("a request"))
		got := make([]byte, 9)
		_, err := io.ReadFull(host, got)
		require.NoError(t, err)
		require.Equal(t, "a request", string(got))

		want := bytes.Repeat([]byte("0123456789"), 10_000)
		go func() {
			host.Write(want)
			host.Close()
		}()
		back := make([]byte, len(want))
		_, err = io.ReadFull(readerFunc(c.readPackets), back)
		require.NoError(t, err)
		require.Equal(t, want, back)
		_, err = c.readPackets(got)
		require.Error(t, err)
		require.Equal(t, 1000, c.closed)
		c.quit()
		synctest.Wait()
		w.requireEnd(t, reachback.CodeClosed)
		requireNothingHeld(t, w)
	})
}

// The WebSocket of another library opens one, carries both ways and closes it.
func TestRawSessionOfAnotherLibrary(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		answering := w.answering()
		transport := &http.Transport{DialContext: w.net.Dial, TLSClientConfig: &tls.Config{RootCAs: w.roots}}
		defer transport.CloseIdleConnections()
		ws, resp, err := websocket.Dial(t.Context(), "wss://gw.example"+RawPath, &websocket.DialOptions{
			HTTPClient: &http.Client{Transport: transport}, HTTPHeader: http.Header{"Authorization": {"Bearer " + w.token()}},
		})
		require.NoError(t, err)
		require.Empty(t, resp.Header.Get("Sec-WebSocket-Extensions"))
		host := <-answering
		c := websocket.NetConn(t.Context(), ws, websocket.MessageBinary)
		requireCarries(t, c, host, "a request of X.224")
		requireCarries(t, host, c, "and its answer")
		large := string(bytes.Repeat([]byte("0123456789"), 20_000))
		requireCarries(t, c, host, large)
		go io.WriteString(host, large)
		got := make([]byte, len(large))
		_, err = io.ReadFull(c, got)
		require.NoError(t, err)
		require.Equal(t, large, string(got))

		require.NoError(t, ws.Close(websocket.StatusNormalClosure, ""))
		_, err = host.Read(got)
		require.ErrorIs(t, err, io.EOF)
		host.Close()
		synctest.Wait()
		w.requireEnd(t, reachback.CodeClosed)
	})
}

func TestRawRefusalsAreOfHTTP(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.refuses(reachback.CodeNoHost)
		require.Equal(t, reachback.CodeNoHost, w.ask(rawRequest("Authorization: Bearer "+w.token())))
		w.refuses(reachback.CodeTokenReplayed)
		code, resp := w.askFor(rawRequest("Authorization: Bearer " + w.token()))
		require.Equal(t, reachback.CodeTokenReplayed, code)
		require.Equal(t, http.StatusForbidden, resp.StatusCode)
	})
}

func TestC7_APageOfAnotherOriginCannotCall(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		require.Equal(t, reachback.CodeCrossOrigin, w.ask(rawRequest("Authorization: Bearer "+w.token(), "Origin: https://evil.example")))
		require.Equal(t, reachback.CodeCrossOrigin, w.ask(rawRequest("Authorization: Bearer "+w.token(), "Origin: null")))
		require.Empty(t, w.summons)
	})
}

func TestRawEnds(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(w *world, host *relay.Leg)
		want int
	}{
		"the host is lost":      {func(w *world, host *relay.Leg) { host.Abort() }, 1011},
		"killed":                {func(w *world, host *relay.Leg) { w.kills <- relay.Kill{Host: "host-1", Code: reachback.CodeKilled} }, 1008},
		"the gateway goes down": {func(w *world, host *relay.Leg) { go w.relay.Close() }, 1001},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				cl := w.raw("Authorization: Bearer " + w.token())
				host := w.answer()
				cl.head()
				c.end(w, host)
				_, err := cl.readPackets(make([]byte, 1))
				require.Error(t, err)
				require.Equal(t, c.want, cl.closed)
			})
		})
	}
}

func TestRawClientThatLeavesWhileItWaits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.raw("Authorization: Bearer " + w.token())
		<-w.summons
		c.quit()
		synctest.Wait()
		require.Equal(t, 0, w.relay.Stats().Waiting)
	})
}
