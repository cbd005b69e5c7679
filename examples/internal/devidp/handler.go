package devidp

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
)

// Paths below the issuer's URL.
const (
	pathDiscovery = "/.well-known/openid-configuration"
	pathJWKS      = "/jwks"
	pathAuthorize = "/authorize"
	pathLogin     = "/login"
	pathToken     = "/token"
	pathDeviceReq = "/device-authorization"
	pathDevice    = "/device"
	pathUserinfo  = "/userinfo"
)

const (
	maxForm       = 16 << 10
	answerTimeout = 10 * time.Second
)

// ServeHTTP serves everything below the issuer's URL.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, below := strings.CutPrefix(r.URL.Path, i.url.Path)
	if !local(r.RemoteAddr) || !strings.EqualFold(r.Host, i.url.Host) || !below {
		carrier.Refuse(w, reachback.Refuse(reachback.CodeNotFound), "")
		return
	}
	c := http.NewResponseController(w) // net/http takes the deadlines back
	c.SetReadDeadline(time.Now().Add(answerTimeout))
	c.SetWriteDeadline(time.Now().Add(answerTimeout))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	switch r.Method + " " + path {
	case "GET " + pathDiscovery:
		i.discovery(w)
	case "GET " + pathJWKS:
		answer(w, http.StatusOK, i.jwks())
	case "GET " + pathAuthorize:
		i.authorize(w, r)
	case "POST " + pathLogin:
		i.login(w, r)
	case "POST " + pathToken:
		i.token(w, r)
	case "POST " + pathDeviceReq:
		i.deviceAuthorization(w, r)
	case "GET " + pathDevice:
		i.devicePage(w, r)
	case "POST " + pathDevice:
		i.deviceDecision(w, r)
	case "GET " + pathUserinfo:
		i.userinfo(w, r)
	default:
		carrier.Refuse(w, reachback.Refuse(reachback.CodeNotFound), "")
	}
}

func (i *Issuer) at(path string) string { return i.url.String() + path }

func (i *Issuer) discovery(w http.ResponseWriter) {
	answer(w, http.StatusOK, map[string]any{
		"issuer":                                         i.url.String(),
		"authorization_endpoint":                         i.at(pathAuthorize),
		"token_endpoint":                                 i.at(pathToken),
		"device_authorization_endpoint":                  i.at(pathDeviceReq),
		"userinfo_endpoint":                              i.at(pathUserinfo),
		"jwks_uri":                                       i.at(pathJWKS),
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{grantCode, grantRefresh, grantDevice},
		"code_challenge_methods_supported":               []string{"S256"},
		"token_endpoint_auth_methods_supported":          []string{"none"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"ES256"},
		"scopes_supported":                               i.SignIn().Scopes,
		"claims_supported":                               []string{"sub", "name", "groups"},
		"authorization_response_iss_parameter_supported": true,
	})
}

// userinfo answers whose the access token is.
func (i *Issuer) userinfo(w http.ResponseWriter, r *http.Request) {
	u, err := i.verifier.Verify(r.Context(), carrier.Bearer(r.Header))
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		answer(w, http.StatusUnauthorized, oauthError{Code: "invalid_token"})
		return
	}
	answer(w, http.StatusOK, map[string]any{"sub": u.Subject, "name": u.Name, "groups": u.Groups})
}

// An oauthError is a refusal as OAuth has it, for programs.
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func (e *oauthError) Error() string { return e.Code + ": " + e.Description }

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // the peer is gone otherwise
}

// form reads the form in the request's body. A parameter that stands twice is
// refused, as OAuth has it.
func form(r *http.Request) (map[string]string, *oauthError) {
	if err := r.ParseForm(); err != nil {
		return nil, &oauthError{"invalid_request", "the form cannot be read"}
	}
	return single(r.PostForm)
}

func single(values map[string][]string) (map[string]string, *oauthError) {
	params := make(map[string]string, len(values))
	for name, v := range values {
		if len(v) > 1 {
			return nil, &oauthError{"invalid_request", "a parameter stands twice"}
		}
		params[name] = v[0]
	}
	return params, nil
}
