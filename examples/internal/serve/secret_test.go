package serve

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestA10_WeakSecretsAreRefused(t *testing.T) {
	for name, secret := range map[string]string{
		"empty":                      "",
		"white space":                strings.Repeat(" \n", 40),
		"short":                      "kV8cnz2LQ0wYbR5uTq1xH7",
		"one character":              strings.Repeat("x", 64),
		"few characters":             strings.Repeat("abc", 20),
		"zeros":                      string(make([]byte, 32)),
		"placeholder":                "please-change-me-to-something-random-and-long",
		"placeholder with capitals":  "CHANGEME-kV8cnz2LQ0wYbR5uTq1xH7-kV8cnz2LQ0",
		"placeholder of a template":  "<insert the 32 random bytes of the key here>",
		"default of another product": "thisisasecretkeythisisasecretkey",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			require.NoError(t, os.WriteFile(path, []byte(secret), 0o600))
			_, err := readSecret("-key-file", path, leastKey)
			require.ErrorContains(t, err, "-key-file")
			if s := strings.TrimSpace(secret); s != "" {
				require.NotContains(t, err.Error(), s, "the error tells the secret")
			}
		})
	}
	random := make([]byte, 32)
	rand.Read(random)
	for name, secret := range map[string]string{
		"hexadecimal": hex.EncodeToString(random),
		"base64":      base64.StdEncoding.EncodeToString(random) + "\n",
	} {
		path := filepath.Join(t.TempDir(), "key")
		require.NoError(t, os.WriteFile(path, []byte(secret), 0o600))
		got, err := readSecret("-key-file", path, leastKey)
		require.NoError(t, err, name)
		require.Equal(t, strings.TrimSpace(secret), string(got), name)
	}
}

func TestA10_ASecretThatOthersMayReadIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no such modes there")
	}
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(path, []byte(rand.Text()+rand.Text()), 0o600))
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o644: false, 0o640: false, 0o604: false, 0o620: false, 0o602: false} {
		require.NoError(t, os.Chmod(path, mode))
		_, err := readSecret("-key-file", path, leastKey)
		if ok {
			require.NoError(t, err, "%04o", mode)
			continue
		}
		require.ErrorContains(t, err, "-key-file", "%04o", mode)
		require.ErrorContains(t, err, "chmod 600", "%04o", mode)
	}
}

func TestOwnKey_IsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	first, err := ownKey(dir)
	require.NoError(t, err)
	again, err := ownKey(dir)
	require.NoError(t, err)
	require.Equal(t, first, again)
	info, err := os.Stat(filepath.Join(dir, "key"))
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}
