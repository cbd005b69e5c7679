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

func TestA6_KilledSessionsTokenIsRefusedInMemory(t *testing.T) {
	directorytest.RunAttack(t, inMemory, "A6")
}

func TestA8_TenantsAreKeptApartInMemory(t *testing.T) { directorytest.RunAttack(t, inMemory, "A8") }

func TestB11_NoMoreThanTheLimitIsPlacedInMemory(t *testing.T) {
	directorytest.RunAttack(t, inMemory, "B11")
}

func TestB12_DrainIsForNewUsersOnlyInMemory(t *testing.T) {
	directorytest.RunAttack(t, inMemory, "B12")
}

func TestG12_SlotsOfADeadHostComeBackOnceInMemory(t *testing.T) {
	directorytest.RunAttack(t, inMemory, "G12")
}
