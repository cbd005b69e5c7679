package admin

import (
	"context"
	"net/http"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/examples/internal/admin/api"
)

// stats registers what every process has.
func (a *operators) stats() {
	on(a, http.MethodGet, "/stats", "get-stats", "Get numbers", "What the parts of this process count since its start; /metrics has the same for Prometheus.",
		func(context.Context, *struct{}) (*answer[api.Stats], error) {
			var s api.Stats
			if a.Broker != nil {
				n := a.Broker.Stats()
				s.Broker = &api.BrokerStats{
					Hosts: n.Channels, Gateways: n.Gateways, Deciding: n.Deciding, Permitted: n.Permitted, Enrolled: n.Enrolled,
					RecordsDropped: n.RecordsDropped, Refused: byName(n.Refused),
				}
			}
			if a.Relay != nil {
				n := a.Relay.Stats()
				s.Relay = &api.RelayStats{
					Waiting: n.Waiting, Joined: n.Joined, Calls: n.Calls, Answers: n.Answers, ToHost: n.ToHost, ToClient: n.ToClient,
					Refused: byName(n.Refused), Ended: byName(n.Ended),
				}
			}
			if a.Link != nil {
				n := a.Link.Stats()
				s.Link = &api.LinkStats{Up: n.Up, Draining: n.Draining, Waiting: n.Waiting, Events: n.Events, Channels: n.Channels}
			}
			return body(s), nil
		})
}

// byName gives a number for each code, those of another version as one.
func byName(counts map[reachback.Code]int64) map[string]int64 {
	known := make(map[string]int64)
	for code, n := range counts {
		if code.Text() == "" {
			known["other"] += n // peers make these up
			continue
		}
		known[string(code)] += n
	}
	return known
}
