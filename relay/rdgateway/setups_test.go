package rdgateway

import (
	"bufio"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

// One absolute deadline covers the set-up, however slowly it goes on.
func TestD3_ASetUpThatNeverEndsIsCut(t *testing.T) {
	for state := range 4 {
		t.Run(fmt.Sprint(state), func(t *testing.T) {
			inModes(t, func(t *testing.T, w *world, c *client) {
				began := time.Now()
				for _, p := range w.steps()[:state] {
					c.send(p)
					c.expect(int(p[0]) + 1)
				}
				go func() {
					for _, b := range w.steps()[state] {
						to, s := c.out, string(clientFrame(0x82, []byte{b}))
						if c.in != nil {
							to, s = c.in, "1\r\n"+string([]byte{b})+"\r\n"
						}
						if _, err := to.Write([]byte(s)); err != nil {
							return
						}
						time.Sleep(5 * time.Second)
					}
				}()
				_, _, err := c.readPacket()
				require.Error(t, err)
				require.InDelta(t, 30, time.Since(began).Seconds(), 1)
				c.quit()
				time.Sleep(2 * time.Minute) // the sender gives up
			})
		})
	}
}

func TestTooManySetUpsOfOneAddress(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.comeFrom("[2001:db8::1]:1")
		var held []*client
		for i := range 32 {
			if i%2 == 0 {
				held = append(held, w.webSocket())
				continue
			}
			c := &client{t: t}
			c.openOut(w, newConnectionID())
			held = append(held, c)
		}
		w.comeFrom("[2001:db8::2]:1") // the same /64
		require.Equal(t, reachback.CodeTooManyWaiting, w.ask(webSocketRequest("RDG-Connection-Id: {1}")))
		w.comeFrom("[2001:db8:0:1::1]:1")
		w.webSocket()

		// Those that are set up do not count.
		w.comeFrom("[2001:db8::1]:1")
		held[0].send(handshakePacket(), createPacket(w.token()), authPacket(), channelPacket("desktop"))
		w.answer()
		w.webSocket()
		require.Equal(t, reachback.CodeTooManyWaiting, w.ask(webSocketRequest("RDG-Connection-Id: {1}")))
		held[2].quit()
		synctest.Wait()
		w.webSocket()
	})
}

// Where there are as many as there may be, the oldest one without a good token gives
// way, also where it is half a tunnel; those that have shown one stay.
func TestTooManySetUpsInAll(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.door.Limits.InAll = 4
		known := w.twoConnections()
		known.setUp(w.token())
		w.comeFrom("10.0.0.2:1")
		webSocket := w.webSocket()
		w.comeFrom("10.0.0.3:1")
		out := &client{t: t}
		out.openOut(w, newConnectionID())
		w.comeFrom("10.0.0.4:1")
		in := &client{t: t}
		in.openIn(w, newConnectionID())
		synctest.Wait()
		require.Equal(t, 4, w.inSetup())

		w.comeFrom("10.0.0.9:1")
		began := time.Now()
		for i := range 3 {
			newcomer := w.webSocket()
			newcomer.setUp(w.token()) // and it stays too
			switch i {
			case 0:
				webSocket.requireClosed()
			case 1:
				out.requireClosed()
			case 2:
				resp, err := http.ReadResponse(bufio.NewReader(in.in), nil)
				require.NoError(t, err)
				require.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
			}
			synctest.Wait()
			require.Equal(t, 4, w.inSetup())
		}
		require.Zero(t, time.Since(began))
		require.EqualValues(t, 3, w.relay.Stats().Refused[reachback.CodeTooManyWaiting])
		require.Equal(t, reachback.CodeTooManyWaiting, w.ask(webSocketRequest("RDG-Connection-Id: {1}")), "all have a token")
		answering := w.answering()
		known.send(channelPacket("desktop"))
		known.opens()
		requireCarries(t, known, <-answering, "undisturbed")
		time.Sleep(31 * time.Second)
		synctest.Wait()
		require.Zero(t, w.inSetup())
	})
}

// Whoever guesses is refused before anything is computed for him.
func TestD10_AnAddressThatFailsTooOftenIsRefusedAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for range 64 {
			c := w.webSocket()
			c.send(handshakePacket(), createPacket("guess"))
			c.expect(2)
			c.expect(5)
			c.quit()
			synctest.Wait() // it is not set up any more
		}
		require.Equal(t, reachback.CodeRateLimited, w.ask(webSocketRequest("RDG-Connection-Id: {1}")))
		require.Equal(t, reachback.CodeRateLimited, w.ask(request("GET", RawPath)))
		w.comeFrom("10.9.9.9:1")
		w.webSocket()
	})
}
