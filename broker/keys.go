package broker

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/reachback/reachback/internal/token"
)

const (
	// PublishAhead is how long a new token key is published before it first
	// signs, so that every cache of the old set has been renewed by then.
	PublishAhead = 24 * time.Hour

	// retireAfter is how long a key stays published after its successor took
	// over: until the last token that it signed has ended everywhere.
	retireAfter = token.ConnectionLife + 2*token.Leeway
)

// Keys are the secrets of an installation: the keys that sign tokens, the host
// CA, and a server CA for when there is no public certificate. Their JSON form
// holds them in the clear; a [KeyStore] keeps it. They may be used concurrently.
type Keys struct {
	mu     sync.Mutex
	tokens []tokenKey // by the time of their first use; replaced, never changed
	hosts  *authority // immutable
	server *authority // immutable

	// Of keys that other brokers share; guarded by changing, which is taken
	// before mu and held while the store is asked.
	changing sync.Mutex
	store    KeyStore // immutable
	revision uint64   // of what was loaded or saved last
}

// A tokenKey is an Ed25519 key that signs from a certain time on.
type tokenKey struct {
	ID    string             `json:"kid"`
	From  time.Time          `json:"from"`
	Key   ed25519.PrivateKey `json:"-"`
	PKCS8 []byte             `json:"pkcs8"`
}

// NewKeys makes the keys of a new installation. Its first token key signs at
// once, because nobody has an older set.
func NewKeys() (*Keys, error) {
	now := time.Now()
	first, err := newTokenKey(now)
	if err != nil {
		return nil, err
	}
	hosts, err := newAuthority("reachback hosts", x509.ExtKeyUsageClientAuth, now)
	if err != nil {
		return nil, err
	}
	server, err := newAuthority("reachback server", x509.ExtKeyUsageServerAuth, now)
	if err != nil {
		return nil, err
	}
	return &Keys{tokens: []tokenKey{first}, hosts: hosts, server: server}, nil
}

func newTokenKey(from time.Time) (tokenKey, error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return tokenKey{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		return tokenKey{}, err
	}
	sum := sha256.Sum256(pub)
	return tokenKey{ID: base64.RawURLEncoding.EncodeToString(sum[:12]), From: from.UTC().Truncate(time.Second), Key: priv, PKCS8: der}, nil
}

// Rotate publishes a new token key, which signs from [PublishAhead] later on, and
// forgets the keys whose last token has ended. While a new key waits for its
// time, also one that another broker has made, Rotate does nothing.
func (k *Keys) Rotate(ctx context.Context) error {
	k.changing.Lock()
	defer k.changing.Unlock()
	err := errKeysChanged
	for range keyTries {
		if err = k.refresh(ctx); err != nil {
			break
		}
		if err = k.rotate(ctx, time.Now()); !errors.Is(err, errKeysChanged) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("broker: rotate keys: %w", err)
	}
	return nil
}

// rotate does so with the keys as they are known. The caller holds changing, and so
// nobody else replaces the tokens.
func (k *Keys) rotate(ctx context.Context, now time.Time) error {
	k.mu.Lock()
	waits := k.tokens[len(k.tokens)-1].From.After(now)
	tokens := slices.Clone(k.published(now))
	k.mu.Unlock()
	if waits {
		return nil
	}
	next, err := newTokenKey(now.Add(PublishAhead))
	if err != nil {
		return err
	}
	tokens = append(tokens, next)
	if k.store != nil {
		if err := k.saveTo(ctx, tokens); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tokens = tokens
	return nil
}

// published returns the keys of the set as of now. The caller holds mu.
func (k *Keys) published(now time.Time) []tokenKey {
	first := 0
	for i := 1; i < len(k.tokens); i++ {
		if !k.tokens[i].From.Add(retireAfter).After(now) {
			first = i
		}
	}
	return k.tokens[first:]
}

// Newest returns from when on the newest token key signs, which may be yet to come.
func (k *Keys) Newest() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.tokens[len(k.tokens)-1].From
}

// signer returns the key that signs at now.
func (k *Keys) signer(now time.Time) (kid string, key ed25519.PrivateKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.tokens[0]
	for _, next := range k.tokens[1:] {
		if !next.From.After(now) {
			t = next
		}
	}
	return t.ID, t.Key
}

// set returns the public keys as of now.
func (k *Keys) set(now time.Time) *jose.JSONWebKeySet {
	k.mu.Lock()
	defer k.mu.Unlock()
	set := &jose.JSONWebKeySet{}
	for _, t := range k.published(now) {
		set.Keys = append(set.Keys, jose.JSONWebKey{
			Key: t.Key.Public(), KeyID: t.ID, Algorithm: string(jose.EdDSA), Use: "sig",
		})
	}
	return set
}

// JWKS returns the public keys of tokens and grants as a JSON Web Key Set.
func (k *Keys) JWKS() ([]byte, error) { return json.Marshal(k.set(time.Now())) }

// HostCA returns the authority of hosts' identity certificates.
func (k *Keys) HostCA() *x509.CertPool { return k.hosts.pool.Clone() }

// ServerCA returns the certificate of the server CA, PEM.
func (k *Keys) ServerCA() []byte { return k.server.pem() }

// ServerCertificate issues a server's certificate for the DNS names and IP
// addresses, good for a year. Its key is new each time and kept nowhere.
func (k *Keys) ServerCertificate(names ...string) (tls.Certificate, error) {
	return k.server.serverCertificate(names, time.Now())
}

type keysJSON struct {
	Tokens []tokenKey `json:"tokens"`
	Hosts  *authority `json:"host_ca"`
	Server *authority `json:"server_ca"`
}

// MarshalJSON implements [json.Marshaler]. The result holds the private keys.
func (k *Keys) MarshalJSON() ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return json.Marshal(keysJSON{k.tokens, k.hosts, k.server})
}

// UnmarshalJSON implements [json.Unmarshaler].
func (k *Keys) UnmarshalJSON(b []byte) error {
	var j keysJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	if len(j.Tokens) == 0 || j.Hosts == nil || j.Server == nil {
		return errors.New("keys are missing")
	}
	for i := range j.Tokens {
		t := &j.Tokens[i]
		key, err := x509.ParsePKCS8PrivateKey(t.PKCS8)
		if err != nil {
			return fmt.Errorf("token key: %w", err)
		}
		ed, ok := key.(ed25519.PrivateKey)
		if !ok || t.ID == "" || i > 0 && t.From.Before(j.Tokens[i-1].From) {
			return errors.New("token key: not an Ed25519 key in order")
		}
		t.Key = ed
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tokens, k.hosts, k.server = j.Tokens, j.Hosts, j.Server
	return nil
}
