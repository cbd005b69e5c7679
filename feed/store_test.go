package feed_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/feed"
)

// Several clients on one folder take turns, and what is there is always whole.
func TestClientsShareAFolder(t *testing.T) {
	s := newSite(t)
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 5 {
				s.source.change(func(s *source) { s.resources["alice"] = manyResources(1 + (i+j)%3) })
				files, err := s.client(dir).Refresh(t.Context())
				if err != nil {
					t.Error(err)
				}
				for _, f := range files {
					data, err := os.ReadFile(f.Path)
					if err == nil {
						_, err = feed.ParseRDP(data)
					} else if errors.Is(err, os.ErrNotExist) {
						err = nil // another client's turn
					}
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	files, err := s.client(dir).Refresh(t.Context())
	require.NoError(t, err)
	require.Equal(t, len(files), len(rdpFiles(t, dir)))
}

// What a crash left in the folder is cleared away, and a damaged state costs no
// more than asking for everything again.
func TestClientRecoversItsFolder(t *testing.T) {
	s := newSite(t)
	dir := t.TempDir()
	_, err := s.client(dir).Refresh(t.Context())
	require.NoError(t, err)
	for _, state := range []string{"", "{", `{"version":99}`, `{"version":1,"resources":[{"id":"../../x"}]}`} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "workspace.json"), []byte(state), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, ".workspace-new-abc"), []byte("half"), 0o600))
		files, err := s.client(dir).Refresh(t.Context())
		require.NoError(t, err, state)
		require.Len(t, files, 2)
		require.Len(t, rdpFiles(t, dir), 2)
	}
}

// A crash in the middle of a refresh leaves no file that a later one forgets.
func TestClientForgetsNoFileAfterACrash(t *testing.T) {
	s := newSite(t)
	dir, crashed := t.TempDir(), t.TempDir()
	var copied atomic.Bool
	s.answer(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/feed/rdp/fin.rdp" && copied.CompareAndSwap(false, true) {
			for { // the other file is on its way
				if _, err := os.Stat(filepath.Join(dir, "desktop.rdp")); err == nil {
					break
				}
				runtime.Gosched()
			}
			os.RemoveAll(crashed)
			if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
				t.Error(err)
			}
		}
		return false
	})
	_, err := s.client(dir).Refresh(t.Context())
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(crashed, "desktop.rdp"))

	s.source.change(func(s *source) { s.resources["alice"] = nil })
	_, err = s.client(crashed).Refresh(t.Context())
	require.NoError(t, err)
	require.NoFileExists(t, filepath.Join(crashed, "desktop.rdp"))
}

// A folder that cannot be written to is one clear error, and nothing is lost.
func TestClientInAnUnusableFolder(t *testing.T) {
	s := newSite(t)
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := s.client(file).Refresh(t.Context())
	require.ErrorContains(t, err, file)

	// A folder stands where a file should go, which not even root overcomes.
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "desktop.rdp", "x"), 0o700))
	files, err := s.client(dir).Refresh(t.Context())
	require.ErrorContains(t, err, "desktop")
	require.LessOrEqual(t, len(files), 1)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "desktop.rdp")))
	files, err = s.client(dir).Refresh(t.Context())
	require.NoError(t, err)
	require.Len(t, files, 2)
}

// No link in the folder leads a write out of it.
func TestClientReplacesLinks(t *testing.T) {
	s := newSite(t)
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "outside")
	require.NoError(t, os.WriteFile(outside, []byte("precious"), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "desktop.rdp")))
	_, err := s.client(dir).Refresh(t.Context())
	require.NoError(t, err)
	require.Len(t, rdpFiles(t, dir), 2)
	data, err := os.ReadFile(outside)
	require.NoError(t, err)
	require.Equal(t, "precious", string(data))
}

// A second refresh waits for the first only as long as its context allows.
func TestClientWaitsForItsTurn(t *testing.T) {
	s := newSite(t)
	dir := t.TempDir()
	inside, release := make(chan struct{}), make(chan struct{})
	s.answer(func(http.ResponseWriter, *http.Request) bool {
		inside <- struct{}{}
		<-release
		return false
	})
	var wg sync.WaitGroup
	wg.Go(func() { s.client(dir).Refresh(t.Context()) })
	<-inside
	s.answer(nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := s.client(dir).Refresh(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	close(release)
	wg.Wait()
	require.Len(t, rdpFiles(t, dir), 2)
}
