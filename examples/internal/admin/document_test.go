package admin

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/admin/api"
)

// A document is as much of OpenAPI as the tests look at.
type document31 struct {
	OpenAPI    string                          `json:"openapi"`
	Info       struct{ Title, Version string } `json:"info"`
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Schemas         map[string]*schema         `json:"schemas"`
		SecuritySchemes map[string]json.RawMessage `json:"securitySchemes"`
	} `json:"components"`
	Security []map[string][]string `json:"security"`
}

type operation struct {
	OperationID string      `json:"operationId"`
	Summary     string      `json:"summary"`
	Description string      `json:"description"`
	Tags        []string    `json:"tags"`
	Parameters  []parameter `json:"parameters"`
	RequestBody *struct {
		Required bool               `json:"required"`
		Content  map[string]content `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Description string             `json:"description"`
		Content     map[string]content `json:"content"`
	} `json:"responses"`
}

type parameter struct {
	Name, In, Description string
	Required              bool
	Schema                *schema
}

type content struct {
	Schema *schema `json:"schema"`
}

type schema struct {
	Ref                  string             `json:"$ref"`
	Type                 any                `json:"type"`
	Description          string             `json:"description"`
	Examples             []json.RawMessage  `json:"examples"`
	Properties           map[string]*schema `json:"properties"`
	Items                *schema            `json:"items"`
	AdditionalProperties any                `json:"additionalProperties"`
}

// served is a file that the handler of a broker serves.
func served(t *testing.T, path string) (text []byte, contentType string) {
	b := &broker.Broker{Directory: &broker.MemoryDirectory{}}
	t.Cleanup(func() { b.Close() })
	w := httptest.NewRecorder()
	NewHandler(&Parts{Broker: b, Directory: b.Directory}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	require.Equal(t, http.StatusOK, w.Code)
	return w.Body.Bytes(), w.Header().Get("Content-Type")
}

func TestTheDocumentSaysEverything(t *testing.T) {
	text, contentType := served(t, "/openapi.json")
	require.Equal(t, "application/openapi+json", contentType)
	var doc document31
	require.NoError(t, json.Unmarshal(text, &doc))
	require.Regexp(t, `^3\.1\.`, doc.OpenAPI)
	require.NotEmpty(t, doc.Info.Title)
	require.NotEmpty(t, doc.Info.Version)
	require.Contains(t, doc.Components.SecuritySchemes, "operator")

	ids := map[string]string{}
	placeholders := regexp.MustCompile(`\{([a-z]+)\}`)
	for path, methods := range doc.Paths {
		require.True(t, strings.HasPrefix(path, api.Prefix+"/"), path)
		for method, op := range methods {
			at := strings.ToUpper(method) + " " + path
			require.NotEmpty(t, op.OperationID, at)
			require.Empty(t, ids[op.OperationID], "%s and %s are both %s", at, ids[op.OperationID], op.OperationID)
			ids[op.OperationID] = at
			require.NotEmpty(t, op.Summary, at)
			require.NotEmpty(t, op.Description, at)
			require.Len(t, op.Tags, 1, at)
			var inPath []string
			for _, p := range op.Parameters {
				require.NotEmpty(t, p.Description, "%s: %s", at, p.Name)
				require.NotNil(t, p.Schema, "%s: %s", at, p.Name)
				require.Len(t, p.Schema.Examples, 1, "%s: %s", at, p.Name)
				if p.In == "path" {
					require.True(t, p.Required)
					inPath = append(inPath, p.Name)
				}
			}
			var wanted []string
			for _, m := range placeholders.FindAllStringSubmatch(path, -1) {
				wanted = append(wanted, m[1])
			}
			require.ElementsMatch(t, wanted, inPath, at)
			if op.RequestBody != nil {
				require.True(t, op.RequestBody.Required, at)
				require.Contains(t, op.RequestBody.Content, "application/json", at)
				doc.explained(t, at, op.RequestBody.Content["application/json"].Schema)
			}
			succeeds := slices.DeleteFunc(slices.Collect(maps.Keys(op.Responses)), func(s string) bool { return s[0] != '2' })
			require.Len(t, succeeds, 1, at)
			for status, r := range op.Responses {
				require.NotEmpty(t, r.Description, "%s: %s", at, status)
				if status != "204" {
					doc.explained(t, at, r.Content["application/json"].Schema)
				}
			}
			require.Equal(t, "#/components/schemas/Error", op.Responses["default"].Content["application/json"].Schema.Ref, at)
		}
	}
	require.Len(t, ids, 34)
}

// explained fails unless each field of the schema has a description and an example.
func (d *document31) explained(t *testing.T, at string, s *schema) {
	t.Helper()
	require.NotNil(t, s, at)
	if s.Ref != "" {
		name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/")
		require.True(t, ok, s.Ref)
		require.Contains(t, d.Components.Schemas, name, at)
		s, at = d.Components.Schemas[name], at+", "+name
	}
	require.Equal(t, "object", s.Type, at)
	require.Equal(t, false, s.AdditionalProperties, "%s takes what it does not know", at)
	for name, field := range s.Properties {
		at := at + "." + name
		require.NotEmpty(t, field.Description, at)
		switch {
		case field.Ref != "":
			d.explained(t, at, field)
		case field.Items != nil && field.Items.Ref != "":
			d.explained(t, at, field.Items)
		default:
			require.Len(t, field.Examples, 1, at)
		}
	}
}

// Readers of the document begin with its examples.
func TestItsExamplesAreValid(t *testing.T) {
	text, _ := served(t, "/openapi.json")
	var doc struct {
		Components struct {
			Schemas map[string]*huma.Schema
		}
	}
	require.NoError(t, json.Unmarshal(text, &doc))
	checked := 0
	for name, s := range doc.Components.Schemas {
		for field, f := range s.Properties {
			for _, example := range f.Examples {
				f.PrecomputeMessages()
				res := &huma.ValidateResult{}
				huma.Validate(nil, f, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, example, res)
				require.Empty(t, res.Errors, "%s.%s: %v", name, field, example)
				checked++
			}
		}
	}
	require.Greater(t, checked, 100)
}

func TestTheDocumentLoadsNothing(t *testing.T) {
	asYAML, contentType := served(t, "/openapi.yaml")
	require.Equal(t, "application/openapi+yaml", contentType)
	require.Contains(t, string(asYAML), "operationId: put-pool")
	h := NewHandler(&Parts{})
	for _, path := range []string{"/docs", "/schemas/Pool.json", "/openapi-3.0.json", "/"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		require.Equal(t, http.StatusNotFound, w.Code, path)
	}
}
