package feed_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/feed"
	"github.com/reachback/reachback/internal/carrier"
)

// A source is a feed.Source with users by their tokens and resources by user,
// all of one test's making.
type source struct {
	mu        sync.Mutex
	users     map[string]reachback.User
	resources map[string][]reachback.Resource // by subject
	workspace map[string]string               // titles by tenant
	icons     map[string][]byte               // by hash
	keys      string
	err       error // of Authenticate, for want of an identity provider
	listErr   error // of Resources, for want of a database
	connectTo func(u *reachback.User, resource string, key [32]byte) (*reachback.Connection, error)
	think     time.Duration // that Connect takes
	wait      bool          // every question waits until its context ends
}

func (s *source) change(f func(*source)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func (s *source) Authenticate(r *http.Request) (*reachback.User, error) {
	if s.wait {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	token := carrier.Bearer(r.Header)
	if token == "" {
		return nil, reachback.Refuse(reachback.CodeTokenMissing)
	}
	if token == "connection-token" {
		return nil, reachback.Refuse(reachback.CodeWrongAudience)
	}
	u, ok := s.users[token]
	if !ok {
		return nil, reachback.Refuse(reachback.CodeTokenInvalid)
	}
	return &u, nil
}

func (s *source) Resources(_ context.Context, u *reachback.User) ([]reachback.Resource, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.resources[u.Subject], s.listErr
}

func (s *source) Workspace(_ context.Context, tenant string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.workspace[tenant], s.listErr
}

func (s *source) Icon(_ context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if icon, ok := s.icons[name]; ok {
		return icon, nil
	}
	return nil, reachback.Refuse(reachback.CodeNotFound)
}

func (s *source) Connect(ctx context.Context, u *reachback.User, resource string, key [32]byte) (*reachback.Connection, error) {
	select {
	case <-time.After(s.think):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.connectTo != nil {
		return s.connectTo(u, resource, key)
	}
	for _, r := range s.resources[u.Subject] {
		if r.ID == resource {
			return &reachback.Connection{
				Gateways:      []string{"https://gw.example.test"},
				Token:         "token-for-" + resource,
				Keys:          []byte(s.keys),
				CorrelationID: "c0rrelation",
			}, nil
		}
	}
	return nil, reachback.Refuse(reachback.CodeResourceNotFound)
}

func (s *source) JWKS(context.Context) ([]byte, error) { return []byte(s.keys), nil }

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// newSource has alice with a desktop and an application, bob with nothing, and
// carol of another tenant with something of hers.
func newSource() *source {
	return &source{
		keys: `{"keys":[]}`,
		users: map[string]reachback.User{
			"alice-token": {Issuer: "https://idp.example.test", Subject: "alice", Name: "Alice"},
			"bob-token":   {Issuer: "https://idp.example.test", Subject: "bob", Name: "Bob"},
			"carol-token": {Issuer: "https://idp.example.test", Subject: "carol", Tenant: "west"},
		},
		resources: map[string][]reachback.Resource{
			"alice": {
				{ID: "fin", Title: "Finance <&> Müller", Kind: reachback.KindRemoteApp, Pool: "apps", Program: "||finance", Folder: "/Money", UpdatedAt: noon},
				{ID: "desktop", Title: "Desktop", Kind: reachback.KindDesktop, Pool: "desktops", UpdatedAt: noon.Add(-time.Hour),
					RDP: map[string]string{"redirectclipboard": "i:1", "smart sizing": "i:1"}},
			},
			"carol": {{ID: "secret-lab", Title: "Secret laboratory", Kind: reachback.KindDesktop, Pool: "lab", UpdatedAt: noon}},
		},
	}
}

func newHandler(s feed.Source) *feed.Handler {
	return &feed.Handler{Source: s, URL: "https://feed.example.test", Name: "Example workspace"}
}

// TestMain fails when the tests left a goroutine behind. The fuzzing engine does
// so itself.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	if flag.Lookup("test.fuzz").Value.String() != "" {
		os.Exit(code)
	}
	deadline := time.Now().Add(5 * time.Second)
	for code == 0 && runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			stacks := make([]byte, 64<<10)
			fmt.Printf("goroutines left:\n%s\n", stacks[:runtime.Stack(stacks, true)])
			code = 1
		}
		time.Sleep(time.Millisecond)
	}
	os.Exit(code)
}
