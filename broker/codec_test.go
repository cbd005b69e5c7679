package broker

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/spectest"
)

// examples are the messages that SPEC.md prints as vectors, by the names there.
func examples() map[string]message {
	key := Thumbprint{1, 2, 3}
	return map[string]message{
		"hello":   &helloMessage{Versions: []int{1}, Agent: "reachback/1", OS: "linux"},
		"welcome": &welcomeMessage{Version: 1, Host: "h1", Name: "pc1", Pool: "desktops", Epoch: 1<<32 + 7, HeartbeatMS: 10000, DeadMS: 25000, Kills: []killedEntry{{"s0", reachback.CodeKilled}}},
		"ping":    &pingMessage{},
		"pong":    &pongMessage{},
		"summon": &summonMessage{header: header{ID: 1}, Call: "c1", Ticket: "t1", Gateway: "https://gw.example", Session: "s1", CorrelationID: "x1",
			User: "alice", Resource: "desktop", ClientKey: &key,
			Policy: reachback.Policy{Shortpath: true, Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, DSCP: 46, MaxRate: 1000000}},
		"summon-raw": &summonMessage{header: header{ID: 2}, Call: "c2", Ticket: "t2", Gateway: "https://gw.example", Session: "s2", CorrelationID: "x2",
			User: "alice", Tenant: "acme", Resource: "desktop", Raw: true, Policy: reachback.Policy{Raw: true}},
		"accept":       &acceptMessage{header{Re: 1}},
		"refuse":       &refuseMessage{header: header{Re: 2}, Code: reachback.CodeTargetUnavailable, Message: reachback.CodeTargetUnavailable.Text()},
		"sessions":     &sessionsMessage{Full: true, Sessions: []SessionReport{{Session: "s1", State: ReportActive}}},
		"sessions-end": &sessionsMessage{Sessions: []SessionReport{{"s1", ReportEnded, reachback.CodeClosed}}},
		"drain":        &drainMessage{On: true},
		"health":       &healthMessage{Health: Health{Fit: true, Target: true, Load: 0.25, DiskFree: 64 << 30}},
		"health-not":   &healthMessage{Health: Health{Problem: "the RDP server does not answer"}},
		"log-off":      &userSessionMessage{header: header{ID: 5}, Do: doLogOff, Session: "s1"},
		"user-message": &userSessionMessage{header: header{ID: 6}, Do: doMessage, Session: "s1", Title: "Tonight", Text: "The host restarts."},
		"disconnect":   &disconnectMessage{Session: "s1", Code: reachback.CodeKilled},
		"renew":        &renewMessage{header: header{ID: 3}, CSR: []byte{0x30, 0x00}},
		"renewed":      &renewMessage{header: header{Re: 3}, Certificate: []byte{0x30, 0x00}},
		"restarting":   &restartingMessage{ReconnectInMS: 1500, TryForMS: 60000},
		"close":        &closeMessage{Code: reachback.CodeSuperseded, Message: reachback.CodeSuperseded.Text()},
		"message":      &appMessage{header: header{ID: 4}, Topic: "agent.version", Body: json.RawMessage(`{"n":1}`)},
		"message-re":   &appMessage{header: header{Re: 4}, Body: json.RawMessage(`"1.2"`)},
	}
}

func TestControlVectors(t *testing.T) {
	checkVectors(t, "control", examples())
}

// checkVectors compares the messages of a block of vectors with ours, both ways.
func checkVectors(t *testing.T, group string, examples map[string]message) {
	seen := map[string]bool{}
	for _, v := range spectest.Vectors(t, group) {
		m := examples[v.Name]
		require.NotNil(t, m, "%s is not one of ours", v.Name)
		seen[v.Name] = true
		got, err := appendMessage(nil, m)
		require.NoError(t, err)
		require.Equal(t, string(v.Bytes), string(got), v.Name)

		body, err := readMessage(bytes.NewReader(v.Bytes))
		require.NoError(t, err)
		parsed, err := parseMessage(body)
		require.NoError(t, err)
		require.Equal(t, m, parsed, v.Name)
		for n := range len(v.Bytes) {
			_, err := readMessage(bytes.NewReader(v.Bytes[:n]))
			require.Error(t, err)
		}
		for n := range len(body) {
			_, err := parseMessage(body[:n])
			requireCode(t, reachback.CodeProtocolError, err)
		}
	}
	require.Len(t, seen, len(examples), "SPEC.md prints every message")
}

func TestSummonSurvivesTheChannel(t *testing.T) {
	s := &Summon{Call: "c", Ticket: "t", Gateway: "https://g", Session: "s", CorrelationID: "x", User: "u", Tenant: "n", Resource: "r",
		ClientKey: [32]byte{1}, Policy: reachback.Policy{DSCP: 46}}
	require.Equal(t, s, newSummonMessage(s).summon())
	s.ClientKey, s.Raw = [32]byte{}, true
	require.Equal(t, s, newSummonMessage(s).summon())
}

func TestD4_ALengthIsCheckedBeforeAnythingIsAllocated(t *testing.T) {
	for _, n := range []uint32{MaxMessage + 1, 1 << 31, 1<<31 - 1, 1<<32 - 1} {
		head := binary.BigEndian.AppendUint32(nil, n)
		allocs := testing.AllocsPerRun(10, func() {
			_, err := readMessage(bytes.NewReader(head))
			if reachback.CodeOf(err) != reachback.CodeMessageTooLarge {
				t.Fatal(err)
			}
		})
		require.Less(t, allocs, 5.0)
	}
	b, err := readMessage(bytes.NewReader(append(binary.BigEndian.AppendUint32(nil, MaxMessage), make([]byte, MaxMessage)...)))
	require.NoError(t, err)
	require.Len(t, b, MaxMessage)
	_, err = appendMessage(nil, &appMessage{Topic: string(make([]byte, MaxMessage))})
	requireCode(t, reachback.CodeMessageTooLarge, err)
}

func FuzzParseMessage(f *testing.F) {
	for _, all := range []map[string]message{examples(), gatewayExamples()} {
		for _, m := range all {
			b, err := appendMessage(nil, m)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add([]byte("\x00\x00\x00\x02{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		body, err := readMessage(bytes.NewReader(b))
		if err != nil {
			return
		}
		m, err := parseMessage(body)
		if err != nil || m == nil {
			return
		}
		again, err := appendMessage(nil, m)
		if err != nil {
			return // escaped, it can be longer than the cap
		}
		m2, err := parseMessage(again[4:])
		require.NoError(t, err)
		third, err := appendMessage(nil, m2)
		require.NoError(t, err)
		require.Equal(t, string(again), string(third))
	})
}

func FuzzParseSeed(f *testing.F) {
	f.Add([]byte(wholeSeed))
	f.Add([]byte(seedText))
	f.Add([]byte(`{"pools":[{"name":"p","rdp":{"a":{"b":[1]}}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSeed(b)
		if err != nil {
			return
		}
		require.NoError(t, (&MemoryDirectory{}).Apply(t.Context(), s))
		text, err := json.Marshal(s)
		require.NoError(t, err)
		_, err = ParseSeed(text)
		require.NoError(t, err)
	})
}

func FuzzParseEnrol(f *testing.F) {
	id, err := NewIdentity()
	if err != nil {
		f.Fatal(err)
	}
	old, err := NewIdentity()
	if err != nil {
		f.Fatal(err)
	}
	csr, err := id.csr()
	if err != nil {
		f.Fatal(err)
	}
	proof, err := old.prove(csr)
	if err != nil {
		f.Fatal(err)
	}
	for _, r := range []enrolRequest{
		{Token: "rbr_1_2", CSR: csr, Name: "pc1", Pool: "p"},
		{Token: "rbr_1_2", CSR: csr, Role: RoleGateway, URL: "https://GW.example:443/", Old: proof},
		{Token: "rbr_1_2", CSR: csr, Old: &keyProof{proof.Key, []byte{0x30, 0}}},
	} {
		b, err := json.Marshal(&r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"token":"x","csr":"MAA=","old":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parseEnrol(b)
		if err != nil {
			require.NotEmpty(t, reachback.CodeOf(err))
			return
		}
		require.NotNil(t, e.key)
		require.NotZero(t, e.Key)
		require.True(t, e.Name == "" || validName(e.Name))
		require.Equal(t, e.role == RoleGateway, e.URL != "")
		if e.URL != "" {
			again, ok := gatewayURL(e.URL)
			require.True(t, ok)
			require.Equal(t, e.URL, again)
		}
	})
}

func FuzzParseIdentity(f *testing.F) {
	id, err := NewIdentity()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(id.pem(nil))
	f.Add(id.pem([]byte{0x30, 0}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if i, err := parseIdentity(b); err == nil {
			require.NotNil(t, i.SessionCertificate())
		}
	})
}

func FuzzParseRegistrationToken(f *testing.F) {
	token, _, err := newRegistration(TokenOptions{Pool: "p"}, time.Unix(1_800_000_000, 0))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add("rbr__")
	f.Add("rbr_id")
	f.Fuzz(func(t *testing.T, s string) {
		id, hash, ok := parseRegistrationToken(s)
		if !ok {
			return
		}
		require.LessOrEqual(t, len(id), 64)
		require.NotContains(t, id, "_")
		secret := s[len(registrationPrefix)+len(id)+1:]
		require.Equal(t, sha256.Sum256([]byte(secret)), hash)
	})
}

func FuzzTakeEnrolled(f *testing.F) {
	keys := newWorldKeys(f)
	id, err := NewIdentity()
	if err != nil {
		f.Fatal(err)
	}
	cert, err := keys.hosts.identityCertificate(RoleHost, "h1", &id.key.PublicKey, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	for _, a := range []enrolAnswer{{Host: "h1", Name: "pc1", Pool: "p", Certificate: cert}, {Code: reachback.CodeNameTaken}} {
		b, err := json.Marshal(&a)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p := &party{role: RoleHost, identity: &Identity{key: id.key}}
		w, err := p.takeEnrolled(bytes.NewReader(b))
		if err != nil {
			require.Nil(t, p.identity.Certificate(), "what is refused is not kept")
			return
		}
		require.NotEmpty(t, w.Host)
		require.Empty(t, w.Gateway)
		require.True(t, id.key.PublicKey.Equal(p.identity.Certificate().Leaf.PublicKey))
	})
}
