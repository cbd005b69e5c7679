package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"

	"github.com/reachback/reachback/examples/internal/admin/api"
	"github.com/reachback/reachback/examples/internal/program"
)

var machineCommands = []command{
	{"hosts", "", "list hosts", listHosts},
	{"host", "HOST", "show a host, by name or id", show("host", "hosts")},
	{"drain", "HOST on|off", "let a host have no new user, or again", do("drain", http.MethodPut, "hosts", "drain", onOff)},
	{"approve", "HOST", "let a host of a pool that asks for approval have users", do("approve", http.MethodPost, "hosts", "approve", nil)},
	{"rename", "HOST NAME", "give a host another name",
		do("rename", http.MethodPut, "hosts", "name", func(args []string) (any, error) { return api.Name{Name: args[1]}, nil })},
	{"assign-host", "HOST USER", "make a personal host the user's", assignHost},
	{"unassign-host", "HOST", "make a personal host nobody's", do("unassign-host", http.MethodDelete, "hosts", "user", nil)},
	{"revoke", "HOST", "withdraw a host's identity for good and end its sessions", do("revoke", http.MethodPost, "hosts", "revoke", nil)},
	{"gateways", "", "list gateways that have enrolled", list("gateway", "/gateways", "gateways", false)},
	{"drain-gateway", "ID on|off", "name a gateway to no client, or again", do("drain-gateway", http.MethodPut, "gateways", "drain", onOff)},
	{"revoke-gateway", "ID", "withdraw a gateway's identity for good", do("revoke-gateway", http.MethodPost, "gateways", "revoke", nil)},
	{"tokens", "", "list registration tokens, without their secrets", list("registration_token", "/registration-tokens", "registration_tokens", true)},
	{"token", "", "make a registration token and show it, this once", newToken},
	{"delete-token", "ID", "withdraw a registration token", do("delete-token", http.MethodDelete, "registration-tokens", "", nil)},
}

func onOff(args []string) (any, error) {
	if args[1] != "on" && args[1] != "off" {
		return nil, program.UsageError(fmt.Sprintf("%q is neither on nor off", args[1]))
	}
	return api.Switch{On: args[1] == "on"}, nil
}

func listHosts(f *flag.FlagSet) func(context.Context, *asking, []string) error {
	pool := f.String("pool", "", "hosts of this `pool` only")
	user := f.String("user", "", "the personal hosts of this `user` only, by his subject")
	issuer := f.String("issuer", "", "`URL` of that user's issuer; by default the one that the server trusts")
	return func(ctx context.Context, a *asking, _ []string) error {
		after := ""
		for {
			q := a.scope("pool", *pool, "user", *user, "issuer", *issuer, "after", after)
			next, err := a.page(ctx, "host", "/hosts", "hosts", q)
			if err != nil || len(next) == 0 {
				return err
			}
			if err := json.Unmarshal(next, &after); err != nil {
				return err
			}
		}
	}
}

func assignHost(f *flag.FlagSet) func(context.Context, *asking, []string) error {
	issuer := f.String("issuer", "", "`URL` of the user's issuer; by default the one that the server trusts")
	return func(ctx context.Context, a *asking, args []string) error {
		in := api.User{Issuer: *issuer, Subject: args[1]}
		if err := a.change(ctx, http.MethodPut, path("hosts", ":"+args[0], "user"), a.scope(), in, nil); err != nil {
			return err
		}
		a.done("assign-host", args...)
		return nil
	}
}

func newToken(f *flag.FlagSet) func(context.Context, *asking, []string) error {
	var in api.TokenRequest
	f.StringVar(&in.Role, "role", "host", "what may enrol with it: `host or gateway`")
	f.StringVar(&in.Pool, "pool", "", "`pool` that hosts get into; by default the one that they ask for")
	f.StringVar(&in.Life, "life", "24h", "how long it is good: `an hour to 27 days`")
	f.IntVar(&in.Uses, "uses", 1, "how many machines may enrol with it")
	return func(ctx context.Context, a *asking, _ []string) error {
		var object json.RawMessage
		if err := a.change(ctx, http.MethodPost, "/registration-tokens", a.scope(), in, &object); err != nil {
			return err
		}
		return a.thing("registration_token", object)
	}
}
