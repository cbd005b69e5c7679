package admin

import (
	"context"
	"net/http"
	"strings"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/admin/api"
)

type hostsInput struct {
	Scope
	Pool   string `query:"pool" maxLength:"63" doc:"Hosts of this pool only." example:"desktops"`
	User   string `query:"user" maxLength:"256" doc:"Hosts that are this user's only, by his subject." example:"alice"`
	Issuer string `query:"issuer" maxLength:"1024" doc:"The issuer of that user; empty: the one that the server trusts." example:"https://idp.example"`
	After  string `query:"after" maxLength:"64" doc:"The id of a host: only those behind it, which is the next page." example:"3f0c9a7be2d14f5580a6c1e9d2b74f03"`
	Limit  int    `query:"limit" minimum:"0" maximum:"1000" doc:"Most hosts on the page; 1000 by default." example:"100"`
}

// A HostPath names a host.
type HostPath struct {
	Scope
	Host string `path:"host" maxLength:"64" doc:"The host's name or id." example:"pc-17"`
}

type hostSwitchInput struct {
	HostPath
	Body api.Switch
}

type renameInput struct {
	HostPath
	Body api.Name
}

type hostUserInput struct {
	HostPath
	Body api.User
}

// hosts registers what is about hosts.
func (a *operators) hosts() {
	on(a, http.MethodGet, "/hosts", "list-hosts", "List hosts", "Hosts of the tenant, those revoked too, by name.",
		func(ctx context.Context, in *hostsInput) (*answer[api.Hosts], error) {
			q := &broker.HostQuery{Tenant: in.Tenant, Pool: in.Pool, After: in.After, Limit: in.Limit}
			if in.User != "" {
				u, err := a.userID(in.Tenant, &api.User{Issuer: in.Issuer, Subject: in.User})
				if err != nil {
					return nil, err
				}
				q.AssignedTo = u
			}
			found, err := a.Directory.Hosts(ctx, q)
			if err != nil {
				return nil, err
			}
			page := api.Hosts{Hosts: []api.Host{}}
			for i := range found {
				page.Hosts = append(page.Hosts, hostOf(&found[i]))
			}
			if n := len(found); n > 0 && n == pageSize(in.Limit) {
				page.Next = found[n-1].ID
			}
			return body(page), nil
		})
	on(a, http.MethodGet, "/hosts/{host}", "get-host", "Get a host", "One host, with what is known of it now.",
		func(ctx context.Context, in *HostPath) (*answer[api.Host], error) {
			h, err := a.host(ctx, in)
			if err != nil {
				return nil, err
			}
			return body(hostOf(h)), nil
		})
	on(a, http.MethodPut, "/hosts/{host}/drain", "drain-host", "Drain a host, or end that",
		"A host in drain gets no new user; those who have a user session there come back to it. It lasts until it is taken back.",
		func(ctx context.Context, in *hostSwitchInput) (*nothing, error) {
			return nil, a.withHost(ctx, &in.HostPath, func(id string) error { return a.Broker.SetDrain(ctx, id, in.Body.On) })
		})
	on(a, http.MethodPost, "/hosts/{host}/approve", "approve-host", "Approve a host",
		"Lets a host of a pool that asks for approval have users.",
		func(ctx context.Context, in *HostPath) (*nothing, error) {
			return nil, a.withHost(ctx, in, func(id string) error { return a.Broker.Approve(ctx, id) })
		})
	on(a, http.MethodPut, "/hosts/{host}/name", "rename-host", "Rename a host", "Frees the name that it had.",
		func(ctx context.Context, in *renameInput) (*nothing, error) {
			return a.changeHost(ctx, &in.HostPath, func(ctx context.Context, id string) error {
				return a.Directory.Rename(ctx, id, in.Body.Name)
			}, "rename to", in.Body.Name)
		})
	on(a, http.MethodPut, "/hosts/{host}/user", "assign-host", "Make a personal host a user's",
		"In place of the host that he had. Refused with in_use while the host is another's.",
		func(ctx context.Context, in *hostUserInput) (*nothing, error) {
			user, err := a.userID(in.Tenant, &in.Body)
			if err != nil {
				return nil, err
			}
			return a.changeHost(ctx, &in.HostPath, func(ctx context.Context, id string) error {
				return a.Directory.AssignHost(ctx, id, user)
			}, "assign to", in.Body.Subject)
		})
	on(a, http.MethodDelete, "/hosts/{host}/user", "unassign-host", "Make a personal host nobody's", "Its next user is the first who needs one.",
		func(ctx context.Context, in *HostPath) (*nothing, error) {
			return a.changeHost(ctx, in, func(ctx context.Context, id string) error {
				return a.Directory.AssignHost(ctx, id, "")
			}, "unassign")
		})
	on(a, http.MethodPost, "/hosts/{host}/revoke", "revoke-host", "Revoke a host",
		"Withdraws its identity for good and ends its channel and its sessions. The machine has to enrol anew with a new key.",
		func(ctx context.Context, in *HostPath) (*nothing, error) {
			return nil, a.withHost(ctx, in, func(id string) error { return a.Broker.RevokeHost(ctx, id) })
		})
}

// pageSize is how many rows a page with that limit has at most.
func pageSize(limit int) int {
	if limit <= 0 || limit > broker.MaxPage {
		return broker.MaxPage
	}
	return limit
}

// host returns the host of the tenant that a request names by id or name.
func (a *operators) host(ctx context.Context, in *HostPath) (*broker.HostStatus, error) {
	found, err := a.Directory.Hosts(ctx, &broker.HostQuery{Tenant: in.Tenant, Host: in.Host})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, reachback.Refuse(reachback.CodeHostUnknown)
	}
	for i := range found {
		if !found[i].Revoked {
			return &found[i], nil
		}
	}
	return &found[0], nil
}

// hostID is the id of the host that a filter names by id or name. Of one that there
// is not there may still be records.
func (a *operators) hostID(ctx context.Context, tenant, host string) (string, error) {
	if host == "" {
		return "", nil
	}
	h, err := a.host(ctx, &HostPath{Scope{tenant}, host})
	if reachback.CodeOf(err) == reachback.CodeHostUnknown {
		return host, nil
	}
	if err != nil {
		return "", err
	}
	return h.ID, nil
}

func (a *operators) withHost(ctx context.Context, in *HostPath, do func(id string) error) error {
	h, err := a.host(ctx, in)
	if err != nil {
		return err
	}
	return do(h.ID)
}

func (a *operators) changeHost(ctx context.Context, in *HostPath, do func(ctx context.Context, id string) error, what ...string) (*nothing, error) {
	h, err := a.host(ctx, in)
	if err != nil {
		return nil, err
	}
	return a.change(ctx, broker.Record{Tenant: h.Tenant, Host: h.ID}, func(ctx context.Context) error { return do(ctx, h.ID) }, what...)
}

// userID is the user's [reachback.User.ID].
func (a *operators) userID(tenant string, u *api.User) (string, error) {
	issuer := u.Issuer
	if issuer == "" {
		issuer = a.Issuer
	}
	if issuer == "" {
		return "", badRequest("which issuer's user? The server trusts none by itself, so name it as issuer")
	}
	return (&reachback.User{Tenant: tenant, Issuer: issuer, Subject: u.Subject}).ID(), nil
}

func hostOf(h *broker.HostStatus) api.Host {
	host := api.Host{
		ID: h.ID, Name: h.Name, Tenant: h.Tenant, Pool: h.Pool, Up: h.Up, Approved: h.Approved, Drain: h.Drain,
		Draining: h.Draining, Duplicate: h.Duplicate, Revoked: h.Revoked, UserSessions: h.UserSessions,
		Key: thumbprint(h.Key), EnrolledAt: h.EnrolledAt,
	}
	if parts := strings.Split(h.AssignedTo, "\x00"); len(parts) == 3 { // as User.ID writes it
		host.AssignedTo = &api.User{Issuer: parts[1], Subject: parts[2]}
	}
	if h.Health != nil {
		host.Health = &api.Health{
			Fit: h.Health.Fit, Problem: h.Health.Problem, Target: h.Health.Target, Load: h.Health.Load, DiskFree: h.Health.DiskFree,
		}
	}
	return host
}

func thumbprint(t broker.Thumbprint) string {
	text, _ := t.MarshalText() // cannot fail
	return string(text)
}
