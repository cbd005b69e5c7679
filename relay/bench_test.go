package relay

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// These benchmarks measure the relay in a process of its own, and HAProxy beside
// it where that is installed, in turns: an iteration is a round of each.
// BENCHMARKS.md tells how to run and read them.

func subjects(b *testing.B) []*subject {
	if runtime.GOOS != "linux" {
		b.Skip("processes are measured by their /proc")
	}
	k := newBenchKeys(b)
	s := []*subject{startRelay(b, k)}
	if h := startHAProxy(b, k); h != nil {
		s = append(s, h)
	}
	return s
}

// figures collects values by subject and unit, one of each round.
type figures map[string]map[string][]float64

func (f figures) add(s *subject, unit string, v float64) {
	if f[unit] == nil {
		f[unit] = make(map[string][]float64)
	}
	f[unit][s.name] = append(f[unit][s.name], v)
}

// report gives the medians, and their ratio of the relay to HAProxy.
func (f figures) report(b *testing.B) {
	b.ReportMetric(0, "ns/op")
	for unit, by := range f {
		for name, v := range by {
			b.ReportMetric(median(v), name+"-"+unit)
		}
		if h := median(by["haproxy"]); h > 0 {
			b.ReportMetric(median(by["relay"])/h, "ratio-"+unit)
		}
	}
}

func median[T cmp.Ordered](v []T) T { return quantile(v, 0.5) }

func quantile[T cmp.Ordered](v []T, q float64) (m T) {
	if len(v) == 0 {
		return m
	}
	v = slices.Sorted(slices.Values(v))
	return v[min(int(q*float64(len(v))), len(v)-1)]
}

func BenchmarkThroughput(b *testing.B) {
	const total = 256 << 20
	for _, n := range []int{1, 16} {
		b.Run(fmt.Sprintf("sessions=%d", n), func(b *testing.B) {
			all, f := subjects(b), figures{}
			for b.Loop() {
				for _, s := range all {
					cpu, wall := throughput(b, s, n, total)
					f.add(s, "CPU-s/GiB", cpu.Seconds()*(1<<30)/total)
					f.add(s, "MiB/s", total/wall.Seconds()/(1<<20))
				}
			}
			f.report(b)
		})
	}
}

// throughput carries total bytes from hosts to clients, over n pairs.
func throughput(b *testing.B, s *subject, n, total int) (cpu, wall time.Duration) {
	pairs := openPairs(b, s, n)
	defer pairs.close()
	start, used := time.Now(), s.cpu()
	pairs.carry(b, total/n)
	return s.cpu() - used, time.Since(start)
}

func BenchmarkRoundTrip(b *testing.B) {
	const trips = 2000
	all, f := subjects(b), figures{}
	for b.Loop() {
		for _, s := range all {
			pairs := openPairs(b, s, 1)
			var took []time.Duration
			go io.Copy(pairs[0].host, pairs[0].host) // ends with the pair
			buf := make([]byte, 64)
			for range trips {
				start := time.Now()
				_, err := pairs[0].client.Write(buf)
				require.NoError(b, err)
				_, err = io.ReadFull(pairs[0].client, buf)
				require.NoError(b, err)
				took = append(took, time.Since(start))
			}
			f.add(s, "p50-µs", float64(quantile(took, 0.5).Nanoseconds())/1e3)
			f.add(s, "p99-µs", float64(quantile(took, 0.99).Nanoseconds())/1e3)
			pairs.close()
		}
	}
	f.report(b)
}

// BenchmarkCalls sets up pairs, with everything a relay checks, and closes them.
// HAProxy's pairs have one handshake that it serves and one that it asks for;
// the relay serves two, checks a token and a host's certificate.
func BenchmarkCalls(b *testing.B) {
	const calls, atOnce = 200, 8
	all, f := subjects(b), figures{}
	for b.Loop() {
		for _, s := range all {
			start, used := time.Now(), s.cpu()
			var wg sync.WaitGroup
			errs := make(chan error, atOnce)
			for range atOnce {
				wg.Go(func() {
					for range calls / atOnce {
						c, h, err := s.open()
						if err != nil {
							errs <- err
							return
						}
						c.Close()
						h.Close()
					}
				})
			}
			wg.Wait()
			close(errs)
			require.NoError(b, <-errs)
			f.add(s, "calls/s", calls/time.Since(start).Seconds())
			f.add(s, "CPU-ms/call", float64((s.cpu()-used).Microseconds())/1e3/calls)
		}
	}
	f.report(b)
}

// BenchmarkIdleMemory holds pairs that never carried a byte, then the same pairs
// after each carried many full records down, and after the same up. "Collected" is
// after the Go runtime was made to give back what it would give back in time.
func BenchmarkIdleMemory(b *testing.B) {
	const n, each = 500, 256 << 10
	f := figures{}
	for b.Loop() {
		for _, s := range subjects(b) { // new ones: what was once resident may stay so
			openPairs(b, s, 8).close()
			s.collect()
			base := s.resident()
			note := func(unit string) {
				time.Sleep(time.Second)
				f.add(s, unit+"-KiB/pair", float64(s.resident()-base)/1024/n)
				s.collect()
				f.add(s, unit+"-collected-KiB/pair", float64(s.resident()-base)/1024/n)
			}
			pairs := openPairs(b, s, n)
			note("unused")
			pairs.carry(b, each)
			note("down")
			for i, p := range pairs {
				pairs[i] = benchPair{p.host, p.client}
			}
			pairs.carry(b, each)
			note("both")
			pairs.close()
		}
	}
	f.report(b)
}

type benchPair struct{ client, host conn }

type benchPairs []benchPair

func openPairs(b *testing.B, s *subject, n int) benchPairs {
	pairs := make(benchPairs, n)
	for i := range pairs {
		c, h, err := s.open()
		require.NoError(b, err)
		pairs[i] = benchPair{c, h}
	}
	return pairs
}

func (ps benchPairs) close() {
	for _, p := range ps {
		p.client.Close()
		p.host.Close()
	}
}

// carry sends each bytes from host to client, over all pairs at once.
func (ps benchPairs) carry(b *testing.B, each int) {
	var wg sync.WaitGroup
	errs := make(chan error, 2*len(ps))
	for _, p := range ps {
		wg.Go(func() {
			buf := make([]byte, 64<<10)
			for left := each; left > 0; {
				n, err := p.host.Write(buf[:min(left, len(buf))])
				if err != nil {
					errs <- err
					return
				}
				left -= n
			}
		})
		wg.Go(func() {
			n, err := io.CopyN(io.Discard, p.client, int64(each))
			if n != int64(each) {
				errs <- errors.Join(err, io.ErrUnexpectedEOF)
			}
		})
	}
	wg.Wait()
	close(errs)
	require.NoError(b, <-errs)
}
