package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/reachback/reachback/examples/internal/program"
)

// output writes what a command has found: JSON lines, or a table.
type output struct {
	p     *program.Program
	table bool

	columns []string
	rows    [][]string
}

// things writes each of a list as an event of that kind, or as a row with the
// columns of that kind.
func (o *output) things(kind string, list []json.RawMessage) error {
	for _, thing := range list {
		if err := o.thing(kind, thing); err != nil {
			return err
		}
	}
	if o.table && len(list) == 0 {
		o.columns = columnsOf[kind]
	}
	return nil
}

// columnsOf are the fields of each kind that a table shows.
var columnsOf = map[string][]string{
	"workspace":          {"tenant", "title"},
	"pool":               {"name", "kind", "balance", "max_sessions", "raw", "approval"},
	"resource":           {"id", "title", "kind", "pool", "assign"},
	"host":               {"name", "pool", "up", "approved", "drain", "draining", "duplicate", "revoked", "user_sessions", "assigned_to", "health", "id"},
	"gateway":            {"name", "url", "up", "drain", "revoked", "id"},
	"registration_token": {"id", "role", "pool", "uses", "expires", "token"},
	"session":            {"id", "state", "user", "resource", "host", "raw", "created", "correlation_id"},
	"record":             {"time", "party", "step", "code", "user", "resource", "host", "duration_ms", "detail", "correlation_id"},
	"icon":               {"hash"},
	"health":             {"status", "checks"},
}

// thing writes one JSON object.
func (o *output) thing(kind string, object json.RawMessage) error {
	names, values, err := fieldsOf(object)
	if err != nil {
		return err
	}
	columns := columnsOf[kind]
	if !o.table || columns == nil {
		fields := make([]any, 0, 2*len(names))
		for _, n := range names {
			fields = append(fields, n, values[n])
		}
		o.p.Event(kind, fields...)
		return nil
	}
	o.columns = columns
	row := make([]string, len(columns))
	for i, c := range columns {
		row[i] = cell(values[c])
	}
	o.rows = append(o.rows, row)
	return nil
}

// done says that something was done, and to what.
func (o *output) done(operation string, what ...string) {
	if o.table {
		o.p.Text(program.OneLine(strings.Join(append([]string{operation}, what...), " ")) + ": done\n")
		return
	}
	o.p.Event("done", "operation", operation, "to", strings.Join(what, " "))
}

// flush writes the table, whose columns are as wide as they have to be.
func (o *output) flush() {
	if o.columns == nil {
		return
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ToUpper(strings.ReplaceAll(strings.Join(o.columns, "\t"), "_", " ")))
	for _, row := range o.rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush() // to a buffer
	o.p.Text(b.String())
}

// fieldsOf takes an object apart, with its fields in their order.
func fieldsOf(object json.RawMessage) (names []string, values map[string]json.RawMessage, err error) {
	values = make(map[string]json.RawMessage)
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, nil, fmt.Errorf("an answer that is no object: %.100s", object)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, nil, err
		}
		names = append(names, name.(string))
		values[name.(string)] = value
	}
	return names, values, nil
}

// cell is a value for people, in one line that leaves the terminal alone.
func cell(value json.RawMessage) string {
	var v any
	if len(value) == 0 || json.Unmarshal(value, &v) != nil {
		return "-"
	}
	s := ""
	switch v := v.(type) {
	case nil:
	case string:
		s = v
		if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
			s = t.Local().Format(time.DateTime)
		}
	case float64:
		s = strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
	case bool:
		s = map[bool]string{true: "yes", false: "no"}[v]
	case []any:
		words := make([]string, len(v))
		for i := range v {
			words[i] = fmt.Sprint(v[i])
		}
		s = strings.Join(words, ",")
	case map[string]any:
		s = string(value)
		if subject, ok := v["subject"].(string); ok {
			s = subject
		}
		if fit, ok := v["fit"].(bool); ok {
			s = "fit"
			if problem, _ := v["problem"].(string); !fit {
				s = "unfit: " + problem
			}
		}
	default:
		s = string(value)
	}
	if s = program.OneLine(s); s == "" {
		return "-"
	}
	return s
}
