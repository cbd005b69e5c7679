package scenario

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/reachback/reachback/urcp/linksim"
)

// TestdataVariable names the environment variable with the folder of test data that
// is not part of the project; the traces are in its folder traces.
const TestdataVariable = "REACHBACK_TESTDATA"

// A TraceFile is a recording of a cellular link. The recordings are published by
// others under their own licence and are not part of the project.
type TraceFile struct {
	Name    string
	Source  string
	Licence string
	SHA256  string // of the file with which the bounds were found
	Mean    int64  // bits per second
	Peak    int64  // what the link carries in its best seconds, bits per second
}

const (
	mahimahi = "GitHub ravinet/mahimahi, folder traces/, commit ae477d4"
	gpl      = "GPL-3.0-or-later"
)

// TraceFiles are the recordings that the catalogue uses.
var TraceFiles = []TraceFile{
	{"TMobile-LTE-short.down", mahimahi, gpl, "4f33dce8dd811b5702272af64aaf64d3913719919abd776edf1e0f7c0965da43", 16_703 * kbit, 37 * mbit},
	{"Verizon-LTE-short.down", mahimahi, gpl, "c918436fbd6246af134c76585d9395881fdd27203c59a8902b9a7c675b8a8e3e", 5_028 * kbit, 11 * mbit},
	{"Verizon-LTE-short.up", mahimahi, gpl, "f6cd9049f58d70f12545772a3482ded085b6d50f06a2f4ff4afcfb6fe7976dcc", 5_946 * kbit, 11 * mbit},
}

// ErrNoTraces says that the recordings are not there, and where they are to be had.
var ErrNoTraces = errors.New("the recordings of cellular links are not here: set " + TestdataVariable +
	" to a folder whose folder traces holds those of " + mahimahi + " (" + gpl + ")")

// Read reads the recording and checks that it is the one that is meant.
func (f *TraceFile) Read() (*linksim.Trace, error) {
	folder := os.Getenv(TestdataVariable)
	if folder == "" {
		return nil, ErrNoTraces
	}
	name := filepath.Join(folder, "traces", f.Name)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoTraces
	}
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != f.SHA256 {
		return nil, fmt.Errorf("scenario: trace %s: it is another one than the bounds were found with", f.Name)
	}
	return linksim.ReadTrace(bytes.NewReader(data))
}

// Scenarios returns the scenarios of one recording, each of them the whole of it once.
// A packet more or less in a queue makes another course of what follows, so flows start
// at moments that the seed decides.
func (f *TraceFile) Scenarios() ([]Scenario, error) {
	trace, err := f.Read()
	if err != nil {
		return nil, err
	}
	var all []Scenario
	for _, way := range []time.Duration{20 * ms, 50 * ms} {
		for _, x := range []struct {
			name  string
			bytes int
		}{{"150 ms", linksim.Buffer(f.Mean, 150*ms)}, {"4 MiB", 4 << 20}} {
			all = append(all, phone(Scenario{
				Name:  fmt.Sprintf("trace/%s, %v one way, buffer of %s", f.Name, way, x.name),
				Shows: "A recording of a phone on the move.",
				Peak:  f.Peak,
				Make: several(trace.Period(), func(seed uint64, new New) []linksim.Flow {
					return flows(1, new, within(seed, s), 0)
				}, linksim.Link{
					Name: "bottleneck", Service: trace, Delay: way,
					Queue: linksim.Queue{Bytes: x.bytes},
				}),
			}, 100))
		}
	}
	hold(all)
	return all, nil
}
