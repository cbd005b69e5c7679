// Package secrets tells a secret that somebody has drawn from one that he forgot to
// replace.
package secrets

import (
	"errors"
	"fmt"
	"strings"
)

// placeholders are in secrets that somebody forgot to replace. Hardly a random
// secret has so long a word in it.
var placeholders = []string{
	"change", "secret", "passw", "example", "placehold", "default", "replace", "insert", "insecure", "please", "qwert", "letmein",
	"12345678", "0123456789", "abcdefgh", "postgres",
}

// leastDistinct is how many bytes of a secret differ: of 32 random hexadecimal digits
// as many do but for one time in twenty million.
const leastDistinct = 8

// Check refuses a secret of fewer than least bytes, a placeholder, and one that is made
// of a few characters only or of bytes that count. Its errors do not repeat the secret.
func Check(secret []byte, least int) error {
	if len(secret) < least {
		return fmt.Errorf("the secret has %d bytes, and needs %d", len(secret), least)
	}
	lower := strings.ToLower(string(secret))
	for _, p := range placeholders {
		if strings.Contains(lower, p) {
			return errors.New("the secret looks like a placeholder; draw a random one, as by: openssl rand -base64 32")
		}
	}
	seen := make(map[byte]bool)
	counts := true
	for i, c := range secret {
		seen[c] = true
		counts = counts && (i == 0 || c == secret[i-1]+1)
	}
	if len(seen) < leastDistinct || counts {
		return errors.New("the secret repeats itself or counts; draw a random one, as by: openssl rand -base64 32")
	}
	return nil
}
