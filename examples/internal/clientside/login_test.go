package clientside

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/devidp"
	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/feed"
)

const origin = "https://127.0.0.1:8443"

// A lab is a feed and its issuer, reached without a socket, and a user who signs in
// when he is shown a code.
type lab struct {
	t      *testing.T
	dir    string
	issuer *devidp.Issuer
	feed   *feed.Handler

	mu      sync.Mutex
	down    bool
	instead func(r *http.Request) *http.Response // of issuer and feed, if not nil
	events  []map[string]string
	user    string // who signs in; empty: nobody, "-": who declines
}

func newLab(t *testing.T) *lab {
	l := &lab{t: t, dir: t.TempDir(), user: "alice"}
	l.open()
	return l
}

// open makes the issuer anew, which forgets what it gave.
func (l *lab) open() {
	issuer, err := devidp.Open(l.dir, origin+"/dev-idp")
	require.NoError(l.t, err)
	issuer.SetUsers([]broker.SeedUser{{Name: "alice"}})
	l.change(func() {
		l.issuer, l.feed = issuer, &feed.Handler{Source: &broker.Broker{}, URL: origin, SignIn: issuer.SignIn()}
	})
}

func (l *lab) change(f func()) { l.mu.Lock(); defer l.mu.Unlock(); f() }

func (l *lab) RoundTrip(r *http.Request) (*http.Response, error) {
	l.mu.Lock()
	down, instead := l.down, l.instead
	issuer, feed := l.issuer, l.feed
	l.mu.Unlock()
	if down {
		return nil, errors.New("nobody there")
	}
	if instead != nil {
		if resp := instead(r); resp != nil {
			return resp, nil
		}
	}
	in := httptest.NewRequest(r.Method, r.URL.String(), nil)
	in.Header, in.RemoteAddr = r.Header, "127.0.0.1:4711"
	if r.Body != nil {
		in.Body = r.Body
	}
	w := httptest.NewRecorder()
	if strings.HasPrefix(r.URL.Path, "/dev-idp/") {
		issuer.ServeHTTP(w, in)
	} else {
		feed.ServeHTTP(w, in)
	}
	return w.Result(), nil
}

// Write takes the events of the program, and lets the user act on "login".
func (l *lab) Write(line []byte) (int, error) {
	var e map[string]string
	if err := json.Unmarshal(line, &e); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
	if e["event"] == "login" && l.user != "" {
		approve(l.issuer, e["user_code"], l.user)
	}
	return len(line), nil
}

func (l *lab) logins() int { l.mu.Lock(); defer l.mu.Unlock(); return len(l.events) }

var idField = regexp.MustCompile(`name="id" value="([^"]*)"`)

// approve does what a user does in his browser.
func approve(issuer *devidp.Issuer, userCode, user string) {
	page := func(method, body, cookie string) *http.Response {
		r := httptest.NewRequest(method, origin+"/dev-idp/device", strings.NewReader(body))
		r.RemoteAddr = "127.0.0.1:4712"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Cookie", cookie)
		w := httptest.NewRecorder()
		issuer.ServeHTTP(w, r)
		return w.Result()
	}
	first := page("GET", "", "")
	html, _ := io.ReadAll(first.Body)
	choice := "&user=" + user
	if user == "-" {
		choice = "&decision=deny"
	}
	cookie := first.Cookies()[0]
	page("POST", "id="+string(idField.FindSubmatch(html)[1])+"&user_code="+userCode+choice, cookie.Name+"="+cookie.Value)
}

// run runs f as a program whose events the lab takes, and returns what it logged.
func (l *lab) run(ctx context.Context, f func(ctx context.Context, in *login) error) (log string, status int) {
	var b bytes.Buffer
	status = program.Run(ctx, "client", "", []string{"-v"}, l, &b, func(*flag.FlagSet) {}, func(ctx context.Context, p *program.Program) error {
		h := &http.Client{Transport: l, Timeout: issuerTimeout}
		return f(ctx, &login{program: p, feed: &feed.Client{URL: origin, HTTP: h}, http: h, files: l.files()})
	})
	time.Sleep(issuerTimeout) // x/oauth2 leaves an answer open, which net/http then ends
	return b.String(), status
}

func (l *lab) files() tokenFiles { return tokenFiles(filepath.Join(l.dir, "user.token")) }

// signedIn checks the token in the file as the server would.
func (l *lab) signedIn() error {
	token, err := l.files().accessToken()
	if err != nil {
		return err
	}
	_, err = l.issuer.Verifier().Verify(l.t.Context(), token)
	return err
}

func TestLoginKeepsTheTokenFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan string)
		go func() {
			log, status := l.run(ctx, func(ctx context.Context, in *login) error {
				due, err := in.signIn(ctx)
				require.NoError(t, err)
				in.keep(ctx, due)
				return nil
			})
			require.Zero(t, status, log)
			done <- log
		}()
		time.Sleep(time.Minute)
		require.Equal(t, 1, l.logins())
		require.Equal(t, origin+"/dev-idp/device", l.events[0]["verification_uri"])
		require.Contains(t, l.events[0]["verification_uri_complete"], l.events[0]["user_code"])
		if runtime.GOOS != "windows" {
			for _, path := range []string{string(l.files()), l.files().refreshPath()} {
				info, err := os.Stat(path)
				require.NoError(t, err)
				require.Equal(t, os.FileMode(0o600), info.Mode())
			}
		}
		for range 24 * 60 {
			time.Sleep(time.Minute)
			require.NoError(t, l.signedIn())
		}
		require.Equal(t, 1, l.logins(), "a day without another login")

		// The issuer is away for two hours, and then goes on.
		l.change(func() { l.down = true })
		time.Sleep(2 * time.Hour)
		require.Error(t, l.signedIn())
		l.change(func() { l.down = false })
		time.Sleep(retryMost)
		require.NoError(t, l.signedIn())
		require.Equal(t, 1, l.logins())

		// The issuer has forgotten its grants: the user is asked again.
		l.open()
		time.Sleep(time.Hour)
		require.Equal(t, 2, l.logins())
		require.NoError(t, l.signedIn())
		stop()
		log := <-done
		token, err := l.files().accessToken()
		require.NoError(t, err)
		require.NotContains(t, log, token)
	})
}

// A refresh token of an earlier run signs in quietly, at the issuer that gave it.
func TestLoginOfAnEarlierRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		signIn := func() {
			log, status := l.run(t.Context(), func(ctx context.Context, in *login) error {
				_, err := in.signIn(ctx)
				return err
			})
			require.Zero(t, status, log)
			require.NoError(t, l.signedIn())
		}
		signIn()
		time.Sleep(time.Hour)
		signIn()
		require.Equal(t, 1, l.logins())

		for _, content := range []string{
			"nonsense",
			`{"issuer":"https://other.example.test","client_id":"reachback","refresh_token":"secret-of-another"}`,
			`{"issuer":"` + origin + `/dev-idp","client_id":"another","refresh_token":"secret-of-another"}`,
		} {
			before := l.logins()
			require.NoError(t, os.WriteFile(l.files().refreshPath(), []byte(content), 0o600))
			l.change(func() {
				l.instead = func(r *http.Request) *http.Response {
					if r.Body != nil {
						body, _ := io.ReadAll(r.Body)
						require.NotContains(t, string(body), "secret-of-another")
						r.Body = io.NopCloser(bytes.NewReader(body))
					}
					return nil
				}
			})
			signIn()
			require.Equal(t, before+1, l.logins())
		}
	})
}

func TestLoginThatCannotBe(t *testing.T) {
	reply := func(path string, status int, body string) func(r *http.Request) *http.Response {
		return func(r *http.Request) *http.Response {
			if !strings.HasSuffix(r.URL.Path, path) {
				return nil
			}
			w := httptest.NewRecorder()
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			io.WriteString(w, body)
			return w.Result()
		}
	}
	for _, tt := range []struct {
		name   string
		change func(l *lab)
		want   string
	}{
		{"the user declines", func(l *lab) { l.user = "-" }, "access_denied"},
		{"the user is out", func(l *lab) { l.user = "" }, "in time"},
		{"the server is down", func(l *lab) { l.down = true }, "nobody there"},
		{"the server does not tell", func(l *lab) { l.feed.SignIn = nil }, "does not tell"},
		{"the issuer is another", func(l *lab) { l.feed.SignIn.Issuer = origin + "/dev-idp/x" }, "discovery"},
		{"the issuer has no such client", func(l *lab) { l.feed.SignIn.ClientID = "x" }, "invalid_client"},
		{"the page is not https", func(l *lab) {
			l.instead = reply("/device-authorization", 200, `{"device_code":"d","user_code":"u","verification_uri":"http://evil.example.test"}`)
		}, "not https"},
		{"an interval from before the beginning", func(l *lab) {
			l.instead = reply("/device-authorization", 200, `{"device_code":"d","user_code":"u","verification_uri":"https://x.test","interval":-9223372036854775807,"expires_in":1}`)
		}, "in time"},
		{"an interval without end", func(l *lab) {
			l.instead = reply("/device-authorization", 200, `{"device_code":"d","user_code":"u","verification_uri":"https://x.test","interval":9223372036854775807}`)
		}, "in time"},
		{"an issuer with nonsense", func(l *lab) { l.instead = reply("/token", 200, `[]`) }, "oauth2"},
		{"an issuer that sends the client elsewhere", func(l *lab) {
			l.instead = reply("openid-configuration", 200, `{"issuer":"`+origin+`/dev-idp","token_endpoint":"http://evil.example.test","jwks_uri":"https://x.test"}`)
		}, "not https"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				l.change(func() { tt.change(l) })
				log, status := l.run(t.Context(), func(ctx context.Context, in *login) error {
					_, err := in.signIn(ctx)
					return err
				})
				require.Equal(t, 1, status)
				lines := strings.Split(strings.TrimSpace(log), "\n")
				require.Contains(t, lines[len(lines)-1], tt.want)
				require.NoFileExists(t, string(l.files()))
				require.NoFileExists(t, l.files().refreshPath())
			})
		})
	}
}

// Two programs with one refresh token would rob each other of it.
func TestLoginHasItsFilesToItself(t *testing.T) {
	files := tokenFiles(filepath.Join(t.TempDir(), "user.token"))
	unlock, err := files.lock()
	require.NoError(t, err)
	_, err = files.lock()
	require.ErrorContains(t, err, "another process")
	unlock()
	unlock, err = files.lock()
	require.NoError(t, err)
	unlock()
}
