package transport

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"testing"
	"time"
)

// TestMain fails when goroutines are left after the tests. Those in virtual time
// are checked by their bubbles; here it is about real sockets.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	deadline := time.Now().Add(5 * time.Second)
	for code == 0 && runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			fmt.Println("goroutines are left:")
			pprof.Lookup("goroutine").WriteTo(os.Stdout, 1)
			code = 1
		}
		runtime.Gosched()
	}
	os.Exit(code)
}
