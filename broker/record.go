package broker

import (
	"context"
	"time"

	"github.com/reachback/reachback"
)

// A Step is what a [Record] is about.
type Step string

// The steps of a connection, in their usual order. Each party's own view of a
// step is a record of its own.
const (
	StepFeed        Step = "feed"        // the user read his feed
	StepConnect     Step = "connect"     // a connection token was issued, or refused
	StepCall        Step = "call"        // a gateway took a call, or refused it
	StepStart       Step = "start"       // no host was up, and one was asked to start
	StepOrchestrate Step = "orchestrate" // the broker found a host that accepts, or none
	StepSummon      Step = "summon"      // one host was asked
	StepAnswer      Step = "answer"      // the host's leg came to the gateway
	StepJoined      Step = "joined"      // bytes flow
	StepEnd         Step = "end"         // it is over
)

// Steps that are not of a connection.
const (
	StepEnrol   Step = "enrol"   // of a host or gateway
	StepChannel Step = "channel" // of a host or gateway: begun, or ended with a code
	StepAdmin   Step = "admin"   // an operator changed something
)

// A Record is one step of what happened, for the question why a user could not
// connect. Times are those of the broker that wrote it down.
type Record struct {
	ID            uint64         `json:"id"` // rises; drawn by the directory
	Time          time.Time      `json:"time"`
	Step          Step           `json:"step"`
	Party         string         `json:"party"`          // who saw it: "gateway", "broker" or "host"
	Code          reachback.Code `json:"code,omitempty"` // why it failed or ended; empty: it succeeded
	CorrelationID string         `json:"correlation_id,omitempty"`
	Duration      time.Duration  `json:"duration,omitempty"` // of the step, nanoseconds
	Tenant        string         `json:"tenant,omitempty"`
	User          string         `json:"user,omitempty"` // subject
	Resource      string         `json:"resource,omitempty"`
	Session       string         `json:"session,omitempty"`
	Call          string         `json:"call,omitempty"`
	Host          string         `json:"host,omitempty"` // id
	Gateway       string         `json:"gateway,omitempty"`
	Remote        string         `json:"remote,omitempty"` // address of the peer
	Detail        string         `json:"detail,omitempty"` // for people; at most 256 bytes
}

// A RecordQuery says which records are asked for. What is empty does not matter.
type RecordQuery struct {
	Tenant        string
	User          string // subject
	Host          string
	Session       string
	CorrelationID string
	Step          Step
	Code          reachback.Code // "*": those that have one
	From, To      time.Time      // from From on, and before To
	Before        uint64         // only ids before this one: the next page
	Limit         int
}

// A RecordSink takes records, in batches and in their order. It is called by one
// goroutine. A batch that it does not take is tried again until so many others wait
// that it is dropped and counted; so a sink may see a batch twice.
type RecordSink interface {
	AddRecords(ctx context.Context, records []Record) error
}

// DefaultRecordsFor is how long a directory keeps records unless it is told
// otherwise.
const DefaultRecordsFor = 30 * 24 * time.Hour
