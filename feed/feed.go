// Package feed is the user's way in: the workspace with its .rdp files, and the
// request that opens a resource.
package feed

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/reachback/reachback"
)

// A Source is the broker as a feed needs it.
type Source interface {
	Authenticate(*http.Request) (*reachback.User, error)
	Resources(context.Context, *reachback.User) ([]reachback.Resource, error)
	Connect(ctx context.Context, u *reachback.User, resource string, key [32]byte) (*reachback.Connection, error)
	JWKS(context.Context) ([]byte, error)
}

// A Handler serves the feed, the .rdp files, connect and keys.
type Handler struct {
	Source Source
	URL    string // base URL of this origin
	Name   string // the workspace's name; empty means "Workspace"
	Logger *slog.Logger
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { panic("to be written") }

// A Client subscribes to one feed and keeps its files in a folder.
type Client struct {
	URL   string                                    // base URL of the feed's origin
	Token func(ctx context.Context) (string, error) // the user's bearer token, asked for at each request
	Dir   string                                    // where the .rdp files go; empty: nowhere
	HTTP  *http.Client
}

// A File is one stored resource.
type File struct {
	ID, Title string
	Kind      reachback.Kind
	Path      string
}

// Refresh reads the workspace and stores its files.
func (c *Client) Refresh(ctx context.Context) ([]File, error) { panic("to be written") }

// Connect asks for a connection. It fits transport.Dialer.Connect.
func (c *Client) Connect(ctx context.Context, resource string, key [32]byte) (*reachback.Connection, error) {
	panic("to be written")
}
