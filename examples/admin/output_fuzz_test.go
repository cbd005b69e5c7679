package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/examples/internal/admin/api"
	"github.com/reachback/reachback/examples/internal/program"
)

// Whatever a server answers: a line of JSON for a thing, or a row that leaves the
// terminal alone.
func FuzzThing(f *testing.F) {
	for _, v := range []any{api.Host{Name: "pc1", AssignedTo: &api.User{Subject: "alice"}, Health: &api.Health{}}, api.Pool{Policy: api.Policy{DSCP: 46}}, api.Record{Detail: "\x1b[2J\n"}} {
		object, err := json.Marshal(v)
		require.NoError(f, err)
		f.Add("host", object)
		f.Add("record", object)
	}
	f.Add("host", []byte("{\"name\":\"a\x7f\xc0\"}"))
	f.Fuzz(func(t *testing.T, kind string, object []byte) {
		for _, table := range []bool{false, true} {
			var out, errs bytes.Buffer
			ok := false
			program.Run(t.Context(), "admin", "", nil, &out, &errs, func(*flag.FlagSet) {}, func(_ context.Context, p *program.Program) error {
				o := &output{p: p, table: table}
				ok = o.thing(kind, object) == nil
				o.flush()
				return nil
			})
			if !ok {
				continue
			}
			for _, c := range bytes.TrimSuffix(out.Bytes(), []byte("\n")) {
				require.True(t, c >= ' ' && c != 0x7f || table && c == '\n', "%q", out.Bytes())
			}
			lines := bytes.Count(out.Bytes(), []byte("\n"))
			require.LessOrEqual(t, lines, 2)
			if !table {
				require.True(t, json.Valid(out.Bytes()), "%q", out.Bytes())
			}
		}
	})
}
