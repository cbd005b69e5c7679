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
	"runtime"

	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/internal/secrets"
)

// Least bytes of secrets.
const (
	leastKey      = 32 // of -key-file: it seals everything that signs
	leastPassword = 12 // of the database
	mostSecret    = 4 << 10
)

// readSecret reads a file with one secret, without the white space around it. A file
// that others than its owner may use is refused, where the system has such modes.
func readSecret(flag, path string, least int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("flag %s: %w", flag, err)
	}
	defer f.Close()
	if err := ownersAlone(f); err != nil {
		return nil, fmt.Errorf("flag %s: %w", flag, err)
	}
	data, err := io.ReadAll(io.LimitReader(f, mostSecret+1))
	if err != nil {
		return nil, fmt.Errorf("flag %s: %w", flag, err)
	}
	secret := bytes.TrimSpace(data)
	if len(secret) > mostSecret {
		return nil, fmt.Errorf("flag %s: %s is longer than %d bytes", flag, path, mostSecret)
	}
	if err := secrets.Check(secret, least); err != nil {
		return nil, fmt.Errorf("flag %s: %s: %w", flag, path, err)
	}
	return secret, nil
}

// ownersAlone refuses a file that its group or everybody may read or write. A pipe has
// no readers but those whom it was given to.
func ownersAlone(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if mode := info.Mode(); runtime.GOOS != "windows" && mode.IsRegular() && mode.Perm()&0o077 != 0 {
		return fmt.Errorf("%s is open to others than its owner (mode %04o); close it, as by: chmod 600", f.Name(), mode.Perm())
	}
	return nil
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
