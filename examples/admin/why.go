package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/examples/internal/admin/api"
	"github.com/reachback/reachback/examples/internal/program"
)

// maxStory is how many pages of records one answer is made of.
const maxStory = 20

// why tells the records of each connection as a story, and how it came out.
func why(f *flag.FlagSet) func(context.Context, *asking, []string) error {
	filter := newRecordFilter(f)
	all := f.Bool("all", false, "also the connections that came about")
	return func(ctx context.Context, a *asking, _ []string) error {
		q, err := filter.query(a)
		if err != nil {
			return err
		}
		var records []api.Record
		for range maxStory {
			var page api.Records
			if err := a.get(ctx, "/records", q, &page); err != nil {
				return err
			}
			records = append(records, page.Records...)
			if page.Next == 0 {
				break
			}
			q.Set("before", strconv.FormatUint(page.Next, 10))
		}
		good, bad := 0, 0
		for _, s := range storiesOf(records) {
			if s.good() {
				good++
			} else {
				bad++
			}
			if s.good() && !*all {
				continue
			}
			if err := s.tell(a.output); err != nil {
				return err
			}
		}
		if a.table {
			a.p.Text(fmt.Sprintf("%d that failed or broke off, %d that did not.\n", bad, good))
		}
		return nil
	}
}

// A story is the records of one connection, in their order.
type story struct {
	correlation string
	records     []api.Record
}

// storiesOf sorts records, which come the newest first, by connection.
func storiesOf(records []api.Record) []*story {
	byID := make(map[string]*story)
	var stories []*story
	for _, r := range slices.Backward(records) {
		if r.CorrelationID == "" {
			continue
		}
		s := byID[r.CorrelationID]
		if s == nil {
			s = &story{correlation: r.CorrelationID}
			byID[r.CorrelationID] = s
			stories = append(stories, s)
		}
		s.records = append(s.records, r)
	}
	return stories
}

// outcome says how the story came out: the code of its end, "" where all is well,
// and what that means.
func (s *story) outcome() (code, meaning string) {
	joined := false
	var failed api.Record // the last
	for _, r := range s.records {
		switch {
		case r.Step == string(broker.StepAdmin): // an operator's failure is not the user's
		case r.Step == string(broker.StepJoined) && r.Code == "":
			joined, failed = true, api.Record{} // what went wrong before was got over
		case r.Code == string(reachback.CodePathLost) && failed.Step == string(broker.StepEnd):
			// The host saw no more than that the bytes stopped.
		case r.Code != "" && r.Code != string(reachback.CodeClosed):
			failed = r
		}
	}
	if failed.Code != "" {
		return failed.Code, strings.TrimSuffix(failed.Message+": "+failed.Detail, ": ")
	}
	if joined {
		return "", ""
	}
	return "", s.gap()
}

// good reports whether nothing is wrong with the connection.
func (s *story) good() bool {
	code, meaning := s.outcome()
	return code == "" && meaning == ""
}

// gap says what did not follow, in a story that breaks off without anybody having
// seen a failure. That is most likely a network's, which leaves no record.
func (s *story) gap() string {
	seen := make(map[broker.Step]bool)
	for _, r := range s.records {
		seen[broker.Step(r.Step)] = true
	}
	switch {
	case seen[broker.StepEnd]:
		return ""
	case seen[broker.StepAnswer]:
		return "the host's leg came and no byte went through: the client left first"
	case seen[broker.StepSummon], seen[broker.StepOrchestrate]:
		return "the host accepted and its leg did not come yet: does it reach the gateway's -instance-url?"
	case seen[broker.StepStart]:
		return "a host was asked to start and is not up yet"
	case seen[broker.StepCall]:
		return "the gateway took the call and there is no decision yet: does it reach the broker?"
	case seen[broker.StepConnect]:
		return "the client may connect and no gateway has seen it yet: does it reach the gateways?"
	}
	return ""
}

func (s *story) tell(o *output) error {
	code, meaning := s.outcome()
	var user, resource string
	for _, r := range s.records {
		user, resource = max(user, r.User), max(resource, r.Resource)
	}
	if !o.table {
		for _, r := range s.records {
			object, err := json.Marshal(r)
			if err != nil {
				return err
			}
			if err := o.thing("record", object); err != nil {
				return err
			}
		}
		o.p.Event("connection", "correlation_id", s.correlation, "user", user, "resource", resource, "code", code, "meaning", meaning)
		return nil
	}
	var b strings.Builder
	line := func(format string, args ...any) {
		b.WriteString(strings.TrimRight(program.OneLine(fmt.Sprintf(format, args...)), " ") + "\n")
	}
	first := s.records[0].Time
	line("%s  %s to %s, %s", s.correlation, orDash(user), orDash(resource), first.Local().Format(time.DateTime))
	for _, r := range s.records {
		what := "ok"
		if r.Code != "" {
			what = r.Code
		}
		line("  %+9.3fs  %-8s %-12s %-20s %s", r.Time.Sub(first).Seconds(), r.Party, r.Step, what, about(&r))
	}
	switch {
	case code != "":
		line("  = %s; SPEC.md, section 8, has causes and remedies of %s", meaning, code)
	case meaning != "":
		line("  = %s", meaning)
	default:
		line("  = it came about")
	}
	o.p.Text(b.String() + "\n")
	return nil
}

// about is what else a record says, for the end of a line.
func about(r *api.Record) string {
	var words []string
	for _, w := range []struct{ name, value string }{{"host", r.Host}, {"gateway", r.Gateway}, {"from", r.Remote}} {
		if w.value != "" {
			words = append(words, w.name+" "+w.value)
		}
	}
	if r.DurationMS > 0 {
		words = append(words, fmt.Sprintf("%.1f ms", r.DurationMS))
	}
	if r.Detail != "" {
		words = append(words, r.Detail)
	}
	return strings.Join(words, ", ")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
