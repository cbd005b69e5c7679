package sqldirectory

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/reachback/reachback"
)

// Stats are numbers of a directory since it was opened.
type Stats struct {
	Operations int64 // changes and reads that were asked for
	Commits    int64 // transactions that changes took
	Retries    int64 // transactions that stood in others' way and were run again
	Failures   int64 // operations that the database could not do
}

type counters struct{ operations, commits, retries, failures atomic.Int64 }

// Stats returns the directory's numbers.
func (d *Directory) Stats() Stats {
	c := &d.counters
	return Stats{c.operations.Load(), c.commits.Load(), c.retries.Load(), c.failures.Load()}
}

// within runs an operation that may take so long. What is not a refusal is told to
// come from here.
func (d *Directory) within(ctx context.Context, limit time.Duration, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	d.counters.operations.Add(1)
	err := f(ctx)
	if err == nil {
		return nil
	}
	if _, refused := errors.AsType[*reachback.Error](err); refused || errors.Is(err, errClosed) {
		return err
	}
	d.counters.failures.Add(1)
	return fmt.Errorf("sqldirectory: %w", err)
}
