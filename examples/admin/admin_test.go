package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/admin"
	"github.com/reachback/reachback/examples/internal/program"
)

// A world is a broker with an admin address on loopback.
type world struct {
	t      *testing.T
	dir    *broker.MemoryDirectory
	broker *broker.Broker
	url    string
}

func newWorld(t *testing.T) *world {
	seed, err := broker.ParseSeed([]byte(`{
	 "workspace": "Contoso",
	 "pools": [{"name": "desktops", "max_sessions": 4}, {"name": "own", "kind": "personal", "approval": true}],
	 "resources": [{"id": "desktop", "title": "Desktop", "pool": "desktops", "assign": ["user:alice"]}]}`))
	require.NoError(t, err)
	w := &world{t: t, dir: &broker.MemoryDirectory{}}
	require.NoError(t, w.dir.Apply(t.Context(), seed))
	w.broker = &broker.Broker{Directory: w.dir}
	t.Cleanup(func() { w.broker.Close() })
	s, err := admin.Open(&admin.Config{Addr: "127.0.0.1:0", Parts: admin.Parts{
		Broker: w.broker, Directory: w.dir, Issuer: "https://idp.example",
		Checks: map[string]func(context.Context) error{"issuer": func(context.Context) error { return fmt.Errorf("connection refused") }},
	}})
	require.NoError(t, err)
	w.url = s.URL
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-served) })
	return w
}

// run runs the program and returns its exit status and what it wrote.
func run(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	o := &options{}
	status = program.RunCommand(t.Context(), "admin", summary+commandList(), args, &out, &errs, o.define, o.run)
	return status, out.String(), errs.String()
}

// events runs a command that must succeed and returns its events.
func (w *world) events(args ...string) (events []map[string]any) {
	w.t.Helper()
	status, stdout, stderr := run(w.t, append([]string{"-server", w.url}, args...)...)
	require.Zero(w.t, status, "%s: %s", args, stderr)
	require.Empty(w.t, stderr)
	for lines := bufio.NewScanner(strings.NewReader(stdout)); lines.Scan(); {
		var e map[string]any
		require.NoError(w.t, json.Unmarshal(lines.Bytes(), &e), "%s", lines.Text())
		require.NotEmpty(w.t, e["event"])
		events = append(events, e)
	}
	return events
}

// table is what a command writes for people.
func (w *world) table(args ...string) string {
	w.t.Helper()
	status, stdout, stderr := run(w.t, append([]string{"-server", w.url, "-table"}, args...)...)
	require.Zero(w.t, status, "%s: %s", args, stderr)
	return stdout
}

// fails runs a command that must fail, with one line that says so.
func fails(t *testing.T, status int, says string, args ...string) {
	t.Helper()
	got, stdout, stderr := run(t, args...)
	require.Equal(t, status, got, "%s: %s", args, stderr)
	require.Empty(t, stdout, "%s", args)
	require.True(t, strings.HasPrefix(stderr, "admin: "), stderr)
	require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
	require.Contains(t, stderr, says)
}

// host enrols a host with a token that the program made.
func (w *world) host(name, pool string) string {
	made := w.events("token", "-pool", pool, "-uses", "2", "-life", "2h")
	require.Len(w.t, made, 1)
	require.Equal(w.t, "registration_token", made[0]["event"])
	id := made[0]["id"].(string)
	secret := strings.TrimPrefix(made[0]["token"].(string), "rbr_"+id+"_")
	h, err := w.dir.Enrol(w.t.Context(), &broker.EnrolRequest{
		Registration: id, Hash: sha256.Sum256([]byte(secret)), Key: sha256.Sum256([]byte(name)), Name: name,
	})
	require.NoError(w.t, err)
	return h.ID
}

func (w *world) file(name, text string) string {
	path := filepath.Join(w.t.TempDir(), name)
	require.NoError(w.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestPoolsAndResources(t *testing.T) {
	w := newWorld(t)
	require.Equal(t, "Contoso", w.events("workspace")[0]["title"])
	pool := w.file("pool.json", `{"name": "lab", "kind": "pooled", "max_sessions": 2, "rdp": {"audiomode": "i:0"}}`)
	require.Equal(t, []map[string]any{{"event": "done", "operation": "put-pool", "to": "lab"}}, w.events("put-pool", pool))
	require.Equal(t, 2.0, w.events("pool", "lab")[0]["max_sessions"])
	require.Len(t, w.events("pools"), 3)
	require.Empty(t, w.events("-tenant", "other", "pools"))

	resource := w.file("resource.json", `{"id": "paint", "title": "Paint", "pool": "lab", "kind": "remoteapp", "program": "||paint"}`)
	w.events("put-resource", resource)
	w.events("assign", "paint", "group:staff")
	require.Equal(t, []any{"group:staff"}, w.events("resource", "paint")[0]["assign"])
	require.Regexp(t, `(?m)^paint +Paint +remoteapp +lab +group:staff$`, w.table("resources"))
	w.events("unassign", "paint", "group:staff")
	fails(t, 1, "(in_use)", "-server", w.url, "delete-pool", "lab")
	w.events("delete-resource", "paint")
	w.events("delete-pool", "lab")
	fails(t, 1, "(not_found)", "-server", w.url, "pool", "lab")

	var picture bytes.Buffer
	require.NoError(t, png.Encode(&picture, image.NewGray(image.Rect(0, 0, 64, 64))))
	require.Len(t, w.events("icon", w.file("icon.png", picture.String()))[0]["hash"], 64)
	require.Contains(t, w.table("pools"), "NAME      KIND")
	fails(t, 1, "max_session:", "-server", w.url, "put-pool", w.file("p", `{"name": "lab", "max_session": 2}`))
	fails(t, 1, "name is missing", "-server", w.url, "put-pool", w.file("p", `{"kind": "pooled"}`))
	fails(t, 1, "duplicate", "-server", w.url, "put-pool", w.file("p", `{"name": "lab", "kind": "pooled", "kind": "personal"}`))
	fails(t, 1, "no such file", "-server", w.url, "put-pool", "nowhere.json")
}

func TestHostsAndTokens(t *testing.T) {
	w := newWorld(t)
	id := w.host("pc.1", "own")
	w.host("pc2", "desktops")
	require.Len(t, w.events("hosts"), 2)
	require.Len(t, w.events("hosts", "-pool", "own"), 1)
	w.events("approve", "pc.1")
	w.events("drain", "pc.1", "on")
	w.events("assign-host", "pc.1", "alice")
	h := w.events("host", id)[0]
	require.Equal(t, true, h["drain"])
	require.Equal(t, true, h["approved"])
	require.Equal(t, map[string]any{"issuer": "https://idp.example", "subject": "alice"}, h["assigned_to"])
	require.Len(t, w.events("hosts", "-user", "alice"), 1)
	require.Regexp(t, `(?m)^pc\.1 +own +no +yes +yes +no +no +no +0 +alice +- +`+id+`$`, w.table("hosts"))
	w.events("unassign-host", id)
	w.events("rename", id, "pc1")
	w.events("drain", "pc1", "off")
	require.Equal(t, false, w.events("host", "pc1")[0]["drain"])
	w.events("revoke", "pc1")
	require.Equal(t, true, w.events("host", id)[0]["revoked"])
	fails(t, 1, "(host_unknown)", "-server", w.url, "drain", "..", "on")

	tokens := w.events("tokens")
	require.Len(t, tokens, 2)
	require.NotContains(t, tokens[0], "token", "it was shown once")
	w.events("delete-token", tokens[0]["id"].(string))
	require.Len(t, w.events("tokens"), 1)
	require.Equal(t, "gateway", w.events("token", "-role", "gateway")[0]["role"])
	require.Empty(t, w.events("gateways"))
	require.Equal(t, "NAME  URL  UP  DRAIN  REVOKED  ID\n", w.table("gateways"))
	fails(t, 1, "(gateway_unknown)", "-server", w.url, "drain-gateway", "gw", "on")
}

func TestHostsOfManyPages(t *testing.T) {
	w := newWorld(t)
	token, r, err := w.broker.NewRegistrationToken(t.Context(), broker.TokenOptions{Pool: "desktops", Uses: 2 * broker.MaxPage})
	require.NoError(t, err)
	secret := strings.TrimPrefix(token, "rbr_"+r.ID+"_")
	for i := range broker.MaxPage + 3 {
		_, err = w.dir.Enrol(t.Context(), &broker.EnrolRequest{
			Registration: r.ID, Hash: sha256.Sum256([]byte(secret)), Key: sha256.Sum256(fmt.Append(nil, i)), Name: fmt.Sprintf("pc%d", i),
		})
		require.NoError(t, err)
	}
	require.Len(t, w.events("hosts"), broker.MaxPage+3)
}

// session takes a slot for alice on the host.
func (w *world) session(host string) *broker.Session {
	_, err := w.dir.Attach(w.t.Context(), host)
	require.NoError(w.t, err)
	jti, err := w.dir.NewTokenID(w.t.Context())
	require.NoError(w.t, err)
	s, err := w.dir.Reserve(w.t.Context(), &broker.Reservation{
		User: reachback.User{Issuer: "https://idp.example", Subject: "alice"}, Resource: "desktop", Token: jti,
		Expires: time.Now().Add(time.Minute), Call: "a call", CorrelationID: "c0ffee",
	})
	require.NoError(w.t, err)
	return s
}

func TestSessions(t *testing.T) {
	w := newWorld(t)
	id := w.host("pc1", "desktops")
	s := w.session(id)
	require.Len(t, w.events("sessions", "-user", "alice", "-host", "pc1", "-live"), 1)
	require.Empty(t, w.events("sessions", "-user", "bob"))
	require.Equal(t, "pending", w.events("session", s.ID)[0]["state"])
	require.Regexp(t, `(?m)^`+s.ID+` +pending +alice +desktop +`+id+` +no `, w.table("sessions"))
	for _, args := range [][]string{{"message", s.ID, "Save your work."}, {"logoff", s.ID}, {"disconnect", s.ID}} {
		fails(t, 1, "(host_not_connected)", append([]string{"-server", w.url}, args...)...)
	}
	require.Equal(t, []map[string]any{{"event": "done", "operation": "kill", "to": s.ID}}, w.events("kill", s.ID))
	require.Equal(t, "killed", w.events("session", s.ID)[0]["state"])
	require.Equal(t, "kill nothing: done\n", strings.Replace(w.table("kill", s.ID), s.ID, "nothing", 1))
	require.NotEmpty(t, w.events("stats")[0]["broker"])
}

func TestHealthFailsWithTheServer(t *testing.T) {
	w := newWorld(t)
	status, stdout, stderr := run(t, "-server", w.url, "health")
	require.Equal(t, 1, status)
	require.JSONEq(t, `{"event": "health", "status": "failing", "checks": {"directory": "ok", "issuer": "connection refused"}}`, stdout)
	require.Contains(t, stderr, "does not answer")
}

func TestMistakesAreOneLine(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://evil.example/", http.StatusFound)
	}))
	defer other.Close()
	for _, tt := range []struct {
		name, says string
		status     int
		args       []string
	}{
		{"no command", "a command is missing", 2, nil},
		{"an unknown command", `"pols"`, 2, []string{"pols"}},
		{"an unknown flag", "-nothing", 2, []string{"-nothing", "pools"}},
		{"an unknown flag of the command", "hosts: ", 2, []string{"hosts", "-nothing"}},
		{"an argument too few", "drain HOST on|off", 2, []string{"drain", "pc1"}},
		{"an argument too many", "with 0 arguments", 2, []string{"pools", "all"}},
		{"neither on nor off", `"yes"`, 2, []string{"drain", "pc1", "yes"}},
		{"a server that is no URL", "-server", 2, []string{"-server", "127.0.0.1:9443", "pools"}},
		{"secrets in the open", "needs https", 2, []string{"-server", "http://192.0.2.1:9443", "pools"}},
		{"a certificate for loopback", "for https", 2, []string{"-server", gone.URL, "-cert", "x", "-key", "y", "pools"}},
		{"half a key pair", "come together", 2, []string{"-server", "https://127.0.0.1", "-cert", "x", "pools"}},
		{"authorities that are not there", "-ca", 1, []string{"-server", "https://127.0.0.1", "-ca", "nowhere.pem", "pools"}},
		{"a time that lies ahead", "-since", 2, []string{"why", "-since", "-1h"}},
		{"a server that is not there", "refused", 1, []string{"-server", gone.URL, "pools"}},
		{"a server of another kind", "status 302", 1, []string{"-server", other.URL, "pools"}},
	} {
		t.Run(tt.name, func(t *testing.T) { fails(t, tt.status, tt.says, tt.args...) })
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	_, _, usage := run(t, "-h")
	for _, c := range commands {
		require.Regexp(t, `(?m)^  `+c.name+`[ A-Z]`, usage)
		status, stdout, stderr := run(t, c.name, "-h")
		require.Zero(t, status, c.name)
		require.Empty(t, stdout, c.name)
		require.Contains(t, stderr, c.does, c.name)
	}
}
