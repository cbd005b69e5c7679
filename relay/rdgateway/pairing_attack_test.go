package rdgateway

import (
	"bufio"
	"bytes"
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
	"github.com/reachback/reachback/relay"
)

// Somebody behind the same address, as behind one NAT, guesses connection ids: each
// half that meets nothing is cut in time, at most a fixed number is held, and the
// true halves meet.
func TestB1_GuessedConnectionIDs(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := newConnectionID()
		c := &client{t: t}
		c.openOut(w, id)
		answers := map[reachback.Code]int{}
		for range 500 {
			answers[w.ask(halfRequest(methodIn, newConnectionID(), "Transfer-Encoding: chunked")+"0\r\n\r\n")]++
		}
		require.NotContains(t, answers, reachback.Code(""), "none was let in")
		synctest.Wait()
		require.Equal(t, 1, w.inSetup())
		// The guesser is slowed, which for a moment all at his address are.
		require.Equal(t, limit.Burst, answers[reachback.CodeBadRequest])
		require.Equal(t, 500-limit.Burst, answers[reachback.CodeRateLimited])
		time.Sleep(5 * time.Second)
		c.openIn(w, id)
		host := w.opened(c)
		requireCarries(t, c, host, "undisturbed")
	})
}

// Of two clients that claim the same half at once one wins, and the other is refused.
func TestB2_TwoClaimTheSameHalfAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for range 20 {
			id := newConnectionID()
			codes := make(chan reachback.Code, 8)
			for i := range cap(codes) {
				nc := w.dial()
				head := halfRequest(methodOut, id, "Content-Length: 0")
				if i%2 == 0 {
					head = halfRequest(methodIn, id, "Transfer-Encoding: chunked") + "e\r\n" + string(handshakePacket()) + "\r\n"
				}
				go func() {
					io.WriteString(nc, head)
					resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
					switch {
					case err != nil:
						codes <- "closed"
					case resp.StatusCode < 300:
						codes <- ""
					default:
						codes <- reachback.CodeOf(carrier.ReadRefusal(resp))
					}
				}()
			}
			synctest.Wait()
			got := map[reachback.Code]int{}
			for len(codes) > 0 {
				got[<-codes]++
			}
			require.Equal(t, map[reachback.Code]int{"": 1, reachback.CodeBadRequest: 6}, got)
			w.door.mu.Lock()
			require.Len(t, w.door.pairs, 1)
			w.door.mu.Unlock()
			time.Sleep(31 * time.Second)
			require.Equal(t, reachback.Code(""), <-codes, "the winner of IN is answered at the end only")
			requireNothingLeft(t, w)
		}
	})
}

// Of two hosts that bring the leg for one call one wins.
func TestB2_OfTwoHostsAtOnceOneWins(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		c.setUp(w.token())
		c.send(channelPacket("desktop"))
		call := <-w.summons
		type answer struct {
			leg *relay.Leg
			err error
		}
		answers := make(chan answer, 2)
		for range cap(answers) {
			go func() {
				leg, err := w.answerTo(call)
				answers <- answer{leg, err}
			}()
		}
		a, b := <-answers, <-answers
		if a.leg == nil {
			a, b = b, a
		}
		require.NoError(t, a.err)
		require.Equal(t, reachback.CodeTicketInvalid, reachback.CodeOf(b.err))
		c.opens()
		requireCarries(t, c, a.leg, "the one")
	})
}

// A host's identity opens nothing here, and what a client has opens no host's leg.
func TestB3_TheOtherRole(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.webSocket()
		c.setUp(w.token())
		c.send(channelPacket("desktop"))
		call := <-w.summons
		ticket := []string{carrier.HeaderCall + ": " + call.ID, carrier.HeaderTicket + ": " + string(call.Ticket)}

		// A host at the clients' doors, with its ticket.
		for name, head := range map[string]string{
			"bare RDP":          rawRequest(ticket...),
			"and with a token":  rawRequest(append(ticket, "Authorization: Bearer "+w.token())...),
			"with another verb": request("GET", Path, ticket...),
		} {
			require.Contains(t, []reachback.Code{reachback.CodeBadRequest, reachback.CodeMethodNotAllowed}, w.ask(head), name)
		}
		thief := w.webSocket() // its ticket as its cookie
		thief.send(handshakePacket())
		thief.expect(2)
		thief.send(createPacket(string(call.Ticket)))
		refused{status: status(t, 5, thief.expect(5))}.require(t, reachback.CodeTokenInvalid)

		// A client at the hosts' door, with a stolen ticket and a token.
		upgrade := append(ticket, "Connection: Upgrade", "Upgrade: reachback")
		require.NotEmpty(t, w.ask(request("GET", carrier.PathAnswer, upgrade...)))
		require.NotEmpty(t, w.ask(request("GET", carrier.PathAnswer, append(upgrade, "Authorization: Bearer "+w.token())...)))
		require.NotEmpty(t, w.ask(request(methodOut, carrier.PathAnswer, upgrade...)))

		host, err := w.answerTo(call)
		require.NoError(t, err)
		c.opens()
		requireCarries(t, c, host, "the true pair")
	})
}

// A call that no host answers is told so, and nothing of it is left.
func TestB4_ACallThatNobodyAnswers(t *testing.T) {
	inWays(t, func(t *testing.T, w *world, call func(string) (io.ReadWriter, refused)) {
		began := time.Now()
		_, no := call(w.token())
		no.require(t, reachback.CodeHostTimeout)
		require.LessOrEqual(t, time.Since(began), 30*time.Second)
		late, err := w.answerTo(<-w.summons)
		require.Nil(t, late)
		require.Equal(t, reachback.CodeTicketInvalid, reachback.CodeOf(err))
		time.Sleep(time.Second)
		requireNothingLeft(t, w)
	})
}

// A client that sends on before its host is there is read a little and no more, and
// gets every byte to its own host.
func TestB5_BytesBeforeTheHostIsThere(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				early := bytes.Repeat([]byte("0123456789abcdef"), 128<<10) // 2 MiB
				var c *client
				var from io.ReadWriter
				switch way.name {
				case "bare RDP":
					c = w.raw("Authorization: Bearer " + w.token())
					from = bare{c}
				default:
					c = modes[0].dial(w)
					if way.name == "two connections" {
						c.quit()
						c = modes[1].dial(w)
					}
					c.setUp(w.token())
					c.send(channelPacket("desktop"))
					from = c
				}
				call := <-w.summons
				sent, done := 0, make(chan struct{})
				go func() {
					defer close(done)
					for sent < len(early) {
						n, err := from.Write(early[sent : sent+4096])
						if sent += n; err != nil {
							return
						}
					}
				}()
				synctest.Wait()
				require.Less(t, sent, 600<<10, "what is not read stays with the client's socket")

				host, err := w.answerTo(call)
				require.NoError(t, err)
				if from == io.ReadWriter(c) {
					c.opens()
				} else {
					require.Equal(t, http.StatusSwitchingProtocols, c.head().StatusCode)
				}
				got := make([]byte, len(early))
				_, err = io.ReadFull(host, got)
				require.NoError(t, err)
				require.True(t, bytes.Equal(early, got), "every byte, in order")
				<-done
				requireCarries(t, host, from, "and back")
			})
		})
	}
}

// Ten thousand halves and tunnels of one address: a fixed number is held, at a
// bounded cost, and another address gets in at once.
func TestB6_HalvesOfOneAddressAreCapped(t *testing.T) {
	halves := 10_000
	if testing.Short() {
		halves = 1_000
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.comeFrom("192.0.2.66:1")
		var before, during runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		held := map[string]int{}
		for i := range halves {
			kind, head := "OUT", halfRequest(methodOut, newConnectionID(), "Content-Length: 0")
			switch i % 3 {
			case 1:
				kind, head = "IN", halfRequest(methodIn, newConnectionID(), "Transfer-Encoding: chunked")
			case 2:
				kind, head = "WebSocket", webSocketRequest("RDG-Connection-Id: "+newConnectionID())
			}
			nc := w.dial()
			_, err := io.WriteString(nc, head)
			require.NoError(t, err)
			synctest.Wait()
			if w.inSetup() > held["all"] {
				held[kind]++
				held["all"]++
				continue
			}
			nc.Close()
		}
		require.Equal(t, 32, held["all"], "%v", held)
		runtime.GC()
		runtime.ReadMemStats(&during)
		grown := int(during.HeapAlloc) - int(before.HeapAlloc)
		t.Logf("%d KiB for %v, both ends", grown>>10, held)
		require.Less(t, grown, 32<<20)

		w.comeFrom("192.0.2.1:1")
		began := time.Now()
		for _, way := range ways {
			answering := w.answering()
			s, no := way.call(w, w.token())
			require.Zero(t, no)
			requireCarries(t, s, <-answering, way.name)
		}
		require.Zero(t, time.Since(began), "others get in at once")
		time.Sleep(32 * time.Second)
		synctest.Wait()
		require.Zero(t, w.inSetup())
	})
}

func (w *world) inSetup() int {
	w.door.mu.Lock()
	defer w.door.mu.Unlock()
	return w.door.inSetup
}

// The calls of one user that wait for a host are capped too, wherever he comes from.
func TestB6_WaitingCallsOfOneUserAreCapped(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for i := range 40 {
			w.comeFrom(fmt.Sprintf("192.0.2.%d:1", i))
			c := modes[i%2].dial(w)
			c.setUp(w.token())
			c.send(channelPacket("desktop"))
			if i < 32 {
				<-w.summons
				continue
			}
			refused{status: status(t, 9, c.expect(9))}.require(t, reachback.CodeTooManyWaiting)
		}
		w.comeFrom("192.0.2.99:1")
		_, no := w.callRaw(w.token())
		no.require(t, reachback.CodeTooManyWaiting)
		require.Equal(t, 32, w.relay.Stats().Waiting)
	})
}

// The name that a client asks for, and all that it says beside, is dialled nowhere.
func TestC1_NothingThatAClientSaysIsDialled(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		trap, err := w.net.Listen("10.0.0.7:3389")
		require.NoError(t, err)
		defer trap.Close()
		go func() {
			if _, err := trap.Accept(); err == nil {
				t.Error("the gateway has dialled")
			}
		}()
		targets := []string{
			"Host: 10.0.0.7:3389", "X-Forwarded-Host: 10.0.0.7:3389", "Referer: https://10.0.0.7:3389/", "RDG-User-Id: 10.0.0.7:3389",
			"Forwarded: host=10.0.0.7:3389",
		}
		for _, h := range targets {
			if strings.HasPrefix(h, "Host") {
				continue
			}
			require.Empty(t, w.ask(webSocketRequest("RDG-Connection-Id: 10.0.0.7:3389", h)))
			require.Equal(t, reachback.CodeTokenInvalid, w.ask(rawRequest(h, "Authorization: Bearer 10.0.0.7:3389")))
		}
		for range limit.Burst - len(targets) - 2 {
			c := w.webSocket()
			c.setUp(w.token())
			c.send(channelPacket("10.0.0.7"))
			require.Equal(t, rapAccessDenied, status(t, 9, c.expect(9)))
			c.quit()
		}
		for _, target := range []string{"/reachback/v1/rdp?target=10.0.0.7:3389", "//10.0.0.7:3389" + RawPath, "https://10.0.0.7:3389" + RawPath} {
			require.NotEmpty(t, w.ask(strings.Replace(rawRequest(), RawPath, target, 1)), target)
		}
		require.Empty(t, w.summons)
	})
}
