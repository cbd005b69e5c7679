package directorytest_test

import (
	"testing"

	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/broker/directorytest"
)

// This is the whole test of a directory that is in memory and takes the time from
// package time.
func ExampleRun() {
	test := func(t *testing.T) { // such as TestDirectory
		directorytest.Run(t, directorytest.Harness{
			New: func(*testing.T) broker.Directory { return &broker.MemoryDirectory{} },
		})
	}
	_ = test
}
