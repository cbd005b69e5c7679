package rdgateway

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/token"
	"github.com/reachback/reachback/relay"
)

// status is where each response has its own.
func status(t testing.TB, kind int, body string) hresult {
	b, err := hex.DecodeString(body)
	require.NoError(t, err)
	at := 0
	if kind == int(tunnelResponse) {
		at = 2
	}
	require.GreaterOrEqual(t, len(b), at+4)
	return hresult(binary.LittleEndian.Uint32(b[at:]))
}

func TestATokenIsRefusedInTheTunnelAlready(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(w *world) []byte
		want hresult
		code reachback.Code
	}{
		{"expired", func(w *world) []byte {
			return createPacket(w.token(func(c *token.Connection) { c.IssuedAt = time.Now().Add(-12 * time.Minute) }))
		}, cookieDenied, reachback.CodeTokenExpired},
		{"of a clock ahead", func(w *world) []byte {
			return createPacket(w.token(func(c *token.Connection) { c.IssuedAt = time.Now().Add(2 * time.Minute) }))
		}, cookieDenied, reachback.CodeTokenNotYetValid},
		{"cut", func(w *world) []byte { tok := w.token(); return createPacket(tok[:len(tok)-1]) }, cookieBadPacket, reachback.CodeTokenInvalid},
		{"no text", func(w *world) []byte { return packet(4, "\x0d\x00\x00\x00\x01\x00\x00\x00\x03\x00abc") }, cookieBadPacket, reachback.CodeTokenInvalid},
		{"none", func(w *world) []byte { return packet(4, "\x0d\x00\x00\x00\x00\x00\x00\x00") }, cookieBadPacket, reachback.CodeTokenMissing},
		{"for framed calls", func(w *world) []byte {
			return createPacket(w.token(func(c *token.Connection) { c.ClientKey = [32]byte{1} }))
		}, internalError, reachback.CodeBadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			inModes(t, func(t *testing.T, w *world, cl *client) {
				cl.send(handshakePacket())
				cl.expect(2)
				cl.send(c.make(w))
				require.Equal(t, c.want, status(t, 5, cl.expect(5)))
				cl.requireClosed()
				cl.quit()
				synctest.Wait()
				require.Empty(t, w.summons)
				require.Equal(t, map[reachback.Code]int64{c.code: 1}, w.relay.Stats().Refused)
				require.Contains(t, w.logs.String(), string(c.code))
			})
		})
	}
}

func TestARefusalOfTheCallIsTold(t *testing.T) {
	for code, want := range map[reachback.Code]hresult{
		reachback.CodeTokenReplayed: 0x800759FA,
		reachback.CodeKilled:        0x800759DB,
		reachback.CodeRawNotAllowed: 0x800759DA,
		reachback.CodeNoHost:        0x800759DD,
		reachback.CodeHostsFull:     0x800759DD,
		reachback.CodeUnavailable:   0x800759DD,
		reachback.CodeInternal:      0x800759D8,
	} {
		t.Run(string(code), func(t *testing.T) {
			inModes(t, func(t *testing.T, w *world, c *client) {
				w.refuses(code)
				c.setUp(w.token())
				c.send(channelPacket("desktop"))
				require.Equal(t, want, status(t, 9, c.expect(9)))
				c.requireClosed()
			})
		})
	}
}

func TestC1_TheNameIsTheResourceAndIsNeverDialled(t *testing.T) {
	create := func(port string, counts string, names ...string) []byte {
		for i := range names {
			names[i] = counted(utf16z(names[i]))
		}
		return packet(8, counts+port+"\x03\x00"+strings.Join(names, ""))
	}
	const rdp = "\x3d\x0d"
	for _, c := range []struct {
		name   string
		packet []byte
		opens  bool
	}{
		{"the resource", create(rdp, "\x01\x00", "desktop"), true},
		{"as Windows may write a computer's name", create(rdp, "\x01\x00", "DESKTOP"), true},
		{"among others", create(rdp, "\x02\x01", "10.0.0.7", "other", "desktop"), true},
		{"another resource", create(rdp, "\x01\x00", "finance"), false},
		{"an address", create(rdp, "\x01\x00", "169.254.169.254"), false},
		{"none", create(rdp, "\x01\x00", ""), false},
		{"another port", create("\x16\x00", "\x01\x00", "desktop"), false},
		{"the resource with a port", create(rdp, "\x01\x00", "desktop:3389"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inModes(t, func(t *testing.T, w *world, cl *client) {
				cl.setUp(w.token())
				if c.opens {
					host := w.answering()
					cl.send(c.packet)
					cl.opens()
					<-host
					return
				}
				cl.send(c.packet)
				require.Equal(t, rapAccessDenied, status(t, 9, cl.expect(9)))
				cl.requireClosed()
				require.Empty(t, w.summons)
				refused := w.reported(relay.EventRefused)
				require.Len(t, refused, 1)
				require.Equal(t, reachback.CodeWrongResource, refused[0].Code)
				require.Equal(t, "desktop", refused[0].Resource)
			})
		})
	}
}

func TestHandshakesThatDoNotFit(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want hresult
	}{
		"a later version":               {"\x02\x00\x00\x00\x02\x00", capabilityMismatch},
		"no cookie":                     {"\x01\x00\x00\x00\x00\x00", unsupportedAuth},
		"a smart card":                  {"\x01\x00\x00\x00\x01\x00", unsupportedAuth},
		"shorter than its fields":       {"\x01\x00", internalError},
		"more ways than one, one is it": {"\x01\x00\x00\x00\x07\x00", ok},
	} {
		t.Run(name, func(t *testing.T) {
			inModes(t, func(t *testing.T, w *world, cl *client) {
				cl.send(packet(1, c.body))
				require.Equal(t, c.want, status(t, 2, cl.expect(2)))
				if c.want != ok {
					cl.requireClosed()
				}
			})
		})
	}
}

// steps are the packets of a set-up in their order.
func (w *world) steps() [][]byte {
	return [][]byte{handshakePacket(), createPacket(w.token()), authPacket(), channelPacket("desktop")}
}

// TestPacketsOutOfOrder sends, in each state, each packet that does not belong there.
func TestPacketsOutOfOrder(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.refuses(reachback.CodeInternal)
		steps := w.steps()
		all := append(slices.Clone(steps), dataPacket("x"), packet(0x0D, ""), packet(0x0B, "\x02\x00x\x00"), packet(0x09, ""), packet(0x11, "\x00\x00\x00\x00"), packet(0x77, ""))
		for state := range steps {
			for i, p := range all {
				if i == state {
					continue
				}
				c := w.webSocket()
				for _, before := range steps[:state] {
					c.send(before)
					c.expect(int(before[0]) + 1)
				}
				c.send(p)
				if i < len(steps) {
					require.Equal(t, internalError, status(t, int(p[0])+1, c.expect(int(p[0])+1)), "packet %d after %d others", p[0], state)
				}
				c.requireClosed()
				require.Equal(t, 1002, c.closed, "packet %d after %d others", p[0], state)
				c.quit()
			}
		}
	})
}

func TestCloseInAnyState(t *testing.T) {
	for state := range 5 {
		t.Run(fmt.Sprint(state), func(t *testing.T) {
			inModes(t, func(t *testing.T, w *world, c *client) {
				for _, p := range w.steps()[:min(state, 3)] {
					c.send(p)
					c.expect(int(p[0]) + 1)
				}
				if state == 4 {
					c.send(channelPacket("desktop"))
					host := w.answer()
					c.opens()
					defer func() {
						_, err := host.Read(make([]byte, 1))
						require.Error(t, err)
						synctest.Wait()
						time.Sleep(3 * time.Second)
						synctest.Wait()
						w.requireEnd(t, reachback.CodeClosed)
					}()
				}
				c.send(closePacket("\x00\x00\x00\x00"))
				require.Equal(t, "00000000", c.expect(0x11))
				c.requireClosed()
				c.quit()
			})
		})
	}
}

// TestSetUpCutAnywhere sends the set-up in frames and chunks of other sizes than its
// packets.
func TestSetUpCutAnywhere(t *testing.T) {
	for _, size := range []int{1, 7, 1 << 16} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			inModes(t, func(t *testing.T, w *world, c *client) {
				host := w.answering()
				for part := range slices.Chunk(slices.Concat(w.steps()...), size) {
					c.sendBytes(part)
				}
				for _, kind := range []int{2, 5, 7} {
					c.expect(kind)
				}
				c.opens()
				<-host
			})
		})
	}
}

func TestATokenOfTwoKilobytes(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		tok := w.token(func(c *token.Connection) { c.User.Groups = slices.Repeat([]string{"staff-of-something"}, 60) })
		require.Greater(t, len(tok), 2000)
		host := w.answering()
		c.open(tok, "desktop")
		<-host
	})
}

// Clients take anything before CHANNEL_RESPONSE for an error.
func TestSilenceWhileTheCallWaits(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		synctest.Wait() // IN is there
		w.door.Limits.KeepAlive = time.Second
		c.setUp(w.token())
		c.send(channelPacket("desktop"))
		call := <-w.summons
		c.requireQuiet()
		c.requireQuiet()
		host, err := w.answerTo(call)
		require.NoError(t, err)
		c.opens()
		requireCarries(t, c, host, "x")
	})
}

func TestAClientThatLeavesWhileTheCallWaits(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		c.setUp(w.token())
		c.send(channelPacket("desktop"))
		<-w.summons
		c.quit()
		synctest.Wait()
		require.Equal(t, 0, w.relay.Stats().Waiting)
		failed := w.reported(relay.EventFailed)
		require.Len(t, failed, 1)
		require.Equal(t, reachback.CodeClientLost, failed[0].Code)
	})
}

// What a client sends while its call waits is not lost, and no more of it is taken
// than a little.
func TestBytesBeforeTheChannelIsOpen(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		c.setUp(w.token())
		c.send(channelPacket("desktop"), dataPacket("early "))
		call := <-w.summons
		c.send(dataPacket("and soon"))
		synctest.Wait()
		host, err := w.answerTo(call)
		require.NoError(t, err)
		c.opens()
		got := make([]byte, 14)
		_, err = io.ReadFull(host, got)
		require.NoError(t, err)
		require.Equal(t, "early and soon", string(got))
	})
}

func TestTheCallTimesOut(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		c.setUp(w.token())
		c.send(channelPacket("desktop"))
		require.Equal(t, connectFailed, status(t, 9, c.expect(9)))
		c.requireClosed()
	})
}

func TestA6_TheTokenOfAKilledSession(t *testing.T) {
	inModes(t, func(t *testing.T, w *world, c *client) {
		w.decide = func(_ context.Context, c *relay.Call) (*relay.Permit, error) {
			return &relay.Permit{Session: "s1", Host: "host-1"}, nil
		}
		w.kills <- relay.Kill{Session: "s1", Code: reachback.CodeKilled}
		synctest.Wait()
		c.setUp(w.token())
		c.send(channelPacket("desktop"))
		require.Equal(t, napAccessDenied, status(t, 9, c.expect(9)))
	})
}
