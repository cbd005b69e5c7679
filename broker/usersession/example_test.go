//go:build unix

package usersession_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/broker/usersession"
)

// A host whose sessions are files in a folder.
func ExampleCommand() {
	dir, err := os.MkdirTemp("", "sessions-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	script := filepath.Join(dir, "control")
	if err := os.WriteFile(script, []byte(`#!/bin/sh
case $1 in
list)    cd sessions && for user in *; do echo "{\"user\":\"$user\",\"connected\":$(cat "$user")}"; done ;;
disconnect) echo false > "sessions/$2" ;;
logoff)  rm -f "sessions/$2" ;;
message) echo "$2 reads: $3: $(cat)" >&2; exit 1 ;;
esac`), 0o700); err != nil {
		log.Fatal(err)
	}
	os.Mkdir(filepath.Join(dir, "sessions"), 0o700)
	os.WriteFile(filepath.Join(dir, "sessions", "alice"), []byte("true"), 0o600)
	os.WriteFile(filepath.Join(dir, "sessions", "bob"), []byte("true"), 0o600)

	// An agent would have it in its field Control.
	var control broker.SessionControl = &usersession.Command{Path: script}
	ctx := context.Background()
	show := func() {
		sessions, err := control.UserSessions(ctx)
		fmt.Println(sessions, err)
	}
	show()
	fmt.Println(control.Disconnect(ctx, "alice"))
	show()
	fmt.Println(control.LogOff(ctx, "bob"))
	show()
	fmt.Println(control.Message(ctx, "alice", "Tonight", "The host restarts at ten."))

	// Output:
	// [{alice true} {bob true}] <nil>
	// <nil>
	// [{alice false} {bob true}] <nil>
	// <nil>
	// [{alice false}] <nil>
	// usersession: message: exit status 1: alice reads: Tonight: The host restarts at ten.
}
