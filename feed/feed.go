// Package feed is the user's way in: the workspace that lists his resources, an
// .rdp file for each, and the request that opens one.
//
// [Handler] serves them from a [Source], which *broker.Broker is. The workspace
// is the document of [MS-TSWP] that every client of RemoteApp and Desktop
// Connections reads, the files are those that mstsc, FreeRDP and others open.
// They hold no secret: what opens a session comes from connect, when it is
// opened. To clients of others, which know no connect, the page and connect give a
// file for this once, which does.
//
// [Find] makes a feed's URL of what its users are told. [Client] subscribes to it,
// keeps its files in a folder, and asks for connections on behalf of a
// transport.Dialer.
//
// [MS-TSWP]: https://learn.microsoft.com/openspecs/windows_protocols/ms-tswp
package feed

import (
	"context"
	"net/http"

	"github.com/reachback/reachback"
)

// Limits of a workspace, for the handler as for the client.
const (
	MaxDocument   = 4 << 20 // bytes
	MaxResources  = 1024
	MaxTitle      = 1024 // bytes
	MaxExtensions = 16   // of file names, that one resource opens
)

// Paths of what a [Handler] serves beside carrier's.
const (
	pathFeed = "/feed"
	pathRDP  = "/feed/rdp/"
	pathIcon = "/feed/icon/"
	pathWCX  = "/feed/workspace.wcx"
	extRDP   = ".rdp"

	// paramFolder is the parameter of the feed's URL that asks for one folder.
	paramFolder = "folder"
)

// A Source is the broker as a feed needs it. Its refusals are *reachback.Error;
// any other error is a fault that the user is told nothing of. Its methods may
// be called concurrently.
type Source interface {
	// Authenticate returns the user of the request. The feed has checked that
	// the Authorization field does not stand twice.
	Authenticate(r *http.Request) (*reachback.User, error)
	// Resources returns what is assigned to the user now. UpdatedAt is what
	// clients of others go by to see a change, so it should be set.
	Resources(ctx context.Context, u *reachback.User) ([]reachback.Resource, error)
	// Workspace returns the title of the tenant's workspace, "" where none is set.
	Workspace(ctx context.Context, tenant string) (string, error)
	// Icon returns the picture that the Icon of a resource names, the SHA-256 of
	// its bytes in hexadecimal. It refuses with not_found.
	Icon(ctx context.Context, name string) ([]byte, error)
	// Connect issues a connection token for a resource that is assigned to
	// the user; key is the thumbprint of the client's key, all zero for a raw
	// call.
	Connect(ctx context.Context, u *reachback.User, resource string, key [32]byte) (*reachback.Connection, error)
	// JWKS returns the broker's public keys as a JSON Web Key Set.
	JWKS(ctx context.Context) ([]byte, error)
}

// validID reports whether id may name a resource: it can be a URL's host and,
// with an extension, a file's name.
func validID(id string) bool {
	if id == "" || len(id) > 63 {
		return false
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
