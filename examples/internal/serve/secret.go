package serve

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/reachback/reachback/examples/internal/program"
)

// Least bytes of secrets.
const (
	leastKey      = 32 // of -key-file: it seals everything that signs
	leastPassword = 12 // of the database
	mostSecret    = 4 << 10
)

// placeholders are in secrets that somebody forgot to replace. No random secret
// has so long a word in it.
var placeholders = []string{
	"change", "secret", "passw", "example", "placehold", "default", "replace", "insert", "please", "qwert", "letmein", "12345678", "abcdefgh", "postgres",
}

// checkSecret refuses a secret that is short, a placeholder, or made of a few
// characters only. Its errors do not repeat the secret.
func checkSecret(secret []byte, least int) error {
	if len(secret) < least {
		return fmt.Errorf("the secret has %d bytes, and needs %d", len(secret), least)
	}
	lower := strings.ToLower(string(secret))
	for _, p := range placeholders {
		if strings.Contains(lower, p) {
			return errors.New("the secret looks like a placeholder; draw a random one, as by: openssl rand -base64 32")
		}
	}
	seen := map[byte]bool{}
	for _, c := range secret {
		seen[c] = true
	}
	if len(seen) < 8 {
		return errors.New("the secret repeats itself; draw a random one, as by: openssl rand -base64 32")
	}
	return nil
}

// readSecret reads a file with one secret, without the white space around it.
func readSecret(flag, path string, least int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("flag %s: %w", flag, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, mostSecret+1))
	if err != nil {
		return nil, fmt.Errorf("flag %s: %w", flag, err)
	}
	secret := bytes.TrimSpace(data)
	if len(secret) > mostSecret {
		return nil, fmt.Errorf("flag %s: %s is longer than %d bytes", flag, path, mostSecret)
	}
	if err := checkSecret(secret, least); err != nil {
		return nil, fmt.Errorf("flag %s: %s: %w", flag, path, err)
	}
	return secret, nil
}

// ownKey returns the key of dir that seals what the database keeps, and makes it
// where there is none.
func ownKey(dir string) ([]byte, error) {
	const name = "key"
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		// As text, so that white space around it means nothing.
		if _, err := program.WriteFile(dir, name, []byte(rand.Text()+rand.Text()+"\n")); err != nil {
			return nil, err
		}
	}
	return readSecret("-key-file", path, leastKey)
}
