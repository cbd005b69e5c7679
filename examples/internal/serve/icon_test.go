package serve

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"image"
	"image/png"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

// openWith opens a server with a seed whose one resource has that icon. The seed is
// in folder/setup.
func openWith(t *testing.T, folder, icon string) (*Server, error) {
	t.Helper()
	seed := filepath.Join(folder, "setup", "seed.json")
	require.NoError(t, os.WriteFile(seed, []byte(`{
	 "workspace": "Example Inc",
	 "users": [{"name": "alice"}],
	 "pools": [{"name": "desktops"}],
	 "resources": [{"id": "desktop", "pool": "desktops", "icon": "`+icon+`", "assign": ["user:alice"]}]}`), 0o600))
	s, err := Open(t.Context(), &Config{
		Dir: filepath.Join(t.TempDir(), "srv"), Listen: "127.0.0.1:0", PublicURL: "https://127.0.0.1:8443", SignIn: SignInConfig{DevIdP: true},
		Seed: seed, Logger: slog.New(slog.DiscardHandler),
	})
	if err == nil {
		t.Cleanup(s.release)
	}
	return s, err
}

func TestIconsOfTheSeed(t *testing.T) {
	folder := t.TempDir()
	var picture bytes.Buffer
	require.NoError(t, png.Encode(&picture, image.NewGray(image.Rect(0, 0, 64, 64))))
	for path, data := range map[string][]byte{
		"setup/icons/desktop.png": picture.Bytes(),
		"setup/text.png":          []byte("no picture"),
		"setup/endless.png":       bytes.Repeat(picture.Bytes(), 1<<20/picture.Len()+1),
		"outside.png":             picture.Bytes(),
	} {
		path = filepath.Join(folder, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, data, 0o600))
	}
	s, err := openWith(t, folder, "icons/desktop.png")
	require.NoError(t, err)
	alice := &reachback.User{Issuer: s.issuerURL(), Subject: "alice"}
	resources, err := s.broker.Resources(t.Context(), alice)
	require.NoError(t, err)
	require.Len(t, resources, 1)
	sum := sha256.Sum256(picture.Bytes())
	require.Equal(t, hex.EncodeToString(sum[:]), resources[0].Icon)
	kept, err := s.broker.Icon(t.Context(), resources[0].Icon)
	require.NoError(t, err)
	require.Equal(t, picture.Bytes(), kept)
	title, err := s.broker.Workspace(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, "Example Inc", title)

	for _, bad := range []string{"missing.png", "text.png", "endless.png", "../outside.png", filepath.ToSlash(folder) + "/outside.png", "icons"} {
		_, err := openWith(t, folder, bad)
		require.ErrorContains(t, err, "resource desktop: icon", bad)
		require.ErrorContains(t, err, "seed.json", bad)
	}
}
