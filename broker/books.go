package broker

import (
	"context"
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
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
	bookQueue   = 256
	// A note that the directory cannot take is tried again after bookRetry, the
	// next time after twice as long, bookRetryMost at most.
	bookRetry     = 500 * time.Millisecond
	bookRetryMost = 10 * time.Second
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
	shares [bookkeepers]chan note // never closed

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
		b.shares[i] = make(chan note, bookQueue)
		b.wg.Go(func() { b.keep(b.shares[i]) })
	}
	return b
}

// add queues a note. It never waits, and reports false when there is no room.
func (b *books) add(n note) bool {
	select {
	case b.shares[maphash.String(b.seed, n.of)%bookkeepers] <- n:
		return true
	default:
		return false
	}
}

// keep writes the notes of one share until close, and then once what is left.
func (b *books) keep(notes <-chan note) {
	for {
		select {
		case n := <-notes:
			b.write(n)
		case <-b.ctx.Done():
			for range len(notes) {
				b.write(<-notes)
			}
			return
		}
	}
}

func (b *books) write(n note) {
	for wait := bookRetry; ; wait = min(2*wait, bookRetryMost) {
		err := n.do(b.flush)
		if err == nil {
			return
		}
		again := reachback.CodeOf(err) == reachback.CodeUnavailable && b.ctx.Err() == nil
		b.log.Error("not written down", "what", n.what, "of", n.of, "again", again, "err", err)
		if !again {
			return
		}
		select {
		case <-time.After(wait + rand.N(wait/4)):
		case <-b.ctx.Done():
		}
	}
}

// waiting is how many notes there are.
func (b *books) waiting() (n int) {
	for _, s := range b.shares {
		n += len(s)
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
