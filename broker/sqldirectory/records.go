package sqldirectory

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/reachback/reachback/broker"
)

func (d *Directory) recordsFor() time.Duration {
	return cmp.Or(d.options.RecordsFor, broker.DefaultRecordsFor)
}

// AddRecords implements broker.RecordSink.
func (d *Directory) AddRecords(ctx context.Context, records []broker.Record) error {
	if len(records) == 0 {
		return nil
	}
	return d.write(ctx, "", func(t *tx) error {
		last, err := t.count("record", len(records))
		if err != nil {
			return err
		}
		first := last - int64(len(records)) + 1
		for i := range records {
			r := records[i]
			r.ID = uint64(first) + uint64(i)
			t.exec(`INSERT INTO records (id, time, tenant, subject, host, session, correlation, step, code, body)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
				int64(r.ID), micros(r.Time), r.Tenant, r.User, r.Host, r.Session, r.CorrelationID, string(r.Step), string(r.Code), toJSON(&r))
		}
		return nil
	})
}

// FindRecords implements broker.Records.
func (d *Directory) FindRecords(ctx context.Context, q *broker.RecordQuery) ([]broker.Record, error) {
	var found []broker.Record
	err := d.read(ctx, func(t *tx) (err error) {
		w := where{}
		w.add("time >= $%d", max(micros(q.From), t.now-d.recordsFor().Microseconds()))
		if !q.To.IsZero() {
			w.add("time < $%d", micros(q.To))
		}
		w.equal("tenant", q.Tenant)
		w.indexed("subject", q.User)
		w.indexed("host", q.Host)
		w.indexed("session", q.Session)
		w.indexed("correlation", q.CorrelationID)
		w.equal("step", string(q.Step))
		if q.Code == "*" {
			w.terms = append(w.terms, "code <> ''")
		} else {
			w.indexed("code", string(q.Code))
		}
		if q.Before > 0 {
			w.add("id < $%d", int64(q.Before))
		}
		found, err = list(t, func(r row) (v broker.Record, err error) { return v, scanJSON(r, &v) },
			fmt.Sprintf("SELECT body FROM records WHERE %s ORDER BY id DESC LIMIT %d", w.String(), page(q.Limit)), w.args...)
		return err
	})
	return found, err
}
