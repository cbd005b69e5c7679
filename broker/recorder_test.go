package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
)

// shelf is a sink that can be told to fail or to hang.
type shelf struct {
	mu      sync.Mutex
	batches [][]Record
	err     error
	hangs   bool
	asked   int
}

func (s *shelf) AddRecords(ctx context.Context, records []Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.hangs {
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		return ctx.Err()
	}
	if s.err != nil {
		return s.err
	}
	s.batches = append(s.batches, append([]Record(nil), records...))
	return nil
}

func (s *shelf) fails(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// calls are the Call fields of everything on the shelf, in their order.
func (s *shelf) calls() (calls []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.batches {
		for _, r := range b {
			calls = append(calls, r.Call)
		}
	}
	return calls
}

func inRecorder(t *testing.T, f func(t *testing.T, r *recorder, s *shelf)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		r := newRecorder(s, slog.New(slog.DiscardHandler))
		go r.run()
		defer r.close()
		f(t, r, s)
	})
}

func addCalls(r *recorder, from, to int) (want []string) {
	for i := from; i < to; i++ {
		r.add(Record{Call: fmt.Sprint(i)})
		want = append(want, fmt.Sprint(i))
	}
	return want
}

func TestRecordsGoToTheSinkTogetherAndInOrder(t *testing.T) {
	inRecorder(t, func(t *testing.T, r *recorder, s *shelf) {
		want := addCalls(r, 0, 3)
		time.Sleep(recordEvery - time.Millisecond)
		synctest.Wait()
		require.Empty(t, s.calls(), "the first waits for others")
		time.Sleep(time.Millisecond)
		synctest.Wait()
		require.Equal(t, want, s.calls())

		want = append(want, addCalls(r, 3, 3+recordBatch)...)
		synctest.Wait()
		require.Equal(t, want, s.calls(), "a full batch does not wait")

		// While these come some may be written, and those that are left are no
		// full batch then.
		want = append(want, addCalls(r, len(want), len(want)+3*recordBatch/2)...)
		time.Sleep(recordEvery)
		synctest.Wait()
		require.Equal(t, want, s.calls())
		for _, b := range s.batches {
			require.LessOrEqual(t, len(b), recordBatch)
		}
		require.EqualValues(t, len(want), r.written.Load())
		require.Nil(t, r.queue, "and nothing is kept of it")
	})
}

func TestRecordsOutliveAnOutageOfTheirSink(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		t.Run(fmt.Sprint("hangs ", hangs), func(t *testing.T) {
			inRecorder(t, func(t *testing.T, r *recorder, s *shelf) {
				s.fails(errors.New("the database is down"))
				s.hangs = hangs
				want := addCalls(r, 0, 1000)
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				require.Less(t, s.asked, 30, "it is tried again with patience")
				want = append(want, addCalls(r, 1000, 2000)...)
				s.mu.Lock()
				s.err, s.hangs = nil, false
				s.mu.Unlock()
				time.Sleep(recordRetryMost + recordWithin)
				synctest.Wait()
				require.Equal(t, want, s.calls())
				require.Zero(t, r.dropped.Load())
			})
		})
	}
}

func TestRecordsThatFindNoRoomAreDroppedAndCounted(t *testing.T) {
	inRecorder(t, func(t *testing.T, r *recorder, s *shelf) {
		s.fails(errors.New("one of these it will never take"))
		addCalls(r, 0, recordQueue+10)
		require.EqualValues(t, 10, r.dropped.Load())
		time.Sleep(time.Minute)
		require.Less(t, r.waiting(), recordQueue, "the batch that fails makes room")
		dropped := r.dropped.Load()
		s.fails(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.EqualValues(t, recordQueue+10, dropped+int64(len(s.calls())))
	})
}

func TestRecordsAreWrittenBeforeTheEnd(t *testing.T) {
	t.Run("to a sink that takes them", func(t *testing.T) {
		inRecorder(t, func(t *testing.T, r *recorder, s *shelf) {
			want := addCalls(r, 0, 1000)
			began := time.Now()
			r.close()
			require.Equal(t, want, s.calls())
			require.Zero(t, time.Since(began))
			r.add(Record{})
			require.EqualValues(t, 1, r.dropped.Load())
		})
	})
	t.Run("in bounded time to one that hangs", func(t *testing.T) {
		inRecorder(t, func(t *testing.T, r *recorder, s *shelf) {
			s.hangs = true
			addCalls(r, 0, 1000)
			synctest.Wait()
			began := time.Now()
			r.close()
			require.Equal(t, recordFlush, time.Since(began))
			require.EqualValues(t, 1000, r.dropped.Load())
		})
	})
}

func TestD12_RecordsAreTextAndCut(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	r := Record{
		User: "al\r\nice\x00", Tenant: "\x1b[2J", Resource: long, Detail: long + "\n", CorrelationID: "c\u202e1\xff", Code: "no code!",
		Party: long, Session: long, Call: long, Host: long, Gateway: long, Remote: long,
	}
	r.tidy()
	require.Equal(t, "al\ufffd\ufffdice\ufffd", r.User)
	require.Equal(t, "\ufffd[2J", r.Tenant)
	require.Equal(t, "c\ufffd1\ufffd", r.CorrelationID)
	require.Equal(t, reachback.Code(""), r.Code)
	for _, s := range []string{r.Resource, r.Detail, r.Party, r.Session, r.Call, r.Host, r.Gateway, r.Remote} {
		require.LessOrEqual(t, len(s), maxDetail)
	}
}
