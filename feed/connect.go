package feed

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"time"

	strict "github.com/go-jose/go-jose/v4/json"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/printable"
)

const (
	// maxConnectRequest and maxConnectAnswer bound the two bodies.
	maxConnectRequest = 4 << 10
	maxConnectAnswer  = 64 << 10

	// maxKeys bounds a key set.
	maxKeys = 32 << 10
)

// connectRequest is the body of connect. Without a key it asks for a raw token.
type connectRequest struct {
	Resource string  `json:"resource"`
	Key      *string `json:"key,omitempty"`
}

// connectAnswer is what connect answers: a reachback.Connection whose keys stand
// in it as they are.
type connectAnswer struct {
	Gateways      []string        `json:"gateways"`
	Token         string          `json:"token"`
	Keys          json.RawMessage `json:"keys"`
	CorrelationID string          `json:"correlation_id"`
}

// parseConnect reads the body of connect: names are compared by case, and one
// that stands twice is refused, since another reader could take the other.
func parseConnect(body []byte) (resource string, key [32]byte, err error) {
	bad := reachback.Refuse(reachback.CodeBadRequest)
	var req connectRequest
	if len(body) > maxConnectRequest || strict.Unmarshal(body, &req) != nil || req.Resource == "" {
		return "", key, bad
	}
	if req.Key == nil {
		return req.Resource, key, nil
	}
	k, err := base64.RawURLEncoding.Strict().DecodeString(*req.Key)
	// All zero is no key's thumbprint; it must not pass for a raw request.
	if err != nil || len(k) != len(key) || [32]byte(k) == key {
		return "", key, bad
	}
	return req.Resource, [32]byte(k), nil
}

// connect issues a connection token.
func (x *exchange) connect() error {
	if err := carrier.CheckMethod(x.w, x.r, http.MethodPost); err != nil {
		return err
	}
	// Who he is comes first, so that nobody's body is read for nothing.
	if err := x.authenticate(); err != nil {
		return err
	}
	body, err := x.body()
	if err != nil {
		return err
	}
	resource, key, err := parseConnect(body)
	if err != nil {
		return err
	}
	raw := key == [32]byte{}
	asFile := wantsFile(parseAccept(x.r.Header.Values("Accept")))
	if asFile && !raw {
		return reachback.Refuse(reachback.CodeBadRequest) // who opens the file has no such key
	}
	c, err := x.Source.Connect(x.r.Context(), x.user, resource, key)
	if err != nil {
		return err
	}
	if asFile {
		return x.sendConnectionFile(resource, c)
	}
	answer, err := json.Marshal(connectAnswer{c.Gateways, c.Token, c.Keys, c.CorrelationID})
	if err != nil {
		return err
	}
	x.correlationID = c.CorrelationID
	h := x.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	x.w.Write(append(answer, '\n'))
	x.log(slog.LevelInfo, "connection issued", "resource", printable.Clip(resource), "raw", raw)
	return nil
}

// body reads the request's body, by an absolute deadline, which net/http takes
// back when the body is read.
func (x *exchange) body() ([]byte, error) {
	http.NewResponseController(x.w).SetReadDeadline(time.Now().Add(carrier.HeadTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxConnectRequest))
	if err != nil {
		return nil, reachback.Refuse(reachback.CodeBadRequest)
	}
	return body, nil
}

// keys answers with the broker's public keys, which anybody may have.
func (x *exchange) keys() error {
	if err := carrier.CheckMethod(x.w, x.r, http.MethodGet, http.MethodHead); err != nil {
		return err
	}
	set, err := x.Source.JWKS(x.r.Context())
	if err != nil {
		return notGone(err)
	}
	// A key is published a day before it signs, so an old answer does no harm.
	x.w.Header().Set("Cache-Control", "public, max-age=300")
	x.send("application/jwk-set+json", set)
	return nil
}
