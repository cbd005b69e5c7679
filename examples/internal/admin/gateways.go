package admin

import (
	"context"
	"net/http"

	"github.com/reachback/reachback/examples/internal/admin/api"
)

// A GatewayPath names a gateway.
type GatewayPath struct {
	ID string `path:"id" maxLength:"64" doc:"The gateway's id." example:"7d1f0a6b3c8e4f52b9a0c4d6e8f13579"`
}

type gatewaySwitchInput struct {
	GatewayPath
	Body api.Switch
}

// gateways registers what is about gateways that have enrolled.
func (a *operators) gateways() {
	on(a, http.MethodGet, "/gateways", "list-gateways", "List gateways", "Gateways that have enrolled, those revoked too, by URL. Those in the broker's own process are not among them.",
		func(ctx context.Context, _ *struct{}) (*answer[api.Gateways], error) {
			found, err := a.Directory.Gateways(ctx)
			if err != nil {
				return nil, err
			}
			all := api.Gateways{Gateways: []api.Gateway{}}
			for i := range found {
				g := &found[i]
				all.Gateways = append(all.Gateways, api.Gateway{
					ID: g.ID, Name: g.Name, URL: g.URL, Up: g.Up, Drain: g.Drain, Revoked: g.Revoked, Key: thumbprint(g.Key), EnrolledAt: g.EnrolledAt,
				})
			}
			return body(all), nil
		})
	on(a, http.MethodPut, "/gateways/{id}/drain", "drain-gateway", "Drain a gateway, or end that",
		"A gateway in drain is named to no client. Its sessions go on.",
		func(ctx context.Context, in *gatewaySwitchInput) (*nothing, error) {
			return nil, a.Broker.SetGatewayDrain(ctx, in.ID, in.Body.On)
		})
	on(a, http.MethodPost, "/gateways/{id}/revoke", "revoke-gateway", "Revoke a gateway",
		"Withdraws its identity for good and ends its channel.",
		func(ctx context.Context, in *GatewayPath) (*nothing, error) {
			return nil, a.Broker.RevokeGateway(ctx, in.ID)
		})
}
