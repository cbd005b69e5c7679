package sqldirectory

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/reachback/reachback/internal/secrets"
)

const (
	// MinKeySecret is the least length of [Options.KeySecret], in bytes.
	MinKeySecret = 32

	// A sealed text is the version, a salt, from which and the secret its key is
	// derived, a nonce, and what AES-256-GCM makes of the text. That its purpose
	// and revision are authenticated too keeps an old row from being put back
	// under a new revision.
	sealVersion = 1
	saltSize    = 32
	nonceSize   = 12
	sealPurpose = "reachback keys v1"
)

// errSecret is what the wrong secret is told, and a row that was tampered with.
var errSecret = errors.New("the keys in the database were sealed with another secret, or are damaged; nothing was changed")

// A sealer seals the keys of an installation.
type sealer struct{ secret []byte }

// newSealer refuses a secret that cannot be one.
func newSealer(secret []byte) (*sealer, error) {
	if err := secrets.Check(secret, MinKeySecret); err != nil {
		return nil, fmt.Errorf("the secret for the keys: %w", err)
	}
	return &sealer{bytes.Clone(secret)}, nil
}

// close seals a text under a key of its own.
func (s *sealer) close(text []byte, revision uint64) []byte {
	sealed := make([]byte, 1+saltSize+nonceSize, 1+saltSize+nonceSize+len(text)+16)
	sealed[0] = sealVersion
	rand.Read(sealed[1:])
	salt, nonce := sealed[1:1+saltSize], sealed[1+saltSize:]
	return s.aead(salt).Seal(sealed, nonce, text, purpose(revision))
}

// open is the reverse of close.
func (s *sealer) open(sealed []byte, revision uint64) ([]byte, error) {
	if len(sealed) < 1+saltSize+nonceSize || sealed[0] != sealVersion {
		return nil, errSecret
	}
	salt, nonce, text := sealed[1:1+saltSize], sealed[1+saltSize:1+saltSize+nonceSize], sealed[1+saltSize+nonceSize:]
	data, err := s.aead(salt).Open(nil, nonce, text, purpose(revision))
	if err != nil {
		return nil, errSecret
	}
	return data, nil
}

func purpose(revision uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(sealPurpose), revision)
}

// aead derives the key of one sealed text. None of its steps fails for these sizes.
func (s *sealer) aead(salt []byte) cipher.AEAD {
	key, err := hkdf.Key(sha256.New, s.secret, salt, sealPurpose, 32)
	if err != nil {
		panic(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}
