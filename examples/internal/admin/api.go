package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	strict "github.com/go-jose/go-jose/v4/json"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/admin/api"
	"github.com/reachback/reachback/examples/internal/program"
)

const (
	maxBody       = 1 << 20
	bodyTimeout   = 15 * time.Second
	answerTimeout = 30 * time.Second
)

// operators is the API over the parts.
type operators struct {
	*Parts
	huma huma.API
}

// Scope is whose things a request is about.
type Scope struct {
	Tenant string `query:"tenant" maxLength:"256" doc:"The tenant; empty where there is but one." example:"contoso"`
}

// nothing is an answer without a body.
type nothing struct{}

// An answer has a body.
type answer[T any] struct{ Body T }

func body[T any](b T) *answer[T] { return &answer[T]{b} }

// newAPI adds the API and its document to the mux.
func newAPI(p *Parts, mux *http.ServeMux) {
	setHuma()
	config := huma.DefaultConfig("reachback admin", "1.0.0")
	config.Info.Description = "What operators see and change. Served on a loopback address, or with mutual TLS; see the flag -admin of the server."
	// The document is written below, once. The page that huma would offer loads
	// scripts from elsewhere.
	config.OpenAPIPath, config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", "", nil
	config.RejectUnknownQueryParameters = true
	config.Formats = map[string]huma.Format{"application/json": {Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: strict.Unmarshal}}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"operator": {Type: "mutualTLS", Description: "A certificate of the authority that the server's flag -admin-client-ca names. On a loopback address none is needed."},
	}
	config.Security = []map[string][]string{{"operator": {}}, {}}
	a := &operators{p, humago.New(mux, config)}
	a.stats()
	if p.Broker != nil && p.Directory != nil {
		a.catalogue()
		a.resources()
		a.hosts()
		a.gateways()
		a.tokens()
		a.sessions()
		a.records()
	}
	mux.HandleFunc("GET /openapi.json", document("application/openapi+json", func() ([]byte, error) {
		return json.MarshalIndent(a.huma.OpenAPI(), "", " ")
	}))
	mux.HandleFunc("GET /openapi.yaml", document("application/openapi+yaml", a.huma.OpenAPI().YAML))
}

// document serves what is written when it is first asked for.
func document(contentType string, write func() ([]byte, error)) http.HandlerFunc {
	text := sync.OnceValue(func() []byte {
		text, err := write()
		if err != nil {
			panic(err) // our own document
		}
		return text
	})
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Write(text())
	}
}

// on registers one operation. What was refused is in the log with who asked for it.
func on[I, O any](a *operators, method, path, id, summary, description string, do func(context.Context, *I) (*O, error), more ...func(*huma.Operation)) {
	tag, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	op := huma.Operation{
		OperationID: id, Method: method, Path: api.Prefix + path, Summary: summary, Description: description,
		Tags: []string{tag}, MaxBodyBytes: maxBody, BodyReadTimeout: bodyTimeout,
	}
	for _, m := range more {
		m(&op)
	}
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		ctx, cancel := context.WithTimeout(ctx, answerTimeout)
		defer cancel()
		out, err := do(ctx, in)
		asker := askerOf(ctx)
		level := slog.LevelDebug
		if err != nil {
			level = slog.LevelWarn
		}
		a.log().Log(ctx, level, "admin request", "operation", id, "path", asker.path, "by", asker.by,
			"correlation_id", asker.correlation, "code", reachback.CodeOf(err), "err", err)
		if err != nil {
			return nil, refusalOf(err, asker.correlation)
		}
		return out, nil
	})
}

// change does something to the directory on the operator's behalf, with the record
// and the line in the log that the broker's own actions leave.
func (a *operators) change(ctx context.Context, r broker.Record, do func(context.Context) error, what ...string) (*nothing, error) {
	return nil, a.Broker.Operate(ctx, strings.Join(what, " "), r, do)
}

func created(op *huma.Operation) { op.DefaultStatus = http.StatusCreated }

// refusalOf is what the asker is told of err: of one without a code, that the
// directory does not answer. The log has the rest.
func refusalOf(err error, correlation string) *api.Error {
	e := reachback.Refuse(reachback.CodeUnavailable)
	if r, ok := errors.AsType[*reachback.Error](err); ok {
		e = r
	}
	if e.CorrelationID != "" {
		correlation = e.CorrelationID
	}
	return &api.Error{Code: string(e.Code), Message: e.Message, CorrelationID: correlation}
}

// setHuma makes huma refuse in our form, and take a field by its exact name only.
// These are settings of the whole process, which has no other use of huma.
var setHuma = sync.OnceFunc(func() {
	huma.ValidateStrictCasing = true
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		code := reachback.CodeBadRequest
		if status >= http.StatusInternalServerError {
			code = reachback.CodeInternal
		}
		var details []string
		for _, err := range errs {
			d, ok := err.(*huma.ErrorDetail)
			if !ok || len(details) == 4 {
				continue
			}
			// Not the value: it may be a secret that got into the wrong place.
			details = append(details, d.Location+": "+d.Message)
		}
		if len(details) > 0 {
			slices.Sort(details)
			message = strings.Join(details, "; ")
		}
		return &api.Error{Code: string(code), Message: program.OneLine(message)}
	}
})
