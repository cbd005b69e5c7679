package main

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/reachback/reachback/examples/internal/admin/api"
)

var catalogueCommands = []command{
	{"workspace", "", "show the title that users see", plain(func(ctx context.Context, a *asking, _ []string) error {
		var object json.RawMessage
		if err := a.get(ctx, "/workspace", a.scope(), &object); err != nil {
			return err
		}
		return a.thing("workspace", object)
	})},
	{"pools", "", "list host pools", list("pool", "/pools", "pools", true)},
	{"pool", "NAME", "show a host pool", show("pool", "pools")},
	{"put-pool", "FILE", "make or change a pool: a JSON object as in a seed file; - reads standard input", put("put-pool", "pools", "name")},
	{"delete-pool", "NAME", "delete a pool that nothing belongs to", do("delete-pool", http.MethodDelete, "pools", "", nil)},
	{"resources", "", "list resources and who may use them", list("resource", "/resources", "resources", true)},
	{"resource", "ID", "show a resource", show("resource", "resources")},
	{"put-resource", "FILE", "make or change a resource with all of its assignments, as put-pool", put("put-resource", "resources", "id")},
	{"delete-resource", "ID", "delete a resource", do("delete-resource", http.MethodDelete, "resources", "", nil)},
	{"assign", "RESOURCE WHO", "let user:SUBJECT or group:NAME use a resource",
		do("assign", http.MethodPost, "resources", "assignments", func(args []string) (any, error) { return api.Assignment{To: args[1]}, nil })},
	{"unassign", "RESOURCE WHO", "take it away again", plain(func(ctx context.Context, a *asking, args []string) error {
		if err := a.change(ctx, http.MethodDelete, path("resources", ":"+args[0], "assignments"), a.scope("to", args[1]), nil, nil); err != nil {
			return err
		}
		a.done("unassign", args...)
		return nil
	})},
	{"icon", "FILE", "keep a picture and show the hash that resources name it by", plain(func(ctx context.Context, a *asking, args []string) error {
		data, err := readFile(args[0])
		if err != nil {
			return err
		}
		var object json.RawMessage
		if err := a.change(ctx, http.MethodPost, "/icons", nil, api.Icon{Data: data}, &object); err != nil {
			return err
		}
		return a.thing("icon", object)
	})},
}
