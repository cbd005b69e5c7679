//go:build unix

package examples_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/examples/internal/program"
)

// A user signs in with his browser, and his client opens the desktop. The next start
// of the client asks him nothing.
func TestLogin(t *testing.T) {
	in := install(t)
	in.host("pc1", echoServer(t))
	token := in.path("alice.own.token")
	args := []string{"-server", in.url, "-token", token, "-dir", in.path("client-alice"), "-ca", in.path("srv", "ca.pem"), "-login"}

	c := start(t, "client", append(args, "-resource", "desktop", "-listen", "127.0.0.1:0", "-v")...)
	in.decide(c.await("login", patience), "user", "alice")
	conn := dial(t, c.await("listening", patience).str("addr"))
	require.NoError(t, exchange(conn, "hello"))
	for _, path := range []string{token, token + ".refresh"} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode())
	}
	second := start(t, "client", append(args, "-dir", in.path("client-2"), "-list")...)
	require.Equal(t, 1, second.exit(patience))
	require.Contains(t, second.log(), "another process")
	c.signal(syscall.SIGTERM)
	require.Zero(t, c.exit(patience), c.log())

	again := start(t, "client", append(args, "-list")...)
	require.Equal(t, "desktop", again.await("resource", patience).str("id"))
	require.Zero(t, again.exit(patience))
	require.Nil(t, again.event("login"))

	require.NoError(t, os.Remove(token+".refresh"))
	declined := start(t, "client", append(args, "-list")...)
	in.decide(declined.await("login", patience), "decision", "deny")
	require.Equal(t, 1, declined.exit(patience))
	require.Contains(t, declined.log(), "access_denied")
	require.Len(t, lines(declined.log()), 1)
}

var (
	formID = regexp.MustCompile(`name="id" value="([^"]*)"`)
	formTo = regexp.MustCompile(`action="([^"]*)"`)
)

// decide does in a browser what the login event asks for.
func (in *installation) decide(login event, name, value string) {
	in.t.Helper()
	trust, err := program.TrustFile(in.path("srv", "ca.pem"))
	require.NoError(in.t, err)
	jar, err := cookiejar.New(nil)
	require.NoError(in.t, err)
	browser := &http.Client{Jar: jar, Transport: &http.Transport{TLSClientConfig: trust}, Timeout: patience}
	defer browser.CloseIdleConnections()
	read := func(resp *http.Response, err error) string {
		require.NoError(in.t, err)
		defer resp.Body.Close()
		page, err := io.ReadAll(resp.Body)
		require.NoError(in.t, err)
		require.Equal(in.t, http.StatusOK, resp.StatusCode, string(page))
		return string(page)
	}
	page := read(browser.Get(login.str("verification_uri_complete")))
	require.Contains(in.t, page, login.str("user_code"))
	read(browser.PostForm(formTo.FindStringSubmatch(page)[1], url.Values{
		"id": {formID.FindStringSubmatch(page)[1]}, "user_code": {login.str("user_code")}, name: {value},
	}))
}
