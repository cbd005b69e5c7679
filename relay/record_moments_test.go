package relay

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/framing"
	"github.com/reachback/reachback/internal/tlsrecord"
)

// serverSecret takes the server's traffic secret from a key log, and the client's.
type serverSecret struct {
	clientSecret
	server []byte
}

func (s *serverSecret) Write(line []byte) (int, error) {
	if f := strings.Fields(string(line)); f[0] == "SERVER_TRAFFIC_SECRET_0" {
		s.server, _ = hex.DecodeString(f[2])
	}
	return s.clientSecret.Write(line)
}

// requireNumbers requires of what a server has sent, from its first flight to the last
// byte, that every record under the application's keys has the number that is next,
// whoever has sealed it, that new keys are announced, and that only the last record may
// be there in part. Behind close_notify the relay sends nothing, and crypto/tls answers
// key updates.
func requireNumbers(t *testing.T, sent []byte, suite uint16, secret []byte, ours bool) {
	t.Helper()
	o, err := tlsrecord.NewOpener(suite, secret, 0)
	require.NoError(t, err)
	started := false
	for len(sent) >= tlsrecord.HeaderLen {
		n := tlsrecord.HeaderLen + int(sent[3])<<8 + int(sent[4])
		if n > len(sent) {
			return
		}
		typ, content, err := o.Open(bytes.Clone(sent[:n]))
		if sent = sent[n:]; err != nil && !started {
			continue // under the handshake's keys, or none
		}
		require.NoError(t, err)
		started = true
		switch typ {
		case tlsrecord.Handshake:
			require.Equal(t, keyUpdateMessage[:], content)
			require.NoError(t, o.Update())
		case tlsrecord.Alert:
			require.True(t, !ours || len(sent) == 0 && bytes.Equal([]byte{alertWarning, alertCloseNotify}, content))
		}
	}
}

// TestTakeOverAtAnyMoment takes legs over while the client sends, changes its keys and
// asks for other ones, and ends them in all ways at any moment. What the host gets is
// what the client has sent, as far as it goes, and what each of them was sent has
// the numbers of its records in order.
func TestTakeOverAtAnyMoment(t *testing.T) {
	rounds := 150
	if testing.Short() {
		rounds = 30
	}
	connect := loopback(t)
	carried := int64(0)
	for round := range rounds {
		r := rand.New(rand.NewPCG(uint64(round), 1))
		near, far := connect()
		toClient := &tap{Conn: near}
		log := &serverSecret{}
		c, p := tlsLegWith(t, &wire{Conn: toClient}, far, &tls.Config{InsecureSkipVerify: true, KeyLogWriter: log})
		client := c.(*carrier.Conn)
		suite := client.ConnectionState().CipherSuite
		sealer, err := tlsrecord.NewSealer(suite, log.secret, 0)
		require.NoError(t, err)

		near, hostFar := connect()
		toHost := &tap{Conn: near}
		hostLog := &serverSecret{}
		c, host := tlsLegWith(t, &wire{Conn: toHost}, hostFar, &tls.Config{InsecureSkipVerify: true, KeyLogWriter: hostLog})

		var ends sync.WaitGroup
		said := make(chan []byte, 1)
		ends.Go(func() { said <- talk(&recordPeer{p, sealer}, rand.New(rand.NewPCG(uint64(round), 2))) })
		ends.Go(func() { // it leaves when nothing comes any more
			for b := make([]byte, 4<<10); ; {
				p.wire.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				if _, err := p.wire.Read(b); err != nil {
					p.wire.Close()
					return
				}
			}
		})
		heard := make(chan []byte, 1)
		ends.Go(func() {
			b, _ := io.ReadAll(host)
			host.Close()
			heard <- b
		})
		ends.Go(func() {
			for range 50 {
				if _, err := host.Write(make([]byte, 300)); err != nil {
					return
				}
			}
		})

		leg := newFramedLeg(&framing.Conn{Conn: client, Framing: &chunkFraming{}}, spliceTimeout)
		leg.Early = readFor(leg, time.Duration(r.IntN(300))*time.Microsecond)
		var h io.Closer = c
		ours := leg.canTakeOver()
		if ours {
			h, err = takeOver(c.(*carrier.Conn), spliceTimeout)
			require.NoError(t, err)
		}
		after, how := time.Duration(r.IntN(500))*time.Microsecond, r.IntN(5)
		ends.Go(func() {
			time.Sleep(after)
			switch how {
			case 0:
				leg.drop()
			case 1:
				cut(h, reachback.CodeKilled)
			case 2:
				host.wire.Close()
			case 3:
				leg.farewell(reachback.Refuse(reachback.CodeKilled), goodbye)
			default:
				leg.cut(reachback.CodeKilled)
			}
		})
		if err = leg.greet(); err == nil && ours {
			err = leg.takeOver()
		}
		if err == nil {
			res := spliceFramed(leg, h, spliceOptions{WriteTimeout: spliceTimeout})
			if how < 4 { // a cut takes what still comes away from who reads
				require.NotErrorIs(t, res.Err, tlsrecord.ErrRecord)
			}
			if ours {
				carried += res.ToHost
			}
		} else {
			leg.Close()
			cut(h, reachback.CodeKilled)
		}
		ends.Wait()
		host.wire.Close()

		requireNumbers(t, toClient.sent.Bytes(), suite, log.server, ours)
		requireNumbers(t, toHost.sent.Bytes(), suite, hostLog.server, ours)
		want, got := <-said, <-heard
		require.True(t, bytes.HasPrefix(want, got), "round %d: %d bytes of %d", round, len(got), len(want))
	}
	require.NotZero(t, carried, "by legs that were taken over")
}

// talk sends pieces, of which it returns what they carry, between records that carry
// nothing.
func talk(p *recordPeer, r *rand.Rand) (said []byte) {
	send := func(typ tlsrecord.Type, content ...byte) error {
		buf := make([]byte, tlsrecord.HeaderLen+len(content)+tlsrecord.Overhead)
		copy(buf[tlsrecord.HeaderLen:], content)
		_, err := p.wire.Write(p.sealer.Seal(buf, len(content), typ))
		return err
	}
	updates := r.IntN(3) > 0
	for range 300 {
		var err error
		switch n := r.IntN(20); {
		case n == 0 && updates:
			if err = send(tlsrecord.Handshake, keyUpdate, 0, 0, 1, byte(r.IntN(2))); err == nil {
				err = p.sealer.Update()
			}
		case n == 1:
			err = send(tlsrecord.Application)
		default:
			piece := make([]byte, 10+r.IntN(100))
			for i := range piece {
				piece[i] = byte(len(said) + i)
			}
			said = append(said, piece...)
			err = send(tlsrecord.Application, append([]byte{byte(len(piece))}, piece...)...)
		}
		if err != nil {
			return said
		}
	}
	send(tlsrecord.Application, 0)
	send(tlsrecord.Alert, alertWarning, alertCloseNotify)
	return said
}

// readFor reads what a client sends before its session begins, as front doors do.
func readFor(l *framedLeg, d time.Duration) (early []byte) {
	l.SetReadDeadline(time.Now().Add(d))
	defer l.SetReadDeadline(time.Time{})
	for p := make([]byte, 100); ; {
		n, err := l.Conn.Read(p)
		n, _, serr := l.Framing.Strip(p[:n])
		early = append(early, p[:n]...)
		if err != nil || serr != nil {
			return early
		}
	}
}
