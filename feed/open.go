package feed

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
)

// nameToken is the setting that has the connection token. No signature covers it.
const nameToken = "gatewayaccesstoken"

// open answers a form of the page with a file that opens the resource: one for a stock
// client, made for this once, where the pool admits its calls, and else the stored one,
// which our own client opens.
func (x *exchange) open(name string) error {
	if err := carrier.CheckMethod(x.w, x.r, http.MethodPost); err != nil {
		return err
	}
	rs, err := x.resources()
	if err != nil {
		return err
	}
	r, err := resourceOfFile(rs, name)
	if err != nil {
		return err
	}
	if !r.Raw {
		x.redirect(pathRDP + name)
		return nil
	}
	c, err := x.Source.Connect(x.r.Context(), x.user, r.ID, [32]byte{})
	if err != nil {
		return err
	}
	return x.writeConnectionFile(r, c)
}

// sendConnectionFile answers connect with a file that makes the raw connection c.
func (x *exchange) sendConnectionFile(resource string, c *reachback.Connection) error {
	rs, err := x.Source.Resources(x.r.Context(), x.user)
	if err != nil {
		return notGone(err)
	}
	r, err := resourceOfFile(rs, resource+extRDP)
	if err != nil {
		return err // it was taken from him in between
	}
	return x.writeConnectionFile(r, c)
}

// writeConnectionFile answers with a file that opens r by the raw connection c. It holds
// a secret, so nobody on the way keeps it.
func (x *exchange) writeConnectionFile(r *reachback.Resource, c *reachback.Connection) error {
	data, err := x.connectionFile(r, c)
	if err != nil {
		return err
	}
	x.correlationID = c.CorrelationID
	h := x.w.Header()
	h.Set("Content-Type", typeRDP)
	h.Set("Content-Disposition", attachment(r.ID))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	x.w.Write(data)
	x.log(slog.LevelInfo, "connection issued", "resource", r.ID, "raw", true, "file", true)
	return nil
}

// connectionFile is the file of a resource with which a stock client opens it once: through
// a gateway of the connection, with its token. The client knows no other gateway, so files
// are spread over all of them. The token is added when the file is signed: signatures are
// kept, one for each gateway, and tokens are not.
func (h *Handler) connectionFile(r *reachback.Resource, c *reachback.Connection) ([]byte, error) {
	gateways := filed(c.Gateways)
	if len(gateways) == 0 {
		return nil, fmt.Errorf("feed: of %d gateways none is an https URL without a path, as a file needs it: %w", len(c.Gateways), reachback.Refuse(reachback.CodeNoGateway))
	}
	f, err := fileOf(h.base, r)
	if err != nil {
		return nil, err
	}
	if err := f.Set("gatewayhostname", 's', gateways[rand.IntN(len(gateways))]); err != nil {
		return nil, err
	}
	// Whoever comes back after a minute is refused, and would try twenty times
	// before the user was told.
	if err := f.Set("autoreconnection enabled", 'i', "0"); err != nil {
		return nil, err
	}
	if err := f.Set(nameToken, 's', ""); err != nil {
		return nil, err
	}
	data, err := h.encode(f)
	if err != nil {
		return nil, err
	}
	if f, err = ParseRDP(data); err != nil {
		return nil, err
	}
	if err := f.Set(nameToken, 's', c.Token); err != nil {
		return nil, err
	}
	return f.Encode(), nil
}

// filed returns the gateways that a file can name, as it names them. It has room for host
// and port only: through a URL with a path the client would come to another place.
func filed(gateways []string) (names []string) {
	for _, g := range gateways {
		if u, err := baseURL(g); err == nil && strings.Trim(u.Path, "/") == "" {
			names = append(names, u.Host)
		}
	}
	return names
}
