package tlsrecord

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

// The secrets of RFC 8448, section 3, and what is derived from them there.
func TestKeysAreThoseOfRFC8448(t *testing.T) {
	for _, tt := range []struct{ name, secret, key, iv string }{
		{
			"client",
			"9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
			"17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9",
		},
		{
			"server",
			"a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643",
			"9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, err := newKeys(tls.TLS_AES_128_GCM_SHA256, unhex(t, tt.secret), 0)
			require.NoError(t, err)
			require.Equal(t, tt.iv, hex.EncodeToString(k.iv[:]))
			want, err := newGCM(unhex(t, tt.key))
			require.NoError(t, err)
			nonce := make([]byte, nonceLen)
			require.Equal(t, want.Seal(nil, nonce, []byte("text"), nil), k.aead.Seal(nil, nonce, []byte("text"), nil))
		})
	}
}

// pair returns a sealer and an opener with the same keys, from those records on.
func pair(t testing.TB, suite uint16, sealed, opened uint64) (*Sealer, *Opener) {
	t.Helper()
	require.Contains(t, suites, suite)
	secret := bytes.Repeat([]byte{7}, suites[suite].hashLen)
	s, err := NewSealer(suite, secret, sealed)
	require.NoError(t, err)
	o, err := NewOpener(suite, secret, opened)
	require.NoError(t, err)
	return s, o
}

func seal(s *Sealer, t Type, content []byte) []byte {
	buf := make([]byte, HeaderLen+len(content)+Overhead)
	copy(buf[HeaderLen:], content)
	return s.Seal(buf, len(content), t)
}

func TestRoundTrip(t *testing.T) {
	for suite := range suites {
		t.Run(tls.CipherSuiteName(suite), func(t *testing.T) {
			s, o := pair(t, suite, 0, 0)
			for round := range 3 {
				for _, n := range []int{0, 1, 100, MaxContent} {
					content := bytes.Repeat([]byte{byte(n + round)}, n)
					record := seal(s, Application, content)
					size, err := Length(record)
					require.NoError(t, err)
					require.Len(t, record, size)
					typ, got, err := o.Open(record)
					require.NoError(t, err)
					require.Equal(t, Application, typ)
					require.True(t, bytes.Equal(content, got))
				}
				require.Equal(t, uint64(4), s.Sealed())
				require.NoError(t, s.Update())
				require.NoError(t, o.Update())
			}
		})
	}
}

func TestPaddingIsTakenOff(t *testing.T) {
	s, o := pair(t, tls.TLS_AES_128_GCM_SHA256, 0, 0)
	// Padding is content that a sealer of another program puts behind the type.
	typ, content, err := o.Open(seal(s, 0, []byte{'h', 'i', byte(Application), 0, 0}))
	require.NoError(t, err)
	require.Equal(t, Application, typ)
	require.Equal(t, "hi", string(content))

	_, _, err = o.Open(seal(s, 0, []byte{0, 0}))
	require.ErrorIs(t, err, ErrRecord, "nothing but padding")
	padded := make([]byte, MaxContent)
	padded[0], padded[1] = 'x', byte(Application)
	_, content, err = o.Open(seal(s, 0, padded))
	require.NoError(t, err)
	require.Equal(t, "x", string(content))
	_, _, err = o.Open(seal(s, 0, append(padded, 0)))
	require.ErrorIs(t, err, ErrRecord, "more than a record holds")
}

func TestOpenRefuses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(record []byte) []byte
	}{
		{"changed content", func(r []byte) []byte { r[HeaderLen] ^= 1; return r }},
		{"changed tag", func(r []byte) []byte { r[len(r)-1] ^= 1; return r }},
		{"changed header", func(r []byte) []byte { r[4] ^= 1; return r }},
		{"cut", func(r []byte) []byte { return r[:len(r)-1] }},
		{"cut to nothing", func(r []byte) []byte { return r[:HeaderLen] }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, o := pair(t, tls.TLS_AES_128_GCM_SHA256, 0, 0)
			_, _, err := o.Open(tt.spoil(seal(s, Application, []byte("content"))))
			require.ErrorIs(t, err, ErrRecord)
		})
	}
	t.Run("shown again", func(t *testing.T) {
		s, o := pair(t, tls.TLS_AES_128_GCM_SHA256, 0, 0)
		record := seal(s, Application, []byte("content"))
		again := bytes.Clone(record)
		_, _, err := o.Open(record)
		require.NoError(t, err)
		_, _, err = o.Open(again)
		require.ErrorIs(t, err, ErrRecord)
	})
}

func TestLengthRefuses(t *testing.T) {
	for _, header := range []string{"1703030010", "1703034101", "170303ffff", "1603030020", "1702030020", "1503030013"} {
		_, err := Length(unhex(t, header))
		require.ErrorIs(t, err, ErrRecord, header)
	}
}

// Records before the first are another's; neither one of these nor a later one is
// taken for it.
func TestOpenerBeginsWhereAnotherHasEnded(t *testing.T) {
	const opened = 100
	for _, tt := range []struct {
		sealed uint64
		ok     bool
	}{{opened, true}, {opened - 1, false}, {opened + 1, false}, {0, false}} {
		s, o := pair(t, tls.TLS_AES_128_GCM_SHA256, tt.sealed, opened)
		_, got, err := o.Open(seal(s, Application, []byte("first")))
		if !tt.ok {
			require.ErrorIs(t, err, ErrRecord)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, "first", string(got))
		seal(s, Application, []byte("lost"))
		_, _, err = o.Open(seal(s, Application, []byte("third")))
		require.ErrorIs(t, err, ErrRecord)
	}
}

// Of keys that are not used any more the secret is gone.
func TestUpdateForgetsTheSecret(t *testing.T) {
	s, _ := pair(t, tls.TLS_AES_256_GCM_SHA384, 0, 0)
	first := s.keys.secret
	require.NoError(t, s.Update())
	require.NotEqual(t, first, s.keys.secret)
	require.Equal(t, make([]byte, len(first)), first)
}

func TestKeyLog(t *testing.T) {
	var k KeyLog
	for _, line := range []string{
		"CLIENT_HANDSHAKE_TRAFFIC_SECRET 00 ff\n",
		"rubbish\n",
		"CLIENT_TRAFFIC_SECRET_0 00 " + hex.EncodeToString(bytes.Repeat([]byte{1}, 32)) + "\n",
		"SERVER_TRAFFIC_SECRET_0 00 " + hex.EncodeToString(bytes.Repeat([]byte{2}, 32)) + "\n",
	} {
		n, err := k.Write([]byte(line))
		require.NoError(t, err)
		require.Equal(t, len(line), n)
	}
	client, server := k.client, k.server
	_, _, err := k.Server(tls.TLS_AES_128_GCM_SHA256, 0, 0)
	require.NoError(t, err)
	require.Equal(t, make([]byte, 64), append(client, server...))
	_, _, err = k.Server(tls.TLS_AES_128_GCM_SHA256, 0, 0)
	require.Error(t, err, "the secrets are forgotten")
	_, _, err = new(KeyLog).Server(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, 0, 0)
	require.Error(t, err, "a suite of TLS 1.2")
}

func FuzzOpen(f *testing.F) {
	s, _ := pair(f, tls.TLS_AES_128_GCM_SHA256, 0, 0)
	f.Add(seal(s, Application, []byte("content")))
	f.Add(seal(s, Alert, []byte{1, 0}))
	f.Add([]byte{23, 3, 3, 0, 17})
	for _, content := range [][]byte{nil, {0, 0}, {'x', byte(Application), 0, 0}, make([]byte, MaxContent), make([]byte, MaxContent+1)} {
		s, _ := pair(f, tls.TLS_AES_128_GCM_SHA256, 0, 0)
		f.Add(seal(s, Application, content))
		s, _ = pair(f, tls.TLS_AES_128_GCM_SHA256, 0, 0)
		f.Add(seal(s, 0, content))
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		_, o := pair(t, tls.TLS_AES_128_GCM_SHA256, 0, 0)
		if len(record) >= HeaderLen {
			if n, err := Length(record); err == nil && n <= len(record) {
				record = record[:n]
			}
		}
		size := len(record)
		if _, content, err := o.Open(record); err == nil && len(content) > size-HeaderLen-Overhead {
			t.Fatal("more content than record")
		}
	})
}
