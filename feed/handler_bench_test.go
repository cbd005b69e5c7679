package feed_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/reachback/reachback/feed"
)

// discarded is an answer that nobody reads.
type discarded struct {
	header http.Header
	status int
}

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) Write(b []byte) (int, error) { return len(b), nil }
func (d *discarded) WriteHeader(status int)      { d.status = status }

// BenchmarkFeed is the whole document, for a user whose workspace the handler has seen
// before or, "new", has not.
func BenchmarkFeed(b *testing.B) {
	for _, tt := range []struct {
		name  string
		n     int
		fresh bool
	}{{"10", 10, false}, {"200", 200, false}, {"200 new", 200, true}, {"1024", feed.MaxResources, false}} {
		b.Run(tt.name, func(b *testing.B) {
			s := newSource()
			s.resources["alice"] = manyResources(tt.n)
			h := newHandler(s)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if tt.fresh {
					s.resources["alice"][0].Title = fmt.Sprint(i)
				}
				if w := get(h, "alice-token", "/feed", radc); w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		})
	}
}

// BenchmarkNotModified is what most requests of a day come to, on all processors.
func BenchmarkNotModified(b *testing.B) {
	for _, n := range []int{10, 200} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := newSource()
			s.resources["alice"] = manyResources(n)
			h := newHandler(s)
			tag := get(h, "alice-token", "/feed", radc).Header().Get("ETag")
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r := httptest.NewRequest(http.MethodGet, "/feed", nil)
					r.Header.Set("Authorization", "Bearer alice-token")
					r.Header.Set("Accept", "application/x-msts-radc+xml; radc_schema_version=2.0")
					r.Header.Set("If-None-Match", tag)
					w := discarded{header: make(http.Header)}
					if h.ServeHTTP(&w, r); w.status != http.StatusNotModified {
						b.Error(w.status)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
		})
	}
}
