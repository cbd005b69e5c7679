//go:build unix

package program

import (
	"os"
	"os/signal"
	"syscall"
)

// OnHangup calls f, one call at a time, for each SIGHUP from now on, until stop is
// called, which waits for the call that runs. So long the signal does not end
// the program.
func OnHangup(f func()) (stop func()) {
	signals := make(chan os.Signal, 1) // one that waits says all that others would
	done := make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP)
	go func() { // ended and awaited by stop
		defer close(done)
		for range signals {
			f()
		}
	}()
	return func() {
		signal.Stop(signals) // after which nothing is sent
		close(signals)
		<-done
	}
}
