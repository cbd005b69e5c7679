package hostside

import (
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/broker"
)

func TestAbandonedCallsKeepNobodyOut(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	ts := &targets{addr: l.Addr().String(), parked: make(map[string]parked)}
	defer ts.close()
	for i := range maxParked {
		require.NoError(t, ts.admit(t.Context(), &broker.Summon{Session: fmt.Sprint("abandoned ", i)}))
	}
	require.NoError(t, ts.admit(t.Context(), &broker.Summon{Session: "s"}))
	require.Len(t, ts.parked, maxParked)
	conn, err := ts.take("s")
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}
