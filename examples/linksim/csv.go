package main

import (
	"bytes"
	"encoding/csv"
	"strconv"
	"time"

	"github.com/reachback/reachback/urcp/linksim"
)

// bins calls f for each span of a run.
func bins(sc *linksim.Scenario, f func(i int, from, to time.Duration)) {
	bin := sc.Bin
	if bin == 0 {
		bin = 100 * time.Millisecond
	}
	for i := 0; time.Duration(i)*bin < sc.Duration; i++ {
		f(i, time.Duration(i)*bin, min(time.Duration(i+1)*bin, sc.Duration))
	}
}

// flowsCSV has a row for each flow in each span. Rates are bits per second on the
// wire, delays milliseconds: the median of the way from sender to receiver, and the
// median and the longest of the time in queues.
func flowsCSV(r *linksim.Result) []byte {
	return table([]string{"time_s", "flow", "sent", "received", "one_way_ms", "queue_ms", "queue_max_ms", "dropped"}, func(row func(...string)) {
		bins(r.Scenario, func(i int, from, to time.Duration) {
			for _, f := range r.Flows {
				oneWay, queue, longest := "", "", ""
				b := &f.Bins[i]
				if b.Delivered > 0 {
					q := f.Queue(from, to)
					oneWay, queue, longest = milliseconds(f.OneWay(from, to).P50), milliseconds(q.P50), milliseconds(q.Max)
				}
				row(seconds(from), f.Name, rate(b.Sent, to-from), rate(b.Delivered, to-from), oneWay, queue, longest, strconv.Itoa(int(b.Dropped)))
			}
		})
	})
}

// linksCSV has a row for each link in each span: what it could have served, and did,
// in bits per second, and how long packets waited, in milliseconds, the median by time and
// the longest.
func linksCSV(r *linksim.Result) []byte {
	return table([]string{"time_s", "link", "capacity", "served", "queue_ms", "queue_max_ms"}, func(row func(...string)) {
		bins(r.Scenario, func(_ int, from, to time.Duration) {
			for _, l := range r.Links {
				could := l.Capacity(from, to)
				queue := l.QueueOverTime(from, to)
				row(seconds(from), l.Name, rate(could, to-from), rate(int64(l.Utilisation(from, to)*float64(could)), to-from),
					milliseconds(queue.P50), milliseconds(queue.Max))
			}
		})
	})
}

func table(head []string, rows func(row func(...string))) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.Write(head)
	rows(func(fields ...string) { w.Write(fields) })
	w.Flush()
	return b.Bytes()
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 3, 64)
}

func rate(bytes int64, in time.Duration) string {
	return strconv.FormatFloat(float64(bytes)*8/in.Seconds(), 'f', 0, 64)
}
