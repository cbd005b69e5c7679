package tlsrecord

import (
	"bytes"
	"encoding/hex"
)

// A KeyLog takes the traffic secrets of one connection's server from crypto/tls: it
// is that connection's own tls.Config.KeyLogWriter, and writes them nowhere.
type KeyLog struct {
	client, server []byte
}

// Write takes one line of the format that tls.Config.KeyLogWriter documents.
func (k *KeyLog) Write(line []byte) (int, error) {
	f := bytes.Fields(line)
	if len(f) == 3 {
		secret, err := hex.AppendDecode(nil, f[2])
		switch {
		case err != nil:
		case string(f[0]) == "CLIENT_TRAFFIC_SECRET_0":
			k.client = secret
		case string(f[0]) == "SERVER_TRAFFIC_SECRET_0":
			k.server = secret
		}
	}
	return len(line), nil
}

// Complete reports whether the secrets have come.
func (k *KeyLog) Complete() bool { return k.client != nil && k.server != nil }

// Server returns both directions as the server has them, and forgets the secrets. It
// fails unless the handshake was one of TLS 1.3, and at the second call. About opened
// and sealed see [NewOpener] and [NewSealer].
func (k *KeyLog) Server(suite uint16, opened, sealed uint64) (*Opener, *Sealer, error) {
	client, server := k.client, k.server
	k.client, k.server = nil, nil
	defer clear(client)
	defer clear(server)
	o, err := NewOpener(suite, client, opened)
	if err != nil {
		return nil, nil, err
	}
	s, err := NewSealer(suite, server, sealed)
	return o, s, err
}
