package linksim

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// everything is a scenario with every kind of link, element, source and clock that
// does its sums in whole numbers, so that its log is the same on every machine.
func everything(t testing.TB) *Scenario {
	tr, err := ReadTrace(bytes.NewReader([]byte("3\n7\n7\n12\n30\n")))
	require.NoError(t, err)
	unlimited := func(time.Duration) Controller { return Unlimited{} }
	return &Scenario{
		Name: "everything", Seed: 1, Duration: 3 * time.Second,
		Links: []Link{
			{
				Name: "steps", Service: Steps{{0, 3e6}, {time.Second, 1e6}}, Delay: 7 * ms,
				Queue:    Queue{Bytes: 20000, AQM: RED{Min: 10 * ms, Max: 80 * ms, P: .5}},
				Elements: []Element{BurstLoss{ToBad: .01, ToGood: .3, Bad: .5}, Jitter{Max: 3 * ms, Reorder: true}},
				Outages:  []Outage{{From: 1500 * ms, To: 1600 * ms, Flush: true}},
			},
			{Name: "trace", Service: tr, Elements: []Element{HARQ{P: .1}, Duplicate{P: .02, After: ms}}},
			{
				Name: "back", Rate: 1e6, Delay: 5 * ms, Routes: []Route{{time.Second, 20 * ms}},
				Elements: []Element{Loss{P: .1}, Aggregate{Every: 4 * ms}, Reorder{P: .1, By: 3 * ms}},
			},
		},
		Flows: []Flow{
			{Name: "cbr", New: cbr(1e6), Path: []int{0, 1}, Back: []int{2}, ECN: ECT0},
			{
				Name: "udp2", New: cbr(5e5), Path: []int{0}, Back: []int{2}, Feedback: Feedback{Kind: RDPUDP2},
				Receiver: Clock{PPM: 50, Steps: []ClockStep{{time.Second, 50 * ms}}},
			},
			{Name: "desktop", New: cbr(1e6), Source: Desktop{}, Path: []int{1}, Sender: Clock{Granularity: ms}},
			{Name: "frames", New: unlimited, Source: Frames{Rate: 2e5}, Path: []int{0}, Pauses: []Interval{{ms, time.Second}}},
		},
	}
}

func logged(t testing.TB, sc *Scenario) []byte {
	var b bytes.Buffer
	sc.Log = &b
	_, err := Run(sc)
	require.NoError(t, err)
	return b.Bytes()
}

// The same scenario and seed give the same events to the byte, from one run to the
// next and from one machine to the next. A change of the engine that is meant changes
// the sum.
func TestDeterminism(t *testing.T) {
	log := logged(t, everything(t))
	require.Equal(t, log, logged(t, everything(t)))
	// Without the protocol's feedback, which is not the engine's to fix.
	own := everything(t)
	own.Flows[1].Feedback = Feedback{}
	sum := sha256.Sum256(logged(t, own))
	require.Equal(t, "b0ca0fb2481fe55a3dad9c58e650ecebe7541a84bd3988a0a728b309019aafae", hex.EncodeToString(sum[:]))
	other := everything(t)
	other.Seed = 2
	require.NotEqual(t, log, logged(t, other))
}

// Every line is an object by itself, and the lines agree with the result.
func TestLog(t *testing.T) {
	sc := everything(t)
	sc.Links[0].Name = "st\"eps\\ \n ü"
	var b bytes.Buffer
	sc.Log = &b
	r := run(t, sc)
	count := make(map[string]int64)
	last := int64(0)
	lines := bufio.NewScanner(&b)
	for lines.Scan() {
		var line struct {
			T                         int64
			Event, Flow, Link, Reason string
			Seq, Bytes, Ack           int64
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line))
		require.GreaterOrEqual(t, line.T, last)
		last = line.T
		if line.Ack == 0 {
			count[line.Event+" "+line.Flow]++
		}
		if line.Event == "dropped" {
			require.NotEmpty(t, line.Reason)
			require.NotNil(t, r.Link(line.Link))
		}
	}
	require.NoError(t, lines.Err())
	for _, f := range r.Flows {
		require.Equal(t, f.Sent, count["sent "+f.Name])
		require.Equal(t, f.Delivered, count["received "+f.Name])
		require.Equal(t, f.Dropped, count["dropped "+f.Name])
		require.NotZero(t, f.Feedbacks)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestLogFails(t *testing.T) {
	sc := everything(t)
	sc.Log = fullDisk{}
	_, err := Run(sc)
	require.ErrorContains(t, err, "no space")
}
