package api

// Stats are numbers of a process since its start.
type Stats struct {
	Broker *BrokerStats `json:"broker,omitempty" doc:"Of the broker; left out where there is none."`
	Link   *LinkStats   `json:"link,omitempty" doc:"Of a gateway's link to its broker; left out where there is none."`
	Relay  *RelayStats  `json:"relay,omitempty" doc:"Of the gateway; left out where there is none."`
}

// LinkStats are numbers of a gateway's link to its broker.
type LinkStats struct {
	Up       bool  `json:"up" doc:"Whether there is a channel to ask on." example:"true"`
	Draining bool  `json:"draining" doc:"Whether an operator has put this gateway in drain." example:"false"`
	Waiting  int   `json:"waiting" doc:"Calls that wait for the broker's answer." example:"0"`
	Events   int   `json:"events" doc:"Events that wait to be reported." example:"0"`
	Channels int64 `json:"channels" doc:"Control channels that stood." example:"3"`
}

// BrokerStats are numbers of a broker.
type BrokerStats struct {
	Hosts          int              `json:"hosts" doc:"Control channels of hosts now." example:"120"`
	Gateways       int              `json:"gateways" doc:"Control channels of gateways now." example:"2"`
	Deciding       int              `json:"deciding" doc:"Calls that are being decided, or were in about the last minute." example:"3"`
	Permitted      int64            `json:"permitted" doc:"Calls that got a host." example:"5120"`
	Enrolled       int64            `json:"enrolled" doc:"Machines that enrolled." example:"121"`
	RecordsDropped int64            `json:"records_dropped" doc:"Records that the directory did not take." example:"0"`
	Refused        map[string]int64 `json:"refused" doc:"Calls, channels, enrolments and connects refused, by code." example:"{\"no_host\":4}"`
}

// RelayStats are numbers of a gateway.
type RelayStats struct {
	Waiting  int              `json:"waiting" doc:"Calls that wait for their host now." example:"1"`
	Joined   int              `json:"joined" doc:"Joined pairs of legs now." example:"87"`
	Calls    int64            `json:"calls" doc:"Calls." example:"5200"`
	Answers  int64            `json:"answers" doc:"Answers of hosts." example:"5150"`
	ToHost   int64            `json:"to_host" doc:"Bytes copied from clients to hosts." example:"73400320"`
	ToClient int64            `json:"to_client" doc:"Bytes copied from hosts to clients." example:"9663676416"`
	Refused  map[string]int64 `json:"refused" doc:"Calls and answers refused, by code." example:"{\"token_expired\":2}"`
	Ended    map[string]int64 `json:"ended" doc:"Joined pairs that ended, by code." example:"{\"closed\":5031}"`
}
