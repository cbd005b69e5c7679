package broker

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/spectest"
	"github.com/reachback/reachback/relay"
)

// gatewayExamples are the messages of gateways' channels that SPEC.md prints.
func gatewayExamples() map[string]message {
	return map[string]message{
		"hello":   &helloMessage{Versions: []int{1}, Agent: "reachback/1", OS: "linux", Role: RoleGateway, URL: "https://gw.example"},
		"welcome": &welcomeMessage{Version: 1, Gateway: "g1", Name: "gw1", Epoch: 1<<32 + 7, HeartbeatMS: 10000, DeadMS: 25000},
		"kills": &killsMessage{header: header{ID: 1}, Kills: []killEntry{
			{Revision: 7, Session: "s1", Code: reachback.CodeKilled}, {Revision: 8, Host: "h1", Code: reachback.CodeHostRevoked}}},
		"kills-taken": &acceptMessage{header{Re: 1}},
		"trust":       &trustMessage{Keys: json.RawMessage(`{"keys":[]}`), HostCA: [][]byte{{0x30, 0x00}}, Drain: true},
		"orchestrate": &orchestrateMessage{header: header{ID: 2}, Call: "c1", Ticket: "t1", Gateway: "https://gw.example", Token: "a.b.c",
			Nonce: "0123456789abcdef", Remote: "192.0.2.1:50000", CorrelationID: "x1", WithinMS: 14900},
		"orchestrate-raw": &orchestrateMessage{header: header{ID: 3}, Call: "c2", Ticket: "t2", Gateway: "https://gw.example", Token: "a.b.c",
			Remote: "[2001:db8::1]:50000", Raw: true, CorrelationID: "x2", WithinMS: 15000},
		"permit": &permitMessage{header: header{Re: 2}, Session: "s1", Host: "h1", Grant: "d.e.f"},
		"refuse": &refuseMessage{header: header{Re: 3}, Code: reachback.CodeNoHost, Message: reachback.CodeNoHost.Text()},
		"report": &reportMessage{header: header{ID: 4}, Events: []relay.Event{{
			Kind: relay.EventEnded, Time: time.Unix(1_800_000_000, 0).UTC(), Gateway: "https://gw.example", Call: "c1", Session: "s1", Host: "h1",
			Tenant: "t", User: "alice", Resource: "desktop", Remote: netip.MustParseAddrPort("192.0.2.1:50000"), CorrelationID: "x1",
			Code: reachback.CodeClosed, Duration: 90 * time.Second, ToHost: 1000, ToClient: 2000,
		}}},
		"report-taken": &acceptMessage{header{Re: 4}},
	}
}

func TestGatewayVectors(t *testing.T) {
	checkVectors(t, "gateway", gatewayExamples())
}

// What SPEC.md prints of a proof by an old key is one.
func TestOldKeyVector(t *testing.T) {
	v := map[string][]byte{}
	for _, row := range spectest.Vectors(t, "old-key") {
		v[row.Name] = row.Bytes
	}
	require.Equal(t, oldKeyPrefix, string(v["prefix"]))
	p := &keyProof{Key: v["key"], Signature: v["signature"]}
	got, err := p.check(v["csr"])
	require.NoError(t, err)
	require.Equal(t, v["thumbprint"], got[:])
	_, err = parseCSR(v["csr"])
	require.NoError(t, err)
	for i := range v["csr"] {
		other := bytes.Clone(v["csr"])
		other[i] ^= 1
		_, err = p.check(other)
		require.Error(t, err)
	}
}

// What a broker, or whoever plays one, makes a gateway trust is read whole or not.
func FuzzParseTrust(f *testing.F) {
	keys := newWorldKeys(f)
	jwks, err := keys.JWKS()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(jwks), keys.hosts.cert.Raw)
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"}]}`), keys.server.cert.Raw)
	f.Add([]byte(`{"keys":[]}`), []byte{0x30, 0})
	f.Fuzz(func(t *testing.T, jwks, ca []byte) {
		got, err := parseTrust(&trustMessage{Keys: jwks, HostCA: [][]byte{ca}})
		if err != nil {
			requireCode(t, reachback.CodeProtocolError, err)
			return
		}
		require.NotEmpty(t, got.Keys.Keys)
		for _, k := range got.Keys.Keys {
			require.True(t, k.IsPublic())
		}
		require.NotNil(t, got.HostCA)
	})
}
