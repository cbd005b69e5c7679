package broker

import (
	"context"
	"slices"
)

// maxRecords is how many records a directory in memory keeps; the oldest go
// first.
const maxRecords = 10_000

// AddRecords implements [RecordSink].
func (d *MemoryDirectory) AddRecords(_ context.Context, records []Record) error {
	d.begin()
	defer d.mu.Unlock()
	for _, r := range records {
		d.recorded++
		r.ID = d.recorded
		d.records = append(d.records, r)
	}
	if over := len(d.records) - maxRecords; over > 0 {
		d.records = slices.Delete(d.records, 0, over)
	}
	return nil
}

// FindRecords implements [Records].
func (d *MemoryDirectory) FindRecords(_ context.Context, q *RecordQuery) ([]Record, error) {
	now := d.begin()
	defer d.mu.Unlock()
	var found []Record
	oldest := now.Add(-DefaultRecordsFor)
	for _, r := range slices.Backward(d.records) {
		if len(found) == page(q.Limit) {
			break
		}
		if !r.Time.Before(oldest) && q.matches(&r) {
			found = append(found, r)
		}
	}
	return found, nil
}

func (q *RecordQuery) matches(r *Record) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	switch {
	case !is(q.Tenant, r.Tenant), !is(q.User, r.User), !is(q.Host, r.Host), !is(q.Session, r.Session),
		!is(q.CorrelationID, r.CorrelationID), !is(string(q.Step), string(r.Step)):
		return false
	case q.Code == "*" && r.Code == "", q.Code != "*" && !is(string(q.Code), string(r.Code)):
		return false
	case r.Time.Before(q.From), !q.To.IsZero() && !r.Time.Before(q.To):
		return false
	}
	return q.Before == 0 || r.ID < q.Before
}
