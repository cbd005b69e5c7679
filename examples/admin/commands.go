package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
)

// commands is every command, in the order of the usage.
var commands []command

func init() { // and not a literal, which would refer to itself by way of the usage
	commands = slices.Concat(catalogueCommands, machineCommands, sessionCommands)
}

const maxFile = 1 << 20

// list is a command that shows the objects of one field of an answer.
func list(kind, where, field string, scoped bool) func(*flag.FlagSet) func(context.Context, *asking, []string) error {
	return plain(func(ctx context.Context, a *asking, _ []string) error {
		var q url.Values
		if scoped {
			q = a.scope()
		}
		_, err := a.page(ctx, kind, where, field, q)
		return err
	})
}

// show is a command that shows one object, which its argument names.
func show(kind, collection string) func(*flag.FlagSet) func(context.Context, *asking, []string) error {
	return plain(func(ctx context.Context, a *asking, args []string) error {
		var object json.RawMessage
		q := a.scope()
		if collection == "sessions" { // their ids are the same for all tenants
			q = nil
		}
		if err := a.get(ctx, path(collection, ":"+args[0]), q, &object); err != nil {
			return err
		}
		return a.thing(kind, object)
	})
}

// page shows one page of a list and returns what its next says.
func (a *asking) page(ctx context.Context, kind, where, field string, q url.Values) (next json.RawMessage, err error) {
	var answer map[string]json.RawMessage
	if err := a.get(ctx, where, q, &answer); err != nil {
		return nil, err
	}
	var found []json.RawMessage
	if err := json.Unmarshal(answer[field], &found); err != nil {
		return nil, fmt.Errorf("an answer without %s", field)
	}
	return answer["next"], a.things(kind, found)
}

func (a *asking) scope(pairs ...string) url.Values {
	return queryOf(append(pairs, "tenant", a.tenant)...)
}

// do is a command that changes something which its first argument names.
func do(operation, method, collection, action string, body func(args []string) (any, error)) func(*flag.FlagSet) func(context.Context, *asking, []string) error {
	return plain(func(ctx context.Context, a *asking, args []string) error {
		var in any
		if body != nil {
			var err error
			if in, err = body(args); err != nil {
				return err
			}
		}
		words := []string{collection, ":" + args[0]}
		if action != "" {
			words = append(words, action)
		}
		var q url.Values
		if collection == "pools" || collection == "resources" || collection == "hosts" {
			q = a.scope()
		}
		if err := a.change(ctx, method, path(words...), q, in, nil); err != nil {
			return err
		}
		a.done(operation, args...)
		return nil
	})
}

// put is a command that sends a file with one object, whose name is in the field.
func put(operation, collection, field string) func(*flag.FlagSet) func(context.Context, *asking, []string) error {
	return plain(func(ctx context.Context, a *asking, args []string) error {
		data, err := readFile(args[0])
		if err != nil {
			return err
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(data, &object); err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		var name string
		if err := json.Unmarshal(object[field], &name); err != nil || name == "" {
			return fmt.Errorf("%s: the %s is missing", args[0], field)
		}
		// As it is, so that the server sees every fault.
		if err := a.change(ctx, http.MethodPut, path(collection, ":"+name), a.scope(), json.RawMessage(data), nil); err != nil {
			return err
		}
		a.done(operation, name)
		return nil
	})
}

// readFile reads a file, or standard input for "-".
func readFile(name string) ([]byte, error) {
	f := os.Stdin
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return nil, err
		}
		defer f.Close()
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxFile)
	}
	return data, err
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
