// Package directorytest checks an implementation of [broker.Directory] by its
// behaviour: the placement rules, one sentence each, and everything else that a
// broker relies on.
//
// A test of one's own directory needs one function:
//
//	func TestDirectory(t *testing.T) {
//		directorytest.Run(t, directorytest.Harness{
//			New: func(t *testing.T) broker.Directory { return mydirectory.New() },
//		})
//	}
//
// Much of what a directory does, it does after minutes or days. How the cases get
// there is for the [Harness] to say.
package directorytest

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/broker"
)

// A Harness makes the directories that are to be checked.
type Harness struct {
	// New returns a directory with nothing in it. It is called once for each
	// case, and has what it opens closed by t.Cleanup. Required.
	New func(t *testing.T) broker.Directory
	// Second opens what a directory of New keeps once more, as another broker
	// does that shares it. Nil: the directory is for one broker, whose calls
	// the cases then make twice as often.
	Second func(t *testing.T, d broker.Directory) broker.Directory
	// Advance lets the clock of a directory of New, and of its Second, move on.
	// The clock must not be apart from the machine's by anything else.
	//
	// Nil means that the directory takes the time from package time. Each
	// case then is in a bubble of testing/synctest, in which waiting takes no
	// time. What waits at a socket cannot be in one, and needs Advance.
	Advance func(t *testing.T, d broker.Directory, by time.Duration)
}

// A testCase is one rule. Its name is a sentence, after the id of an attack case
// and a colon where it is one.
type testCase struct {
	name string
	run  func(p *place)
}

// groups are all cases, by the part of the interface that they are about.
var groups = []struct {
	name  string
	cases []testCase
}{
	{"Placement", placementCases},
	{"Personal", personalCases},
	{"Counting", countingCases},
	{"Tokens", tokenCases},
	{"Presence", presenceCases},
	{"Reports", reportCases},
	{"Sessions", sessionCases},
	{"Concurrency", concurrencyCases},
	{"Enrolment", enrolmentCases},
	{"Hosts", hostCases},
	{"Gateways", gatewayCases},
	{"Catalogue", catalogueCases},
	{"Tenants", tenantCases},
	{"Records", recordCases},
}

// Run checks a directory in all cases.
func Run(t *testing.T, h Harness) {
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.cases {
				t.Run(c.name, func(t *testing.T) { h.run(t, c) })
			}
		})
	}
}

// RunAttack checks a directory in the attack cases with that id, such as "B11".
// [Run] has them too; this is for who wants a test function by that name.
func RunAttack(t *testing.T, h Harness, id string) {
	found := false
	for _, g := range groups {
		for _, c := range g.cases {
			if name, ok := strings.CutPrefix(c.name, id+": "); ok {
				found = true
				t.Run(name, func(t *testing.T) { h.run(t, c) })
			}
		}
	}
	require.True(t, found, "there is no case %s", id)
}

func (h *Harness) run(t *testing.T, c testCase) {
	if h.Advance != nil {
		c.run(newPlace(t, h))
		return
	}
	synctest.Test(t, func(t *testing.T) { c.run(newPlace(t, h)) })
}
