package feed_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/feed"
	"github.com/reachback/reachback/internal/carrier"
)

// A site is a feed on a loopback address, whose answers a test may replace.
type site struct {
	*httptest.Server
	source   *source
	handler  *feed.Handler
	requests atomic.Int64
	mu       sync.Mutex
	instead  func(w http.ResponseWriter, r *http.Request) bool
}

func newSite(t *testing.T) *site {
	s := &site{source: newSource()}
	h := &feed.Handler{Source: s.source}
	s.handler = h
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		s.mu.Lock()
		instead := s.instead
		s.mu.Unlock()
		if instead == nil || !instead(w, r) {
			h.ServeHTTP(w, r)
		}
	}))
	s.Config.ErrorLog = quiet
	s.StartTLS()
	h.URL = s.URL
	t.Cleanup(s.Close)
	return s
}

func (s *site) answer(f func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instead = f
}

func (s *site) client(dir string) *feed.Client {
	return &feed.Client{URL: s.URL, Dir: dir, HTTP: s.Client(), Token: token("alice-token")}
}

func token(s string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return s, nil }
}

// rdpFiles are the names of the .rdp files in dir, and fails if there is
// anything but these and the client's own two.
func rdpFiles(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".rdp" {
			require.Contains(t, []string{"workspace.json", ".workspace.lock"}, e.Name())
			continue
		}
		info, err := e.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode())
		names = append(names, e.Name())
	}
	return names
}

func TestClientKeepsItsFilesUpToDate(t *testing.T) {
	s := newSite(t)
	dir := filepath.Join(t.TempDir(), "new", "folder")
	c := s.client(dir)

	files, err := c.Files()
	require.NoError(t, err)
	require.Empty(t, files)

	files, err = c.Refresh(t.Context())
	require.NoError(t, err)
	require.Equal(t, []feed.File{
		{ID: "desktop", Title: "Desktop", Kind: reachback.KindDesktop, Path: filepath.Join(dir, "desktop.rdp")},
		{ID: "fin", Title: "Finance <&> Müller", Kind: reachback.KindRemoteApp, Path: filepath.Join(dir, "fin.rdp")},
	}, files)
	require.Equal(t, []string{"desktop.rdp", "fin.rdp"}, rdpFiles(t, dir))
	served := get(&feed.Handler{Source: s.source, URL: s.URL}, "alice-token", "/feed/rdp/fin.rdp")
	stored, err := os.ReadFile(files[1].Path)
	require.NoError(t, err)
	require.Equal(t, served.Body.Bytes(), stored)

	// Nothing new costs one request, also for a client that was started anew.
	s.requests.Store(0)
	again, err := s.client(dir).Refresh(t.Context())
	require.NoError(t, err)
	require.Equal(t, files, again)
	require.Equal(t, int64(1), s.requests.Load())
	again, err = s.client(dir).Files()
	require.NoError(t, err)
	require.Equal(t, files, again)

	// A file that somebody deleted comes back.
	require.NoError(t, os.Remove(files[0].Path))
	again, err = c.Files()
	require.NoError(t, err)
	require.Len(t, again, 1)
	_, err = c.Refresh(t.Context())
	require.NoError(t, err)
	require.Len(t, rdpFiles(t, dir), 2)

	// One removed, one changed, one new; what is not the feed's stays.
	foreign := filepath.Join(dir, "my-own.rdp")
	require.NoError(t, os.WriteFile(foreign, nil, 0o600))
	s.source.change(func(s *source) {
		rs := slices.Clone(s.resources["alice"])
		rs[0] = reachback.Resource{ID: "con", Title: "Console", Kind: reachback.KindDesktop}
		rs[1].RDP = map[string]string{"audiomode": "i:2"}
		s.resources["alice"] = rs
	})
	files, err = c.Refresh(t.Context())
	require.NoError(t, err)
	require.Len(t, files, 2)
	require.Equal(t, []string{"con_.rdp", "desktop.rdp", "my-own.rdp"}, rdpFiles(t, dir))
	stored, err = os.ReadFile(filepath.Join(dir, "desktop.rdp"))
	require.NoError(t, err)
	require.Contains(t, string(stored), "audiomode:i:2\r\n")

	// No assignment is an empty workspace.
	s.source.change(func(s *source) { s.resources["alice"] = nil })
	files, err = c.Refresh(t.Context())
	require.NoError(t, err)
	require.Empty(t, files)
	require.Equal(t, []string{"my-own.rdp"}, rdpFiles(t, dir))
}

func TestClientWithoutAFolderStoresNothing(t *testing.T) {
	s := newSite(t)
	files, err := s.client("").Refresh(t.Context())
	require.NoError(t, err)
	require.Len(t, files, 2)
	require.Empty(t, files[0].Path)
	require.Equal(t, int64(1), s.requests.Load())
}

// A refresh that fails leaves every file, says why, and says what is there.
func TestClientKeepsItsFilesWhenTheFeedFails(t *testing.T) {
	text := func(status int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			io.WriteString(w, body)
			return true
		}
	}
	for _, tt := range []struct {
		name    string
		instead func(http.ResponseWriter, *http.Request) bool
		want    reachback.Code
	}{
		{"a fault", func(w http.ResponseWriter, _ *http.Request) bool {
			carrier.Refuse(w, errors.New("x"), "cid")
			return true
		}, reachback.CodeInternal},
		{"token expired", func(w http.ResponseWriter, _ *http.Request) bool {
			carrier.Refuse(w, reachback.Refuse(reachback.CodeTokenExpired), "cid")
			return true
		}, reachback.CodeTokenExpired},
		{"another server's 404", text(404, "<html>"), reachback.CodeProtocolError},
		{"another server's page", text(200, "<html>"), reachback.CodeProtocolError},
		{"nothing", text(200, ""), reachback.CodeProtocolError},
		{"304 that nobody asked for", text(304, ""), reachback.CodeProtocolError},
		{"too large", text(200, strings.Repeat(" ", feed.MaxDocument+1)), reachback.CodeProtocolError},
		{"cut", func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, "<?xml")
			return true
		}, reachback.CodeBrokerUnreachable},
		{"file is a page", func(w http.ResponseWriter, r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, ".rdp") && text(200, "<html>\r\n")(w, r)
		}, reachback.CodeProtocolError},
		{"file too large", func(w http.ResponseWriter, r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, ".rdp") && text(200, strings.Repeat("\r\n", feed.MaxRDPFile))(w, r)
		}, reachback.CodeProtocolError},
		{"file cut", func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, ".rdp") {
				w.Header().Set("Content-Length", "1000")
				io.WriteString(w, "full address:s:elsewhere\r\n")
				return true
			}
			return false
		}, reachback.CodeBrokerUnreachable},
		{"token expired between the files", func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, ".rdp") {
				carrier.Refuse(w, reachback.Refuse(reachback.CodeTokenExpired), "cid")
				return true
			}
			return false
		}, reachback.CodeTokenExpired},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			dir := t.TempDir()
			before, err := s.client(dir).Refresh(t.Context())
			require.NoError(t, err)
			old, err := os.ReadFile(before[0].Path)
			require.NoError(t, err)

			// The workspace has changed, so that there would be something to do.
			s.source.change(func(s *source) {
				rs := slices.Clone(s.resources["alice"])
				rs[1].RDP = map[string]string{"audiomode": "i:2"}
				s.resources["alice"] = rs
			})
			if tt.name == "304 that nobody asked for" {
				require.NoError(t, os.Remove(filepath.Join(dir, "workspace.json")))
				before = nil
			}
			s.answer(tt.instead)
			files, err := s.client(dir).Refresh(t.Context())
			require.Equal(t, tt.want, reachback.CodeOf(err), "%v", err)
			require.NotContains(t, err.Error(), "alice-token")
			require.Equal(t, before, files)
			require.Equal(t, []string{"desktop.rdp", "fin.rdp"}, rdpFiles(t, dir))
			now, err := os.ReadFile(filepath.Join(dir, "desktop.rdp"))
			require.NoError(t, err)
			require.Equal(t, old, now)

			s.answer(nil)
			_, err = s.client(dir).Refresh(t.Context())
			require.NoError(t, err)
			now, err = os.ReadFile(filepath.Join(dir, "desktop.rdp"))
			require.NoError(t, err)
			require.NotEqual(t, old, now, "the next refresh brings what this one could not")
		})
	}
}

// One file that the feed cannot give does not hold up the others.
func TestClientGoesOnPastABrokenFile(t *testing.T) {
	s := newSite(t)
	dir := t.TempDir()
	rs := manyResources(40)
	rs[39].RDP = map[string]string{"audiomode": "broken"} // the first by title
	s.source.resources["alice"] = rs
	files, err := s.client(dir).Refresh(t.Context())
	require.Equal(t, reachback.CodeInternal, reachback.CodeOf(err))
	require.Len(t, files, 39)
	require.Len(t, rdpFiles(t, dir), 39)
}

// A resource that was withdrawn while its document was read is withdrawn.
func TestClientTakesAWithdrawnFileAway(t *testing.T) {
	s := newSite(t)
	dir := t.TempDir()
	_, err := s.client(dir).Refresh(t.Context())
	require.NoError(t, err)
	s.source.change(func(s *source) { s.resources["alice"] = append(s.resources["alice"], manyResources(1)...) })
	s.answer(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/feed/rdp/fin.rdp" {
			return false
		}
		carrier.Refuse(w, reachback.Refuse(reachback.CodeResourceNotFound), "cid")
		return true
	})
	files, err := s.client(dir).Refresh(t.Context())
	require.NoError(t, err)
	require.Len(t, files, 2)
	require.Equal(t, []string{"desktop.rdp", "r-0.rdp"}, rdpFiles(t, dir))

	s.answer(nil)
	files, err = s.client(dir).Refresh(t.Context())
	require.NoError(t, err)
	require.Len(t, files, 3, "and it comes back with its assignment")
}

// The token goes to the feed's own origin and nowhere else: not after a
// redirect, and not to a file's URL of another host.
func TestClientSendsItsTokenNowhereElse(t *testing.T) {
	var stolen atomic.Int64
	thief := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stolen.Add(1)
	}))
	defer thief.Close()
	for _, tt := range []struct {
		name    string
		instead func(http.ResponseWriter, *http.Request) bool
	}{
		{"redirect", func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, thief.URL+r.URL.Path, http.StatusTemporaryRedirect)
			return true
		}},
		{"redirect of a file", func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, ".rdp") {
				http.Redirect(w, r, thief.URL+r.URL.Path, http.StatusFound)
				return true
			}
			return false
		}},
		{"file of another origin", func(w http.ResponseWriter, r *http.Request) bool {
			w2 := get(&feed.Handler{Source: newSource(), URL: thief.URL}, "alice-token", "/feed")
			io.Copy(w, w2.Body)
			return true
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			s.answer(tt.instead)
			dir := t.TempDir()
			_, err := s.client(dir).Refresh(t.Context())
			require.Equal(t, reachback.CodeProtocolError, reachback.CodeOf(err), "%v", err)
			require.Empty(t, rdpFiles(t, dir))
			if tt.name == "redirect" {
				_, err = s.client("").Connect(t.Context(), "desktop", [32]byte{1})
				require.Equal(t, reachback.CodeProtocolError, reachback.CodeOf(err))
			}
		})
	}
	require.Zero(t, stolen.Load())
}
