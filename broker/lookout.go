package broker

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A lookout asks the application something that may hang, such as how the host is.
// Whoever wants the answer waits no longer than he says, and until a question that
// hangs has returned it is not asked again.
type lookout[T any] struct {
	question func(context.Context) (T, error)
	ctx      context.Context // of the questions
	wg       *sync.WaitGroup // counts their goroutines; its owner waits for it

	mu      sync.Mutex
	pending *asked[T]
}

// asked is a question under way.
type asked[T any] struct {
	done chan struct{} // closed when the rest is set
	got  T
	err  error
}

// lookGrace is how much longer an answer is waited for than the question is told, so
// that one which keeps to its bound can still say something.
const lookGrace = 500 * time.Millisecond

var errHangs = errors.New("broker: the question hangs")

// look returns the answer, errHangs when there is none in time, or ctx's cause.
func (l *lookout[T]) look(ctx context.Context, within time.Duration) (got T, err error) {
	a := l.ask(within)
	patience := time.NewTimer(within + lookGrace)
	defer patience.Stop()
	select {
	case <-a.done:
		return a.got, a.err
	case <-patience.C:
		return got, errHangs
	case <-ctx.Done():
		return got, context.Cause(ctx)
	}
}

func (l *lookout[T]) ask(within time.Duration) *asked[T] {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending != nil {
		return l.pending
	}
	a := &asked[T]{done: make(chan struct{})}
	l.pending = a
	l.wg.Go(func() {
		ctx, cancel := context.WithTimeout(l.ctx, within)
		defer cancel()
		a.got, a.err = l.question(ctx)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.pending = nil
		close(a.done)
	})
	return a
}
