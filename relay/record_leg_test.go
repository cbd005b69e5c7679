package relay

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/simnet"
	"github.com/reachback/reachback/internal/tlsrecord"
)

// recordPeer is a far end that makes records of its own, good and bad. Its
// handshake crypto/tls has made.
type recordPeer struct {
	*peer
	sealer *tlsrecord.Sealer
}

// startRecords joins two legs whose far ends make their own records.
func startRecords(t *testing.T, connect func() (near, far net.Conn)) (s *splicing, client, host *recordPeer) {
	t.Helper()
	var legs [2]*recordLeg
	var peers [2]*recordPeer
	for i := range legs {
		near, far := connect()
		var log clientSecret
		c, p := tlsLegWith(t, &wire{Conn: near}, far, &tls.Config{InsecureSkipVerify: true, KeyLogWriter: &log})
		require.True(t, canTakeOver(c.(*carrier.Conn)))
		sealer, err := tlsrecord.NewSealer(c.(*carrier.Conn).ConnectionState().CipherSuite, log.secret, 0)
		require.NoError(t, err)
		legs[i], err = takeOver(c.(*carrier.Conn), spliceTimeout)
		require.NoError(t, err)
		peers[i] = &recordPeer{p, sealer}
		t.Cleanup(func() { p.wire.Close() })
	}
	client, host = peers[0], peers[1]
	s = &splicing{client: client.peer, host: host.peer, result: make(chan spliceResult, 1)}
	go func() { s.result <- spliceRecords(legs[0], legs[1], spliceOptions{WriteTimeout: spliceTimeout}) }()
	return s, client, host
}

// clientSecret takes the client's traffic secret from a key log.
type clientSecret struct{ secret []byte }

func (c *clientSecret) Write(line []byte) (int, error) {
	f := strings.Fields(string(line))
	if f[0] == "CLIENT_TRAFFIC_SECRET_0" {
		c.secret, _ = hex.DecodeString(f[2])
	}
	return len(line), nil
}

func (p *recordPeer) send(t *testing.T, typ tlsrecord.Type, content ...byte) {
	t.Helper()
	buf := make([]byte, tlsrecord.HeaderLen+len(content)+tlsrecord.Overhead)
	copy(buf[tlsrecord.HeaderLen:], content)
	_, err := p.wire.Write(p.sealer.Seal(buf, len(content), typ))
	require.NoError(t, err)
}

func TestRecordsThatEndThePair(t *testing.T) {
	const app, alert, hand = tlsrecord.Application, tlsrecord.Alert, tlsrecord.Handshake
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, p *recordPeer)
	}{
		{"fatal alert", func(t *testing.T, p *recordPeer) { p.send(t, alert, 2, 80) }},
		{"alert of one byte", func(t *testing.T, p *recordPeer) { p.send(t, alert, 1) }},
		{"new session ticket", func(t *testing.T, p *recordPeer) { p.send(t, hand, 4, 0, 0, 0) }},
		{"key update with another value", func(t *testing.T, p *recordPeer) { p.send(t, hand, keyUpdate, 0, 0, 1, 2) }},
		{"key update in two parts", func(t *testing.T, p *recordPeer) { p.send(t, hand, keyUpdate, 0, 0) }},
		{"change of cipher", func(t *testing.T, p *recordPeer) { p.send(t, 20, 1) }},
		{"unprotected alert", func(t *testing.T, p *recordPeer) { p.wire.Write([]byte{21, 3, 3, 0, 2, 1, 0}) }},
		{"changed record", func(t *testing.T, p *recordPeer) {
			r := p.sealer.Seal(make([]byte, 100), 50, app)
			r[20] ^= 1
			p.wire.Write(r)
		}},
		{"record too long", func(t *testing.T, p *recordPeer) { p.wire.Write([]byte{23, 3, 3, 0x41, 0x01}) }},
		{"record too short", func(t *testing.T, p *recordPeer) { p.wire.Write([]byte{23, 3, 3, 0, 16}) }},
	} {
		t.Run(tt.name, func(t *testing.T) { endsThePair(t, tt.do) })
	}
}

// Records that cost work and carry nothing are taken in bounded numbers.
func TestD5_EndlessRecordsThatCarryNothingEndThePair(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, p *recordPeer)
	}{
		{"endless empty records", func(t *testing.T, p *recordPeer) {
			for range maxUseless + 1 {
				p.send(t, tlsrecord.Application)
			}
		}},
		{"endless key updates", func(t *testing.T, p *recordPeer) {
			for range maxUseless + 1 {
				p.send(t, tlsrecord.Handshake, keyUpdate, 0, 0, 1, 0)
				require.NoError(t, p.sealer.Update())
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) { endsThePair(t, tt.do) })
	}
}

// endsThePair has a client that worked do what must not be taken.
func endsThePair(t *testing.T, do func(t *testing.T, p *recordPeer)) {
	synctest.Test(t, func(t *testing.T) {
		s, p, _ := startRecords(t, simulated)
		p.send(t, tlsrecord.Application, []byte("hello")...)
		got := make([]byte, 5)
		_, err := io.ReadFull(s.host, got)
		require.NoError(t, err)
		require.Equal(t, "hello", string(got))
		do(t, p)
		r := <-s.result
		require.Equal(t, reachback.CodeClientLost, r.Code)
		require.EqualValues(t, 5, r.ToHost)
		_, err = s.host.Read(got)
		require.ErrorIs(t, err, errBareEnd)
	})
}

// Each end asks for new keys while the other does: neither direction may wait for
// the other to answer.
func TestD5_BothEndsAskForNewKeysAtOnce(t *testing.T) {
	const rounds = 3000
	s, client, host := startRecords(t, loopback(t))
	var group sync.WaitGroup
	for _, p := range []*recordPeer{client, host} {
		group.Go(func() {
			for range rounds {
				p.send(t, tlsrecord.Application, 'x')
				p.send(t, tlsrecord.Handshake, keyUpdate, 0, 0, 1, 1)
				require.NoError(t, p.sealer.Update())
			}
			p.send(t, tlsrecord.Alert, 1, alertCloseNotify)
		})
		group.Go(func() { io.Copy(io.Discard, p.wire) }) // crypto/tls would not take so many new keys
	}
	require.Equal(t, reachback.CodeClosed, (<-s.result).Code)
	group.Wait()
}

func TestRecordsThatCarryNothingAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p, _ := startRecords(t, simulated)
		p.send(t, tlsrecord.Alert, 1, alertUserCanceled)
		for range 3 * maxUseless { // as long as something comes between
			p.send(t, tlsrecord.Application)
			p.send(t, tlsrecord.Handshake, keyUpdate, 0, 0, 1, 0)
			require.NoError(t, p.sealer.Update())
			p.send(t, tlsrecord.Application, 'x')
		}
		// Padding, as another program's sealer puts it behind the type.
		p.send(t, 0, 'y', byte(tlsrecord.Application), 0, 0, 0)
		p.send(t, tlsrecord.Application, 'z')
		p.send(t, tlsrecord.Alert, 1, alertCloseNotify)
		got, err := io.ReadAll(s.host)
		require.NoError(t, err)
		require.Equal(t, strings.Repeat("x", 3*maxUseless)+"yz", string(got))
		require.NoError(t, s.host.CloseWrite())
		require.Equal(t, reachback.CodeClosed, (<-s.result).Code)
	})
}

// Keys that have sealed enough are changed under way, and the peer follows.
func TestRecordsChangeTheirKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connect := simulated
		var legs [2]*recordLeg
		s := &splicing{result: make(chan spliceResult, 1)}
		for i, far := range []**peer{&s.client, &s.host} {
			near, conn := connect()
			c, p := wiredLeg(t, near, conn)
			l, err := takeOver(c.(*carrier.Conn), spliceTimeout)
			require.NoError(t, err)
			l.maxSealed = 5
			legs[i], *far = l, p
		}
		go func() {
			s.result <- spliceRecords(legs[0], legs[1], spliceOptions{WriteTimeout: spliceTimeout, ToHost: &s.up, ToClient: &s.down})
		}()
		exchange(t, s, 2<<20, 50_000)
	})
}

// A client that asks for new keys gets them before whatever it is sent next, and keys
// are changed within what is sent at once, too.
func TestRecordsChangeTheirKeysBeforeWhatComesNext(t *testing.T) {
	near, far := loopback(t)()
	c, p := wiredLeg(t, near, far)
	l, err := takeOver(c.(*carrier.Conn), spliceTimeout)
	require.NoError(t, err)
	for _, content := range []string{"some", "words"} {
		l.asked.Store(true)
		io.WriteString(l, content)
		got := make([]byte, len(content))
		_, err = io.ReadFull(p, got)
		require.NoError(t, err)
		require.Equal(t, content, string(got))
		require.EqualValues(t, 1, l.sealer.Sealed(), "under the keys that were asked for")
	}
	l.maxSealed = 2
	n, err := l.Write(make([]byte, 5*tlsrecord.MaxContent))
	require.NoError(t, err)
	require.Equal(t, 5*tlsrecord.MaxContent, n)
	require.LessOrEqual(t, l.sealer.Sealed(), l.maxSealed)
	require.NoError(t, l.Close())
	got, err := io.ReadAll(p)
	require.NoError(t, err)
	require.Len(t, got, 5*tlsrecord.MaxContent)
}

// Behind a record that was sent in part nothing is sent: the peer would take it for
// the rest of that.
func TestRecordsEndWithOneThatIsSentInPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := simulated()
		sent := &tap{Conn: near}
		c, p := wiredLeg(t, sent, far)
		l, err := takeOver(c.(*carrier.Conn), spliceTimeout)
		require.NoError(t, err)
		_, err = l.Write(make([]byte, 4*simnet.BufferSize)) // which the peer does not take
		require.ErrorIs(t, err, errStalled)
		was := sent.sent.Len()
		_, err = io.ReadFull(p, make([]byte, simnet.BufferSize/2))
		require.NoError(t, err)
		_, err = l.Write([]byte("more"))
		require.ErrorIs(t, err, errStalled)
		l.Close()
		require.Equal(t, was, sent.sent.Len())
		_, err = io.ReadAll(p)
		require.ErrorIs(t, err, errBareEnd)
	})
}

// What a client sent with its call, before the 101, is not lost.
func TestRecordsKeepWhatCameEarly(t *testing.T) {
	near, far := loopback(t)()
	c, p := wiredLeg(t, near, far)
	io.WriteString(p, "call and more")
	head := make([]byte, 5)
	_, err := io.ReadFull(c, head)
	require.NoError(t, err)
	l, err := takeOver(c.(*carrier.Conn), spliceTimeout)
	require.NoError(t, err)
	require.Equal(t, "and more", string(l.early))
	l.Abort()
}

// Nor is the end, where crypto/tls has read it already.
func TestRecordsKeepAnEndThatCameEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := simulated()
		c, client := wiredLeg(t, near, far)
		io.WriteString(client, "all")
		require.NoError(t, client.CloseWrite())
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, "all", string(got))
		near, far = simulated()
		h, host := wiredLeg(t, near, far)
		result := make(chan spliceResult, 1)
		go func() { result <- recordLegs.splice(t, c, h, spliceOptions{WriteTimeout: spliceTimeout}) }()
		_, err = io.ReadAll(host)
		require.NoError(t, err)
		io.WriteString(host, "last words")
		require.NoError(t, host.CloseWrite())
		got, err = io.ReadAll(client)
		require.NoError(t, err)
		require.Equal(t, "last words", string(got))
		require.Equal(t, reachback.CodeClosed, (<-result).Code)
		client.wire.Close()
		host.wire.Close()
	})
}

// A request may come in as many records as it likes.
func TestRecordsAfterARequestInManyRecords(t *testing.T) {
	near, far := loopback(t)()
	c, p := wiredLeg(t, near, far)
	for range 500 {
		io.WriteString(p, "x")
	}
	_, err := io.ReadFull(c, make([]byte, 500))
	require.NoError(t, err)
	l, err := takeOver(c.(*carrier.Conn), spliceTimeout)
	require.NoError(t, err)
	io.WriteString(p, "after")
	b, n := l.wire.await(nil)
	require.NotZero(t, n)
	_, got, err := l.opener.Open(b[:n])
	require.NoError(t, err)
	require.Equal(t, "after", string(got))
	l.Abort()
}

// Nor can somebody on the way leave out the first of them.
func TestRecordsAfterTheRequestAreNotLeftOut(t *testing.T) {
	for _, missing := range []int{0, 1, 2, 20} {
		near, far := loopback(t)()
		tap := &tap{Conn: far}
		c, p := wiredLeg(t, near, tap)
		io.WriteString(p, "call")
		_, err := io.ReadFull(c, make([]byte, 4))
		require.NoError(t, err)
		l, err := takeOver(c.(*carrier.Conn), spliceTimeout)
		require.NoError(t, err)
		tap.Conn = closedConn{far} // from now on nothing passes by itself
		for range missing {
			io.WriteString(p, "left out")
		}
		was := tap.sent.Len()
		io.WriteString(p, "passed on")
		_, err = far.Write(tap.sent.Bytes()[was:])
		require.NoError(t, err)
		b, n := l.wire.await(nil)
		require.NotZero(t, n)
		_, got, err := l.opener.Open(b[:n])
		if missing == 0 {
			require.NoError(t, err)
			require.Equal(t, "passed on", string(got))
		} else {
			require.ErrorIs(t, err, tlsrecord.ErrRecord)
		}
		l.Abort()
	}
}

// closedConn takes what is sent, and sends nothing.
type closedConn struct{ net.Conn }

func (closedConn) Write(p []byte) (int, error) { return len(p), nil }

// What crypto/tls has opened, somebody on the way cannot have taken for the first of
// the relay's records.
func TestRecordsOfTheRequestAreNotTakenAgain(t *testing.T) {
	near, far := loopback(t)()
	tap := &tap{Conn: far}
	c, p := wiredLeg(t, near, tap)
	handshake := tap.sent.Len()
	io.WriteString(p, "call")
	_, err := io.ReadFull(c, make([]byte, 4))
	require.NoError(t, err)
	l, err := takeOver(c.(*carrier.Conn), spliceTimeout)
	require.NoError(t, err)
	_, err = far.Write(tap.sent.Bytes()[handshake:])
	require.NoError(t, err)
	b, n := l.wire.await(nil)
	require.NotZero(t, n)
	_, _, err = l.opener.Open(b[:n])
	require.ErrorIs(t, err, tlsrecord.ErrRecord)
	l.Abort()
}

// tap keeps a copy of what is sent.
type tap struct {
	net.Conn
	sent bytes.Buffer
}

func (t *tap) Write(p []byte) (int, error) {
	n, err := t.Conn.Write(p)
	t.sent.Write(p[:n])
	return n, err
}

// A connection whose records cannot be told apart is left to crypto/tls.
func TestRecordsAreNotTakenOver(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, c net.Conn, p *peer)
	}{
		{"something was sent", func(t *testing.T, c net.Conn, _ *peer) { io.WriteString(c, "x") }},
		{"a record came in part", func(t *testing.T, c net.Conn, p *peer) {
			p.wire.Write([]byte{23, 3, 3})
			c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			c.Read(make([]byte, 1))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			near, far := loopback(t)()
			c, p := wiredLeg(t, near, far)
			require.True(t, canTakeOver(c.(*carrier.Conn)))
			tt.do(t, c, p)
			require.False(t, canTakeOver(c.(*carrier.Conn)))
		})
	}
}

// Between our own programs the records are taken over; with a peer of TLS 1.2 the
// relay does without.
func TestRelayTakesRecordsOver(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.version = version
				client, host := w.pair("alice")
				requireCarries(t, client, host, "to the host")
				requireCarries(t, host, client, "to the client")
				w.relay.mu.Lock()
				defer w.relay.mu.Unlock()
				for j := range w.relay.joined {
					_, ours := j.client.(*recordLeg)
					require.Equal(t, version == tls.VersionTLS13, ours)
				}
			})
		})
	}
}

func FuzzRecordContent(f *testing.F) {
	f.Add(byte(tlsrecord.Application), []byte("content"))
	f.Add(byte(tlsrecord.Alert), []byte{1, 0})
	f.Add(byte(tlsrecord.Handshake), []byte{keyUpdate, 0, 0, 1, 1})
	f.Add(byte(0), []byte{1, byte(tlsrecord.Application), 0})
	secret := make([]byte, 32)
	f.Fuzz(func(t *testing.T, typ byte, content []byte) {
		if len(content) > tlsrecord.MaxContent {
			return
		}
		near, _ := simulated()
		sealer, err := tlsrecord.NewSealer(tls.TLS_AES_128_GCM_SHA256, secret, 0)
		require.NoError(t, err)
		l := &recordLeg{wire: &wire{Conn: near}}
		l.opener, err = tlsrecord.NewOpener(tls.TLS_AES_128_GCM_SHA256, secret, 0)
		require.NoError(t, err)
		l.sealer, err = tlsrecord.NewSealer(tls.TLS_AES_128_GCM_SHA256, secret, 0)
		require.NoError(t, err)
		l.wire.begin(spliceTimeout)
		buf := make([]byte, tlsrecord.HeaderLen+len(content)+tlsrecord.Overhead)
		copy(buf[tlsrecord.HeaderLen:], content)
		n, err := l.open(sealer.Seal(buf, len(content), tlsrecord.Type(typ)))
		if n > len(content) || err != nil && n > 0 {
			t.Fatalf("%d bytes of %d, %v", n, len(content), err)
		}
	})
}
