//go:build unix

package examples_test

import (
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/internal/peertest"
)

// What the server has acknowledged is there after it was killed in the next moment.
func TestF6_KilledAfterAnAcknowledgedChange(t *testing.T) {
	for name, args := range map[string]func(*testing.T) []string{
		"SQLite": func(*testing.T) []string { return nil },
		"PostgreSQL": func(t *testing.T) []string {
			return []string{"-db", peertest.StartPostgres(t).DSN, "-key-file", writeFile(t, t.TempDir()+"/key", goodSecret)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append(args(t), "-admin", "127.0.0.1:0")
			in := install(t, args...)
			host := in.host("host", echoServer(t)).event("registered").str("host")
			crash := func() {
				in.server.signal(syscall.SIGKILL)
				<-in.server.exited
				in.startServer(args...)
			}
			for round := range 3 {
				user := fmt.Sprintf("user:user-%d", round)
				in.operate("POST", "/resources/desktop/assignments", `{"to": "`+user+`"}`, nil)
				crash()
				var resource struct{ Assign []string }
				in.operate("GET", "/resources/desktop", "", &resource)
				require.True(t, slices.Contains(resource.Assign, user), "the assignment is lost: %v", resource.Assign)

				drain := round%2 == 0
				in.operate("PUT", "/hosts/"+host+"/drain", fmt.Sprintf(`{"on": %v}`, drain), nil)
				crash()
				var row struct{ Drain bool }
				in.operate("GET", "/hosts/"+host, "", &row)
				require.Equal(t, drain, row.Drain, "the drain is lost")
			}
		})
	}
}
