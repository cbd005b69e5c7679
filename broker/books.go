package broker

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"github.com/reachback/reachback"
)

const (
	// bookkeepers is how many goroutines keep the books of a broker, each for
	// its share of sessions and hosts, and bookQueue how many notes wait for one
	// of them. A note that finds no room is dropped and counted; the host's next
	// full report corrects what it said.
	bookkeepers = 16
	bookQueue   = 2048
	// bookFlush bounds what is still tried when the broker ends.
	bookFlush = 2 * time.Second
)

// books are what the broker tells its directory after the fact: that calls were
// joined and left, that channels ended. Notes about one session or host are written
// in their order, and again until the directory has them, so that its rows are right
// when it has been away for a while.
type books struct {
	log    *slog.Logger
	seed   maphash.Seed
	shares [bookkeepers]share

	ctx    context.Context // ends with close
	cancel context.CancelFunc
	flush  context.Context // ends bookFlush later
	stop   context.CancelFunc
	wg     sync.WaitGroup // the bookkeepers; close waits for them
}

// A note is something to be written down.
type note struct {
	what string // for the log
	of   string // session or host
	do   func(context.Context) error
}

func newBooks(log *slog.Logger) *books {
	b := &books{log: log, seed: maphash.MakeSeed()}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.flush, b.stop = context.WithCancel(context.Background())
	for i := range b.shares {
		s := &b.shares[i]
		s.wake = make(chan struct{}, 1)
		b.wg.Go(func() { b.keep(s) })
	}
	return b
}

// A share is the queue of one bookkeeper.
type share struct {
	wake chan struct{} // holds one when the queue begins

	mu    sync.Mutex
	queue []note
}

// next takes the oldest note.
func (s *share) next() (n note, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return n, false
	}
	n, s.queue = s.queue[0], s.queue[1:]
	if len(s.queue) == 0 {
		s.queue = nil
	}
	return n, true
}

// add queues a note. It never waits, and reports false when there is no room.
func (b *books) add(n note) bool {
	s := &b.shares[maphash.String(b.seed, n.of)%bookkeepers]
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) >= bookQueue {
		return false
	}
	s.queue = append(s.queue, n)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return true
}

// keep writes the notes of one share until close, and then each that is left once.
func (b *books) keep(s *share) {
	for {
		for n, ok := s.next(); ok; n, ok = s.next() {
			b.write(n)
		}
		select {
		case <-s.wake:
		case <-b.ctx.Done():
			for n, ok := s.next(); ok; n, ok = s.next() {
				b.write(n)
			}
			return
		}
	}
}

func (b *books) write(n note) {
	for r := (retry{}); ; r.wait(b.ctx) { // at the end it does not wait, and tries once more
		err := n.do(b.flush)
		if err == nil {
			return
		}
		again := reachback.CodeOf(err) == reachback.CodeUnavailable && b.ctx.Err() == nil
		b.log.Error("not written down", "what", n.what, "of", n.of, "again", again, "err", err)
		if !again {
			return
		}
	}
}

// waiting is how many notes there are.
func (b *books) waiting() (n int) {
	for i := range b.shares {
		s := &b.shares[i]
		s.mu.Lock()
		n += len(s.queue)
		s.mu.Unlock()
	}
	return n
}

// close tries each note that is left once, for bookFlush at most, and waits for the
// bookkeepers.
func (b *books) close() {
	late := time.AfterFunc(bookFlush, b.stop)
	defer late.Stop()
	b.cancel()
	b.wg.Wait()
	b.stop()
}
