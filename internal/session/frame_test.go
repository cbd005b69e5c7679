package session

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/spectest"
)

// parse parses the frame at the start of b and returns how long it is; 0 if
// there is more to come.
func parse(b []byte) (frame, int, error) {
	if len(b) < headerLen {
		return frame{}, 0, nil
	}
	t, n := frameType(b[0]), binary.BigEndian.Uint32(b[1:])
	if err := checkLength(t, n); err != nil {
		return frame{}, 0, err
	}
	if len(b) < headerLen+int(n) {
		return frame{}, 0, nil
	}
	f, err := parseBody(t, b[headerLen:headerLen+int(n)])
	return f, headerLen + int(n), err
}

// appendFrame encodes f with the encoders that the writer uses.
func appendFrame(b []byte, f *frame) []byte {
	switch f.typ {
	case frameHello:
		return appendHello(b, f.features, f.limit)
	case frameData:
		return append(appendData(b, f.offset, len(f.data), f.fin), f.data...)
	case frameAck:
		return appendAck(b, f.offset, f.limit)
	case frameReset:
		return appendReset(b, f.code)
	case framePing, framePong:
		return appendProbe(b, f.typ, f.probe)
	}
	return b
}

func TestFramesAreThoseOfTheSpecification(t *testing.T) {
	want := map[string]frame{
		"hello":                      {typ: frameHello, version: 1, limit: 4 << 20},
		"hello with later fields":    {typ: frameHello, version: 2, features: 0x80000001},
		"data":                       {typ: frameData, data: []byte("hello")},
		"data at an offset with fin": {typ: frameData, offset: 1<<32 + 5, fin: true, data: []byte("ok")},
		"fin alone":                  {typ: frameData, offset: 5, fin: true, data: []byte{}},
		"ack":                        {typ: frameAck, offset: 5, limit: 4<<20 + 5},
		"ack of fin":                 {typ: frameAck, offset: 6, limit: 4<<20 + 5},
		"reset closed":               {typ: frameReset, code: reachback.CodeClosed},
		"reset client_key_mismatch":  {typ: frameReset, code: reachback.CodeClientKeyMismatch},
		"ping":                       {typ: framePing, probe: 1},
		"pong":                       {typ: framePong, probe: 1},
	}
	vectors := spectest.Vectors(t, "session")
	require.Len(t, vectors, len(want))
	for _, v := range vectors {
		f, n, err := parse(v.Bytes)
		require.NoError(t, err, v.Name)
		require.Equal(t, len(v.Bytes), n, v.Name)
		require.Equal(t, want[v.Name], f, v.Name)
		if f.version < 2 {
			require.Equal(t, v.Bytes, appendFrame(nil, &f), v.Name)
		}
		for i := range v.Bytes {
			_, n, err := parse(v.Bytes[:i])
			require.NoError(t, err)
			require.Zero(t, n, "%s cut to %d bytes is no frame", v.Name, i)
		}
	}
}

// The length of a frame is judged by its header alone: 5 bytes are all that the
// session has read, and no memory was taken for the rest.
func TestD4_LengthsAreCheckedBeforeAnythingIsKept(t *testing.T) {
	for _, tt := range []struct {
		name     string
		typ      frameType
		low, top uint32
	}{
		{"hello", frameHello, 14, 256},
		{"data", frameData, 9, 65545},
		{"ack", frameAck, 16, 16},
		{"reset", frameReset, 1, 64},
		{"ping", framePing, 8, 8},
		{"pong", framePong, 8, 8},
		{"extension", 0x80, 0, 65536},
		{"last extension", 0xff, 0, 65536},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.NoError(t, checkLength(tt.typ, tt.low))
			require.NoError(t, checkLength(tt.typ, tt.top))
			if tt.low > 0 {
				requireCode(t, reachback.CodeProtocolError, checkLength(tt.typ, 0))
				requireCode(t, reachback.CodeProtocolError, checkLength(tt.typ, tt.low-1))
			}
			for _, n := range []uint32{tt.top + 1, 1 << 31, math.MaxUint32} {
				requireCode(t, reachback.CodeFrameTooLarge, checkLength(tt.typ, n))
				header := binary.BigEndian.AppendUint32([]byte{byte(tt.typ)}, n)
				if tt.typ == frameHello {
					requireEndsWith(t, reachback.CodeFrameTooLarge, nil, header)
				} else {
					requireEndsWith(t, reachback.CodeFrameTooLarge, appendHello(nil, 0, 1<<20), header)
				}
			}
		})
	}
}

func FuzzFrame(f *testing.F) {
	for _, v := range spectest.Vectors(f, "session") {
		f.Add(v.Bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, n, err := parse(b)
		if err != nil || n == 0 || fr.typ >= frameExtension {
			return
		}
		if fr.typ == frameHello {
			// What a later version adds is not repeated, and the version is ours.
			require.Equal(t, b[headerLen+2:headerLen+14], appendFrame(nil, &fr)[headerLen+2:])
			return
		}
		require.True(t, bytes.Equal(b[:n], appendFrame(nil, &fr)))
	})
}
