package broker_test

import (
	"testing"

	"github.com/reachback/reachback/broker"
	"github.com/reachback/reachback/broker/directorytest"
)

var inMemory = directorytest.Harness{
	New: func(*testing.T) broker.Directory { return &broker.MemoryDirectory{} },
}

func TestMemoryDirectory(t *testing.T) { directorytest.Run(t, inMemory) }
