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
	"github.com/reachback/reachback/internal/limit"
)

func TestInComesBeforeOut(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := newConnectionID()
		c := &client{t: t}
		c.openIn(w, id)
		time.Sleep(20 * time.Second)
		c.openOut(w, id)
		host := w.opened(c)
		requireCarries(t, c, host, "x")
	})
}

// The first of a tunnel's two requests on IN may be left out, and the second share a
// segment with its first chunks, whose sizes have digits of either case.
func TestInAtOnce(t *testing.T) {
	for name, body := range map[string]string{
		"upper case":    "0E\r\n" + string(handshakePacket()) + "\r\n",
		"lower case":    "e\r\n" + string(handshakePacket()) + "\r\n",
		"an extension":  "e;name=value\r\n" + string(handshakePacket()) + "\r\n",
		"two chunks":    "3\r\n" + string(handshakePacket()[:3]) + "\r\nB\r\n" + string(handshakePacket()[3:]) + "\r\n",
		"and a part of": "10\r\n" + string(handshakePacket()) + string(createPacket("x")[:2]) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				id := newConnectionID()
				c := &client{t: t}
				c.openOut(w, id)
				c.in = w.dial()
				c.write(c.in, halfRequest(methodIn, id, "Transfer-Encoding: chunked")+body)
				c.expect(2)
			})
		})
	}
}

// Both requests of IN, and the first chunk, in one segment.
func TestInInOneSegment(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := newConnectionID()
		c := &client{t: t}
		c.openOut(w, id)
		c.in = w.dial()
		c.write(c.in, halfRequest(methodIn, id, "Content-Length: 0")+halfRequest(methodIn, id, "Transfer-Encoding: chunked")+
			"e\r\n"+string(handshakePacket())+"\r\n")
		c.expect(2)
		resp, err := http.ReadResponse(bufio.NewReader(c.in), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
	})
}

func TestAHalfThatStaysAloneIsCut(t *testing.T) {
	t.Run("OUT", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			c := &client{t: t}
			id := newConnectionID()
			c.openOut(w, id)
			time.Sleep(29500 * time.Millisecond)
			c.requireClosed()
			synctest.Wait()
			requireNothingHeld(t, w)
			c.openOut(w, id) // the id is free again
		})
	})
	t.Run("IN", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			c := &client{t: t}
			began := time.Now()
			c.openIn(w, newConnectionID())
			resp, err := http.ReadResponse(bufio.NewReader(c.in), nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusBadRequest, resp.StatusCode)
			require.InDelta(t, 30, time.Since(began).Seconds(), 1)
			c.in.Close()
			synctest.Wait()
			requireNothingHeld(t, w)
		})
	})
	t.Run("IN whose client sends something and leaves", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			c := &client{t: t}
			c.openIn(w, newConnectionID())
			c.send(handshakePacket())
			synctest.Wait()
			c.send(createPacket("x"))
			synctest.Wait()
			c.in.Close()
			synctest.Wait()
			requireNothingHeld(t, w)
		})
	})
	t.Run("IN whose client leaves", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			c := &client{t: t}
			c.openIn(w, newConnectionID())
			synctest.Wait()
			c.in.Close()
			synctest.Wait()
			requireNothingHeld(t, w)
		})
	})
}

// A client that closes OUT before it has come with IN is noticed at once.
func TestOutIsClosedBeforeInComes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := &client{t: t}
		id := newConnectionID()
		c.openOut(w, id)
		c.write(c.out, "what nobody waits for")
		synctest.Wait()
		c.out.Close()
		synctest.Wait()
		requireNothingHeld(t, w)

		c.openOut(w, id) // it comes again, and is let in
		c.write(c.out, "this too")
		c.openIn(w, id)
		host := w.opened(c)
		requireCarries(t, c, host, "x")
	})
}

// A client that breaks off has done nothing wrong, however often it does.
func TestInIsBrokenOffAgainAndAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for range 2 * limit.Burst {
			c := &client{t: t}
			c.openIn(w, newConnectionID())
			c.in.Close()
			synctest.Wait()
		}
		c := w.twoConnections()
		requireCarries(t, c, w.opened(c), "x")
	})
}

// A client that asks whether it may send the body is told to go on.
func TestInWithAnExpectation(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := newConnectionID()
		c := &client{t: t}
		c.openOut(w, id)
		c.in = w.dial()
		c.write(c.in, halfRequest(methodIn, id, "Transfer-Encoding: chunked", "Expect: 100-continue"))
		resp, err := http.ReadResponse(bufio.NewReader(c.in), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusContinue, resp.StatusCode)
		c.send(handshakePacket())
		c.expect(2)
	})
}

func requireNothingHeld(t *testing.T, w *world) {
	t.Helper()
	w.door.mu.Lock()
	defer w.door.mu.Unlock()
	require.Empty(t, w.door.pairs)
	require.Empty(t, w.door.setups)
	require.Zero(t, w.door.inSetup)
	require.Empty(t, w.door.live)
}

func TestB2_AThirdHalfIsRefusedAndTheTwoGoOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := newConnectionID()
		c := &client{t: t}
		c.openOut(w, id)
		require.Equal(t, reachback.CodeBadRequest, w.ask(halfRequest(methodOut, id)))
		c.openIn(w, id)
		host := w.opened(c)
		require.Equal(t, reachback.CodeBadRequest, w.ask(halfRequest(methodOut, id)))
		require.Equal(t, reachback.CodeBadRequest, w.ask(halfRequest(methodIn, id, "Transfer-Encoding: chunked")))
		requireCarries(t, c, host, "still there")
		requireCarries(t, host, c, "and here")

		host.Close()
		_, err := c.Read(make([]byte, 1))
		require.Equal(t, closedWith(gracefulDisconnect), err)
		c.quit()
		synctest.Wait()
		c.openOut(w, id)
	})
}

// A half of another address neither joins a tunnel nor keeps the true one out.
func TestB1_HalvesOfTwoAddressesNeverMeet(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := newConnectionID()
		thief := &client{t: t}
		w.comeFrom("192.0.2.66:1")
		thief.openOut(w, id)
		w.comeFrom("192.0.2.1:1")
		c := &client{t: t}
		c.openIn(w, id)
		c.send(handshakePacket())
		thief.requireQuiet()
		c.openOut(w, id)
		w.comeFrom("192.0.2.66:1")
		thief.openIn(w, id)
		thief.send(handshakePacket())
		thief.expect(2)
		c.expect(2)
		c.send(createPacket(w.token()))
		c.expect(5)
		thief.requireQuiet()
	})
}

func TestInIsAnsweredAtTheEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.twoConnections()
		host := w.opened(c)
		// Longer than the server gives to the body of any other request.
		for range 10 {
			time.Sleep(time.Minute)
			requireCarries(t, c, host, "x")
		}
		host.Close()
		_, err := c.Read(make([]byte, 1))
		require.Equal(t, closedWith(gracefulDisconnect), err)
		require.Equal(t, 13, c.beats)
		resp, err := http.ReadResponse(bufio.NewReader(c.in), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.True(t, resp.Close)
	})
}

// A body that ends, or breaks, ends the session.
func TestTheEndOfIn(t *testing.T) {
	for name, last := range map[string]string{"the last chunk": "0\r\n\r\n", "a chunk without a size": "zz\r\n"} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := w.twoConnections()
				host := w.opened(c)
				c.write(c.in, last)
				_, err := host.Read(make([]byte, 1))
				require.Error(t, err)
				c.out.SetReadDeadline(time.Now().Add(5 * time.Second))
				_, err = c.Read(make([]byte, 1))
				require.Error(t, err)
				require.NotContains(t, err.Error(), "timeout")
				c.quit()
				host.Close()
				synctest.Wait()
				requireNothingHeld(t, w)
			})
		})
	}
}

func TestOneHalfIsLost(t *testing.T) {
	for _, half := range []string{"OUT", "IN"} {
		t.Run(half, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := w.twoConnections()
				host := w.opened(c)
				if half == "OUT" {
					c.out.Close()
				} else {
					c.in.Close()
				}
				began := time.Now()
				_, err := host.Read(make([]byte, 1))
				require.Error(t, err)
				// Of OUT nobody reads; the next keepalives tell.
				require.Less(t, time.Since(began), 100*time.Second, fmt.Sprint(half))
				c.quit()
				time.Sleep(5 * time.Second)
				synctest.Wait()
				requireNothingHeld(t, w)
			})
		})
	}
}
