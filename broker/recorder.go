package broker

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reachback/reachback/internal/printable"
)

const (
	// recordQueue is how many records may wait for the sink. One that finds no
	// room is dropped and counted: what happens must not wait for its record.
	recordQueue = 8192
	// recordBatch is how many go to the sink at once, and recordEvery how long
	// the first of them waits for others.
	recordBatch = 256
	recordEvery = time.Second
	// recordWithin bounds the writing of a batch. One that fails is tried again
	// after recordRetry, the next time after twice as long, recordRetryMost at
	// most, for as long as the queue has room.
	recordWithin    = 5 * time.Second
	recordRetry     = time.Second
	recordRetryMost = 30 * time.Second
	// recordFlush bounds the writing of what is left when the broker ends.
	recordFlush = 3 * time.Second

	maxDetail  = 256
	maxSubject = 255 // what OpenID Connect allows
)

// A recorder brings records to their sink, from a goroutine of its own that begins
// with run and that close waits for.
type recorder struct {
	sink RecordSink
	log  *slog.Logger

	ctx     context.Context // of the writing; ends recordFlush after close at the latest
	cancel  context.CancelFunc
	wake    chan struct{} // holds one when the queue begins and when a batch is full
	closing chan struct{}
	done    chan struct{} // closed by run

	written atomic.Int64
	dropped atomic.Int64

	mu     sync.Mutex
	queue  []Record
	closed bool
}

func newRecorder(sink RecordSink, log *slog.Logger) *recorder {
	r := &recorder{
		sink: sink, log: log,
		wake: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// add queues a record. It never waits.
func (r *recorder) add(rec Record) {
	if rec.Time.IsZero() {
		rec.Time = time.Now()
	}
	rec.tidy()
	r.mu.Lock()
	full := r.closed || len(r.queue) >= recordQueue
	if !full {
		r.queue = append(r.queue, rec)
	}
	n := len(r.queue)
	r.mu.Unlock()
	if full {
		r.dropped.Add(1)
	} else if n == 1 || n == recordBatch {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

// tidy bounds what others have said, and leaves nothing in it that would be more
// than text where it is shown, or that a database refuses.
func (r *Record) tidy() {
	for _, s := range [...]*string{
		&r.Party, &r.CorrelationID, &r.Tenant, &r.Resource, &r.Session, &r.Call, &r.Host, &r.Remote,
	} {
		*s = printable.Text(*s, printable.MaxLen)
	}
	r.User = printable.Text(r.User, maxSubject)
	r.Gateway = printable.Text(r.Gateway, maxDetail)
	r.Detail = printable.Text(r.Detail, maxDetail)
	if !r.Code.Valid() {
		r.Code = ""
	}
}

// run writes batches until close, and then what is left.
func (r *recorder) run() {
	defer close(r.done)
	for r.gather() {
		wait := recordRetry
		for !r.writeAll() && r.sleep(wait) {
			wait = min(2*wait, recordRetryMost)
		}
	}
	if !r.writeAll() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.drop(len(r.queue))
	}
}

// gather waits until there is something to write that has waited for long enough.
// It reports false when the recorder is closed.
func (r *recorder) gather() bool {
	select {
	case <-r.wake:
	case <-r.closing:
		return false
	}
	if r.waiting() >= recordBatch {
		return true
	}
	more := time.NewTimer(recordEvery)
	defer more.Stop()
	select {
	case <-r.wake:
	case <-more.C:
	case <-r.closing:
		return false
	}
	return true
}

// sleep reports false when the recorder is closed meanwhile.
func (r *recorder) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.closing:
		return false
	}
}

// writeAll writes until the queue is empty, and reports false when a batch fails.
// The batch stays, unless the queue is full: then it makes room.
func (r *recorder) writeAll() bool {
	for {
		r.mu.Lock()
		n := min(len(r.queue), recordBatch)
		batch := r.queue[:n:n] // nobody writes to it again
		if n == 0 {
			r.queue = nil
		}
		r.mu.Unlock()
		if n == 0 {
			return true
		}
		ctx, cancel := context.WithTimeout(r.ctx, recordWithin)
		err := r.sink.AddRecords(ctx, batch)
		cancel()
		r.mu.Lock()
		if err == nil {
			r.queue = r.queue[n:]
			r.written.Add(int64(n))
		} else if len(r.queue) >= recordQueue {
			r.drop(n)
		}
		waiting := len(r.queue)
		r.mu.Unlock()
		if err != nil {
			r.log.Error("records not written", "err", err, "waiting", waiting, "dropped", r.dropped.Load())
			return false
		}
	}
}

// drop gives up the first n records. The caller holds mu.
func (r *recorder) drop(n int) {
	r.queue = r.queue[n:]
	r.dropped.Add(int64(n))
}

func (r *recorder) waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.queue)
}

// close takes no more records and waits until those that are there are written, or
// recordFlush has passed.
func (r *recorder) close() {
	r.mu.Lock()
	first := !r.closed
	r.closed = true
	r.mu.Unlock()
	if first {
		late := time.AfterFunc(recordFlush, r.cancel)
		defer late.Stop()
		close(r.closing)
	}
	<-r.done
	r.cancel()
}
