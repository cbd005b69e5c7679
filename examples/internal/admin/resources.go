package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/admin/api"
	"github.com/reachback/reachback/feed"
)

// A ResourcePath names a resource.
type ResourcePath struct {
	Scope
	ID string `path:"id" maxLength:"63" doc:"The resource's id." example:"desktop"`
}

func (in *ResourcePath) record() broker.Record {
	return broker.Record{Tenant: in.Tenant, Resource: in.ID}
}

type putResourceInput struct {
	ResourcePath
	Body api.Resource
}

type assignInput struct {
	ResourcePath
	Body api.Assignment
}

type unassignInput struct {
	ResourcePath
	To string `query:"to" required:"true" maxLength:"300" doc:"user:SUBJECT or group:NAME." example:"user:alice"`
}

type iconInput struct{ Body api.Icon }

// resources registers what is about resources and who may use them.
func (a *operators) resources() {
	on(a, http.MethodGet, "/resources", "list-resources", "List resources", "All resources of the tenant with their assignments, by id.",
		func(ctx context.Context, in *Scope) (*answer[api.Resources], error) {
			setup, err := a.Directory.Setup(ctx, in.Tenant)
			if err != nil {
				return nil, err
			}
			all := api.Resources{Resources: []api.Resource{}}
			for i := range setup.Resources {
				all.Resources = append(all.Resources, resourceOf(&setup.Resources[i]))
			}
			return body(all), nil
		})
	on(a, http.MethodGet, "/resources/{id}", "get-resource", "Get a resource", "One resource with its assignments, as it may be put again.",
		func(ctx context.Context, in *ResourcePath) (*answer[api.Resource], error) {
			setup, err := a.Directory.Setup(ctx, in.Tenant)
			if err != nil {
				return nil, err
			}
			for i := range setup.Resources {
				if setup.Resources[i].ID == in.ID {
					return body(resourceOf(&setup.Resources[i])), nil
				}
			}
			return nil, reachback.Refuse(reachback.CodeNotFound)
		})
	on(a, http.MethodPut, "/resources/{id}", "put-resource", "Make or change a resource",
		"With all of its assignments: those that the body leaves out are taken away.",
		func(ctx context.Context, in *putResourceInput) (*nothing, error) {
			if err := sameName(&in.Body.ID, in.ID); err != nil {
				return nil, err
			}
			return a.change(ctx, in.record(), func(ctx context.Context) error {
				return a.Directory.PutResource(ctx, in.Tenant, seedResource(&in.Body))
			}, "put resource")
		})
	on(a, http.MethodDelete, "/resources/{id}", "delete-resource", "Delete a resource", "With its assignments. Sessions that exist go on.",
		func(ctx context.Context, in *ResourcePath) (*nothing, error) {
			return a.change(ctx, in.record(), func(ctx context.Context) error {
				return a.Directory.DeleteResource(ctx, in.Tenant, in.ID)
			}, "delete resource")
		})
	on(a, http.MethodPost, "/resources/{id}/assignments", "add-assignment", "Let a user or group use a resource",
		"Harmless where it is so already. Nobody checks whether the issuer has the user or group.",
		func(ctx context.Context, in *assignInput) (*nothing, error) {
			return a.change(ctx, in.record(), func(ctx context.Context) error {
				return a.Directory.Assign(ctx, in.Tenant, in.ID, in.Body.To)
			}, "assign to", in.Body.To)
		})
	on(a, http.MethodDelete, "/resources/{id}/assignments", "remove-assignment", "Take a resource from a user or group",
		"Harmless where it is so already. Sessions that exist go on; kill them if they must not.",
		func(ctx context.Context, in *unassignInput) (*nothing, error) {
			return a.change(ctx, in.record(), func(ctx context.Context) error {
				return a.Directory.Unassign(ctx, in.Tenant, in.ID, in.To)
			}, "unassign from", in.To)
		})
	on(a, http.MethodPost, "/icons", "add-icon", "Keep a picture for resources", "PNG or JPEG, at best a square of 256 pixels. Harmless where it is there already. A resource names it by the hash that is returned.",
		func(ctx context.Context, in *iconInput) (*answer[api.IconHash], error) {
			if err := feed.CheckIcon(in.Body.Data); err != nil {
				return nil, badRequest(err.Error())
			}
			var hash string
			_, err := a.change(ctx, broker.Record{}, func(ctx context.Context) (err error) {
				hash, err = a.Directory.PutIcon(ctx, in.Body.Data)
				return err
			}, "put icon")
			return body(api.IconHash{Hash: hash}), err
		},
		created, func(op *huma.Operation) { op.MaxBodyBytes = 2 * broker.MaxIcon })
}

func resourceOf(r *broker.SeedResource) api.Resource {
	return api.Resource{
		ID: r.ID, Title: r.Title, Kind: string(r.Kind), Pool: r.Pool, Program: r.Program, Icon: r.Icon, Folder: r.Folder, Extensions: r.Extensions, Assign: r.Assign,
	}
}

func seedResource(r *api.Resource) *broker.SeedResource {
	return &broker.SeedResource{
		ID: r.ID, Title: r.Title, Kind: reachback.Kind(r.Kind), Pool: r.Pool, Program: r.Program, Icon: r.Icon, Folder: r.Folder, Extensions: r.Extensions, Assign: r.Assign,
	}
}
