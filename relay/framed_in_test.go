package relay

import (
	"io"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/framing"
)

// inFramedTriple is inFramedPair where what the client sends comes over another
// connection, in.
func inFramedTriple(t *testing.T, f func(t *testing.T, s *splicing, in *peer)) {
	for _, k := range []legKind{recordLegs, wiredLegs, tlsLegs} {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var legs [3]*carrier.Conn
				var ends [3]*peer
				for i := range legs {
					near, far := simulated()
					leg, end := k.make(t, near, far)
					legs[i], ends[i] = leg.(*carrier.Conn), end
					t.Cleanup(func() { end.wire.Close() })
				}
				client, host, in := ends[0], ends[1], ends[2]
				leg := newFramedLeg(&framing.Conn{
					Conn: legs[0], In: legs[2], Answer: []byte("answer"), Framing: &chunkFraming{}, Early: []byte("early "),
				}, spliceTimeout)
				require.True(t, !k.takeOver || leg.canTakeOver())
				require.NoError(t, leg.greet())
				_, err := io.ReadFull(client, make([]byte, len("ready")))
				require.NoError(t, err)
				var h io.Closer = legs[1]
				if k.takeOver {
					require.NoError(t, leg.takeOver())
					h, err = takeOver(legs[1], spliceTimeout)
					require.NoError(t, err)
				}
				s := &splicing{client: client, host: host, result: make(chan spliceResult, 1)}
				go func() { s.result <- spliceFramed(leg, h, spliceOptions{WriteTimeout: spliceTimeout}) }()
				f(t, s, in)
			})
		})
	}
}

// Each connection carries one direction, and what the client sends is answered when
// the session has ended, not before.
func TestFramedLegOfTwoConnections(t *testing.T) {
	for name, end := range map[string]struct {
		do   func(s *splicing, in *peer)
		want string
	}{
		"the host ends":   {func(s *splicing, _ *peer) { s.host.Close() }, "\x00closed"},
		"the client ends": {func(_ *splicing, in *peer) { in.Write([]byte{0}) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inFramedTriple(t, func(t *testing.T, s *splicing, in *peer) {
				answer := make(chan string, 1)
				go func() {
					b, _ := io.ReadAll(in)
					answer <- string(b)
				}()
				_, err := in.Write([]byte("\x03one\x03two"))
				require.NoError(t, err)
				got := make([]byte, len("early onetwo"))
				_, err = io.ReadFull(s.host, got)
				require.NoError(t, err)
				require.Equal(t, "early onetwo", string(got))
				_, err = s.host.Write([]byte("back"))
				require.NoError(t, err)
				got = make([]byte, 5)
				_, err = io.ReadFull(s.client, got)
				require.NoError(t, err)
				require.Equal(t, "\x04back", string(got))
				synctest.Wait()
				require.Empty(t, answer)

				end.do(s, in)
				rest, err := io.ReadAll(s.client)
				require.NoError(t, err)
				require.Equal(t, end.want, string(rest))
				require.Equal(t, "answer", <-answer)
				s.client.Close()
				in.Close()
				s.host.Close()
				require.Equal(t, reachback.CodeClosed, (<-s.result).Code)
			})
		})
	}
}

// A cut of the connection that the client sends on is its loss, and not an end.
func TestFramedLegThatLosesOneOfTwoConnections(t *testing.T) {
	inFramedTriple(t, func(t *testing.T, s *splicing, in *peer) {
		synctest.Wait()
		in.wire.Conn.(interface{ Cut() }).Cut()
		_, err := io.ReadAll(s.host)
		require.Error(t, err)
		_, err = io.ReadAll(s.client)
		require.Error(t, err)
		require.Equal(t, reachback.CodeClientLost, (<-s.result).Code)
	})
}

// The records of both connections are the relay's, or of neither.
func TestFramedLegOfWhichOneCannotBeTakenOver(t *testing.T) {
	for name, c := range map[string]struct{ out, in legKind }{"OUT": {tlsLegs, wiredLegs}, "IN": {wiredLegs, tlsLegs}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := simulated()
				out, outEnd := c.out.make(t, near, far)
				near, far = simulated()
				in, inEnd := c.in.make(t, near, far)
				defer outEnd.wire.Close()
				defer inEnd.wire.Close()
				leg := newFramedLeg(&framing.Conn{Conn: out.(*carrier.Conn), In: in.(*carrier.Conn), Framing: &chunkFraming{}}, spliceTimeout)
				require.False(t, leg.canTakeOver())
			})
		})
	}
}
