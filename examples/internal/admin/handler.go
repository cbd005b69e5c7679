package admin

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"

	"github.com/reachback/reachback"
)

// NewHandler returns the handler of everything. It trusts whoever asks: only the
// address of a [Server] is guarded.
func NewHandler(p *Parts) http.Handler {
	h := newHealth(p)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics(p, h))
	mux.Handle("GET /healthz", h)
	// By itself net/http/pprof registers with http.DefaultServeMux, which
	// nothing here serves.
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	newAPI(p, mux)
	return uniform{mux}
}

// uniform is a mux that refuses in the form of everything else.
type uniform struct{ mux *http.ServeMux }

func (u uniform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, pattern := u.mux.Handler(r)
	if pattern != "" {
		u.mux.ServeHTTP(w, r)
		return
	}
	var asked statusOnly
	h.ServeHTTP(&asked, r)
	code := reachback.CodeNotFound
	if asked.status == http.StatusMethodNotAllowed {
		code = reachback.CodeMethodNotAllowed
		w.Header()["Allow"] = asked.header["Allow"]
	}
	refuse(w, reachback.Refuse(code))
}

// statusOnly takes no body.
type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header {
	if s.header == nil {
		s.header = make(http.Header)
	}
	return s.header
}
func (s *statusOnly) WriteHeader(status int)      { s.status = status }
func (s *statusOnly) Write(b []byte) (int, error) { return len(b), nil }

func refuse(w http.ResponseWriter, e *reachback.Error) { writeJSON(w, e.Code.Status(), e) }

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}
