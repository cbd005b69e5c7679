// Package tlsrecord protects the records of a TLS 1.3 connection whose handshake
// crypto/tls has made (RFC 8446, section 5). It is for one purpose: to pass the
// records of one connection on to another at the cost of the two ciphers, in the
// memory that they came in, and to keep nothing while none come. crypto/tls copies
// twice, and holds the buffer of the largest record that it saw for as long as the
// connection lives.
//
// The keys come from [KeyLog]. How many records they have protected already is for
// the caller to know, to the record: a [Sealer] that starts too early uses a nonce
// twice, an [Opener] that starts too late lets somebody on the way leave records out.
package tlsrecord

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"hash"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
)

// A Type is the content type of a record.
type Type byte

// The types that may come after the handshake.
const (
	Alert       Type = 21
	Handshake   Type = 22
	Application Type = 23
)

const (
	// HeaderLen is the length of a record's header, in front of what it protects.
	HeaderLen = 5
	// Overhead is what a sealed record has beyond header and content: its
	// type and the tag, which all suites of TLS 1.3 have in the same length.
	Overhead = 1 + tagLen
	// MaxContent is the most that a record carries, and MaxRecord the most
	// that one is long, header and padding included.
	MaxContent = 16 << 10
	MaxRecord  = HeaderLen + MaxContent + 256

	tagLen   = 16
	nonceLen = 12
)

// ErrRecord is any fault of a record: there is nothing that a peer should be told
// about the difference.
var ErrRecord = errors.New("tlsrecord: bad record")

// Length returns the length of the record that begins with header, itself
// included, and checks that it can be one.
func Length(header []byte) (int, error) {
	n := HeaderLen + int(binary.BigEndian.Uint16(header[3:]))
	if Type(header[0]) != Application || header[1] != 3 || header[2] != 3 || n > MaxRecord || n < HeaderLen+Overhead {
		return 0, ErrRecord
	}
	return n, nil
}

// keys are those of one direction.
type keys struct {
	suite  *suite
	secret []byte
	aead   cipher.AEAD
	iv     [nonceLen]byte
	seq    uint64
}

type suite struct {
	hash    func() hash.Hash
	hashLen int
	keyLen  int
	aead    func(key []byte) (cipher.AEAD, error)
}

func newGCM(key []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

var suites = map[uint16]*suite{
	tls.TLS_AES_128_GCM_SHA256:       {sha256.New, sha256.Size, 16, newGCM},
	tls.TLS_AES_256_GCM_SHA384:       {sha512.New384, sha512.Size384, 32, newGCM},
	tls.TLS_CHACHA20_POLY1305_SHA256: {sha256.New, sha256.Size, chacha20poly1305.KeySize, chacha20poly1305.New},
}

// newKeys derives the keys of a traffic secret (RFC 8446, section 7.3), for the
// records from seq on.
func newKeys(id uint16, secret []byte, seq uint64) (*keys, error) {
	k := &keys{suite: suites[id]}
	if k.suite == nil || len(secret) != k.suite.hashLen {
		return nil, errors.New("tlsrecord: not a suite of TLS 1.3, or not its secret")
	}
	if err := k.use(slices.Clone(secret)); err != nil {
		return nil, err
	}
	k.seq = seq
	return k, nil
}

func (k *keys) use(secret []byte) error {
	key, err := k.suite.expand(secret, "key", k.suite.keyLen)
	if err != nil {
		return err
	}
	iv, err := k.suite.expand(secret, "iv", nonceLen)
	if err != nil {
		return err
	}
	if k.aead, err = k.suite.aead(key); err != nil {
		return err
	}
	clear(k.secret) // who gets hold of the next one is not to have those before (section 7.2)
	k.secret, k.iv, k.seq = secret, [nonceLen]byte(iv), 0
	return nil
}

// update takes the next secret in place of this one (section 7.2).
func (k *keys) update() error {
	next, err := k.suite.expand(k.secret, "traffic upd", k.suite.hashLen)
	if err != nil {
		return err
	}
	return k.use(next)
}

// expand is HKDF-Expand-Label without context (section 7.1).
func (s *suite) expand(secret []byte, label string, n int) ([]byte, error) {
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(append(append(info, byte(len(label))), label...), 0)
	return hkdf.Expand(s.hash, secret, string(info), n)
}

// nonce returns that of record seq (section 5.3).
func (k *keys) nonce(seq uint64) (n [nonceLen]byte) {
	n = k.iv
	for i := range 8 {
		n[nonceLen-1-i] ^= byte(seq >> (8 * i))
	}
	return n
}

// An Opener opens the records of one direction.
type Opener struct{ keys *keys }

// NewOpener returns the opener of a direction with that first traffic secret, under
// which another has opened that many records.
func NewOpener(suite uint16, secret []byte, opened uint64) (*Opener, error) {
	k, err := newKeys(suite, secret, opened)
	return &Opener{k}, err
}

// Open opens a whole record in place and returns its type and content.
func (o *Opener) Open(record []byte) (Type, []byte, error) {
	if len(record) < HeaderLen+Overhead {
		return 0, nil, ErrRecord
	}
	header, sealed := record[:HeaderLen], record[HeaderLen:]
	nonce := o.keys.nonce(o.keys.seq)
	b, err := o.keys.aead.Open(sealed[:0], nonce[:], sealed, header)
	if err != nil {
		return 0, nil, ErrRecord
	}
	o.keys.seq++
	if len(b) > MaxContent+1 { // with its padding, too (section 5.4)
		return 0, nil, ErrRecord
	}
	// The type is the last byte that is not padding.
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] != 0 {
			return Type(b[i]), b[:i], nil
		}
	}
	return 0, nil, ErrRecord
}

// Update follows the peer's key update.
func (o *Opener) Update() error { return o.keys.update() }

// A Sealer seals the records of one direction.
type Sealer struct{ keys *keys }

// NewSealer returns the sealer of a direction with that first traffic secret, under
// which another has sealed that many records, and seals no more.
func NewSealer(suite uint16, secret []byte, sealed uint64) (*Sealer, error) {
	k, err := newKeys(suite, secret, sealed)
	return &Sealer{k}, err
}

// Seal seals, in place, the n bytes that stand at buf[HeaderLen:] as a record of
// that type, and returns the record. buf has room for it.
func (s *Sealer) Seal(buf []byte, n int, t Type) []byte {
	record := buf[:HeaderLen+n+Overhead]
	record[0], record[1], record[2] = byte(Application), 3, 3
	binary.BigEndian.PutUint16(record[3:], uint16(n+Overhead))
	record[HeaderLen+n] = byte(t)
	nonce := s.keys.nonce(s.keys.seq)
	s.keys.seq++
	s.keys.aead.Seal(record[HeaderLen:HeaderLen], nonce[:], record[HeaderLen:HeaderLen+n+1], record[:HeaderLen])
	return record
}

// MaxSealed is how many records the same keys should seal at most (section 5.5).
const MaxSealed = 1 << 24

// Sealed returns how many records the present keys have sealed.
func (s *Sealer) Sealed() uint64 { return s.keys.seq }

// Update takes the next keys. The peer is to be told before, under the old ones.
func (s *Sealer) Update() error { return s.keys.update() }
