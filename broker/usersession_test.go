package broker

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSameUser(t *testing.T) {
	tests := []struct {
		name string
		a, b string
		want bool
	}{
		{"the same", "alice", "alice", true},
		{"another", "alice", "bob", false},
		{"in capitals", "alice", "Alice", true},
		{"with a domain", "alice", `CORP\alice`, true},
		{"by mail address", "alice", "alice@corp.example", true},
		{"by mail address, with the domain's short name", "alice@corp.example", `CORP\Alice`, true},
		{"by mail address, with another domain's", "alice@corp.example", `OTHER\alice`, false},
		{"by mail address, in another domain", "alice@corp.example", "alice@other.example", false},
		{"in a subdomain", "alice@corp.example", "alice@example", false},
		{"where the short name is a beginning of it", "alice@corporation.example", `CORP\alice`, false},
		{"in a domain that is a beginning of it", "alice@corp.example", "alice@corp.example.net", false},
		{"in two short domains", `A\alice`, `B\alice`, false},
		{"an at sign in the name", "a@lice@corp.example", `CORP\a@lice`, true},
		{"an opaque subject", "00u1x9", "alice", false},
		{"nobody", "", "", false},
		{"nobody of a domain", `CORP\`, `CORP\`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, SameUser(tt.a, tt.b))
			require.Equal(t, tt.want, SameUser(tt.b, tt.a))
		})
	}
}
