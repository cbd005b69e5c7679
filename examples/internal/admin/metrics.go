package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/broker/sqldirectory"
)

// metrics serves the parts' numbers from a registry of their own.
func metrics(p *Parts, h *health) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
		collector{p, h},
	)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
	})
}

// A collector reads the parts' Stats when it is asked. Its labels are codes of
// this version, directions and the names of checks, so that no peer can make the
// series more.
type collector struct {
	parts  *Parts
	health *health
}

// Describe implements [prometheus.Collector]: what there is depends on the parts,
// and nobody else uses these names.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (c collector) Collect(out chan<- prometheus.Metric) {
	if c.parts.Broker != nil {
		c.broker(out)
	}
	if d, ok := c.parts.Directory.(interface{ Stats() sqldirectory.Stats }); ok {
		c.directory(out, d.Stats())
	}
	if c.parts.Relay != nil {
		c.relay(out)
	}
	if c.parts.Link != nil {
		c.link(out)
	}
	up := metric(prometheus.GaugeValue, "reachback_check_up", "Whether what the process needs answers.", "check")
	for name, err := range c.health.results(context.Background()) {
		out <- up(oneIf(err == nil), name)
	}
}

func (c collector) broker(out chan<- prometheus.Metric) {
	s := c.parts.Broker.Stats()
	gauge, counter := emit(out, prometheus.GaugeValue), emit(out, prometheus.CounterValue)
	channels := metric(prometheus.GaugeValue, "reachback_broker_channels", "Control channels.", "role")
	out <- channels(float64(s.Channels), string(broker.RoleHost))
	out <- channels(float64(s.Gateways), string(broker.RoleGateway))
	gauge("reachback_broker_calls_deciding", "Calls that are being decided, or were in about the last minute.", float64(s.Deciding))
	gauge("reachback_broker_notes_waiting", "Joins, leaves and ends of channels that the directory has not taken yet.", float64(s.Notes))
	gauge("reachback_broker_records_waiting", "Records that wait for their sink.", float64(s.Records))
	counter("reachback_broker_calls_permitted_total", "Calls that got a host.", float64(s.Permitted))
	counter("reachback_broker_enrolments_total", "Machines that enrolled.", float64(s.Enrolled))
	counter("reachback_broker_renewals_total", "Certificates renewed over a control channel.", float64(s.Renewed))
	counter("reachback_broker_channels_superseded_total", "Control channels that a newer one of the same host replaced.", float64(s.Superseded))
	counter("reachback_broker_channels_overflown_total", "Control channels closed because the host took messages too slowly.", float64(s.Overflows))
	counter("reachback_broker_unknown_sessions_total", "Sessions that a host reported and that were not made for it.", float64(s.UnknownSessions))
	counter("reachback_broker_events_dropped_total", "Events of gateways for which there was no room.", float64(s.DroppedEvents))
	counter("reachback_broker_events_foreign_total", "Events of gateways about sessions that are not as they say.", float64(s.ForeignEvents))
	counter("reachback_broker_starts_total", "Hosts that were asked to start.", float64(s.Starts))
	counter("reachback_broker_starts_failed_total", "Hosts that could not be started.", float64(s.StartsFailed))
	counter("reachback_broker_records_written_total", "Records that the sink took.", float64(s.RecordsWritten))
	counter("reachback_broker_records_dropped_total", "Records that the sink did not take, or for which there was no room.", float64(s.RecordsDropped))
	byCode(out, "reachback_broker_refusals_total", "Calls, channels, enrolments and connects refused.", s.Refused)
}

func (c collector) directory(out chan<- prometheus.Metric, s sqldirectory.Stats) {
	counter := emit(out, prometheus.CounterValue)
	counter("reachback_directory_operations_total", "Changes and reads that the database was asked for.", float64(s.Operations))
	counter("reachback_directory_commits_total", "Transactions that changes took.", float64(s.Commits))
	counter("reachback_directory_retries_total", "Transactions that stood in others' way and were run again.", float64(s.Retries))
	counter("reachback_directory_failures_total", "Operations that the database could not do.", float64(s.Failures))
}

func (c collector) relay(out chan<- prometheus.Metric) {
	s := c.parts.Relay.Stats()
	gauge, counter := emit(out, prometheus.GaugeValue), emit(out, prometheus.CounterValue)
	gauge("reachback_relay_calls_waiting", "Calls that wait for their host.", float64(s.Waiting))
	gauge("reachback_relay_pairs", "Joined pairs of legs.", float64(s.Joined))
	counter("reachback_relay_calls_total", "Calls.", float64(s.Calls))
	counter("reachback_relay_answers_total", "Answers of hosts.", float64(s.Answers))
	bytes := metric(prometheus.CounterValue, "reachback_relay_bytes_total", "Bytes copied between legs.", "direction")
	out <- bytes(float64(s.ToHost), "to_host")
	out <- bytes(float64(s.ToClient), "to_client")
	byCode(out, "reachback_relay_refusals_total", "Calls and answers refused.", s.Refused)
	byCode(out, "reachback_relay_pairs_ended_total", "Joined pairs that ended.", s.Ended)
}

func (c collector) link(out chan<- prometheus.Metric) {
	s := c.parts.Link.Stats()
	gauge, counter := emit(out, prometheus.GaugeValue), emit(out, prometheus.CounterValue)
	gauge("reachback_link_draining", "Whether an operator has put this gateway in drain.", oneIf(s.Draining))
	gauge("reachback_link_calls_waiting", "Calls that wait for the broker's answer.", float64(s.Waiting))
	gauge("reachback_link_events_waiting", "Events that wait to be reported.", float64(s.Events))
	gauge("reachback_link_kills", "Kills in force, as far as they are kept.", float64(s.Kills))
	counter("reachback_link_channels_total", "Control channels that stood.", float64(s.Channels))
	counter("reachback_link_events_dropped_total", "Events dropped for want of room, or because the broker refused them.", float64(s.DroppedEvents))
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// metric returns a function that makes samples of one metric.
func metric(kind prometheus.ValueType, name, help string, labels ...string) func(v float64, values ...string) prometheus.Metric {
	desc := prometheus.NewDesc(name, help, labels, nil)
	return func(v float64, values ...string) prometheus.Metric {
		return prometheus.MustNewConstMetric(desc, kind, v, values...)
	}
}

// emit returns a function that sends one sample of a metric without labels.
func emit(out chan<- prometheus.Metric, kind prometheus.ValueType) func(name, help string, v float64) {
	return func(name, help string, v float64) { out <- metric(kind, name, help)(v) }
}

// byCode sends a counter for each code.
func byCode(out chan<- prometheus.Metric, name, help string, counts map[reachback.Code]int64) {
	sample := metric(prometheus.CounterValue, name, help, "code")
	for code, n := range byName(counts) {
		out <- sample(float64(n), code)
	}
}
