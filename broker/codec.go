package broker

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"reflect"

	strict "github.com/go-jose/go-jose/v4/json"

	"github.com/reachback/reachback"
)

// MaxMessage is the longest message of a control channel, without its length.
const MaxMessage = 64 << 10

// readMessage reads one message (SPEC.md, section 5). Nothing is allocated
// before the length has been checked. The error of a connection that ended
// between two messages is io.EOF.
func readMessage(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > MaxMessage {
		return nil, reachback.Refuse(reachback.CodeMessageTooLarge)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return b, nil
}

// appendMessage appends m with its length, which it checks.
func appendMessage(b []byte, m message) ([]byte, error) {
	m.head().Type = kinds[reflect.TypeOf(m)]
	body, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if len(body) > MaxMessage {
		return nil, reachback.Refuse(reachback.CodeMessageTooLarge)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	return append(b, body...), nil
}

// parseMessage decodes a message. One of an unknown type is nil, which its reader
// ignores; one that is not an object with a type, or has a key twice, breaks the
// protocol.
func parseMessage(b []byte) (message, error) {
	var h header
	if err := strict.Unmarshal(b, &h); err != nil || h.Type == "" {
		return nil, reachback.Refuse(reachback.CodeProtocolError)
	}
	m := newMessage(h.Type)
	if m == nil {
		return nil, nil
	}
	if err := strict.Unmarshal(b, m); err != nil {
		return nil, reachback.Refuse(reachback.CodeProtocolError)
	}
	return m, nil
}
