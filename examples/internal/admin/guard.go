package admin

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/internal/printable"
)

// An asker is who sent a request, and the request's name in the log.
type asker struct {
	by          string // the subject of his certificate, or "loopback"
	path        string
	correlation string
}

type askerKey struct{}

func askerOf(ctx context.Context) *asker {
	if a, ok := ctx.Value(askerKey{}).(*asker); ok {
		return a
	}
	return &asker{by: "unknown", correlation: randomID()}
}

// guard lets through what a program sent that an operator runs, and nothing that
// a web page had his browser send.
func guard(next http.Handler, mutual bool, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &asker{by: "loopback", path: printable.Clip(r.URL.Path), correlation: randomID()}
		if mutual {
			a.by = printable.Clip(r.TLS.PeerCertificates[0].Subject.String())
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if e := suspect(r, mutual); e != nil {
			e.CorrelationID = a.correlation
			logger.Warn("admin request refused", "by", a.by, "remote", r.RemoteAddr, "method", r.Method, "path", a.path,
				"host", printable.Clip(r.Host), "origin", printable.Clip(r.Header.Get("Origin")), "code", e.Code, "correlation_id", e.CorrelationID)
			refuse(w, e)
			return
		}
		defer func() { // net/http would say it where it speaks of peers
			if v := recover(); v != nil {
				logger.Error("admin request panicked", "path", a.path, "panic", v, "stack", string(debug.Stack()))
				panic(http.ErrAbortHandler)
			}
		}()
		ctx := broker.ByOperator(r.Context(), a.by)
		next.ServeHTTP(w, r.WithContext(context.WithValue(ctx, askerKey{}, a)))
	})
}

// suspect returns why a request is refused, nil where it is not.
func suspect(r *http.Request, mutual bool) *reachback.Error {
	switch site := r.Header.Get("Sec-Fetch-Site"); {
	case !mutual && !hostIsLoopback(r.Host): // the name of some site that its owner now has lead here
		return badRequest("this address answers by the name localhost or a loopback address only")
	case r.Header.Get("Origin") != "", site != "" && site != "none" && site != "same-origin":
		return badRequest("web pages are not answered here")
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return nil
	}
	// A page can post forms and plain text to anywhere without asking first.
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return badRequest("a request that changes something needs Content-Type: application/json")
	}
	return nil
}

func badRequest(message string) *reachback.Error {
	return &reachback.Error{Code: reachback.CodeBadRequest, Message: message}
}

func hostIsLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	return isLoopback(strings.ToLower(host))
}

func randomID() string {
	b := make([]byte, 16)
	rand.Read(b)
	return hex.EncodeToString(b)
}
