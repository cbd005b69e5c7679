package linksim

import (
	"errors"
	"math/rand/v2"
	"time"
)

// Desktop is what a remote desktop sends: times of idleness, typing, scrolling and
// video, each of 2 to 8 seconds, in a random order. Idle, the clock and the cursor
// make 200 bytes twice a second. Typing makes 8 to 12 updates a second of 300 to 600
// bytes, 20 to 50 kbit/s in all. Scrolling makes an update of 200 to 500 kB every 1 to
// 2 seconds. Video is 30 frames a second.
type Desktop struct {
	Video int64 // The video's rate, in bits per second. Zero means 4 Mbit/s.
}

func (d Desktop) check() error {
	if d.Video < 0 || d.Video > maxRate {
		return errors.New("an impossible rate")
	}
	return nil
}

func (d Desktop) source(f *flow, rng *rand.Rand) source {
	if d.Video == 0 {
		d.Video = 4e6
	}
	return &desktop{Desktop: d, stream: newStream(f), rng: rng}
}

type desktop struct {
	Desktop
	stream
	rng   *rand.Rand
	scene scene
	until time.Duration
}

type scene int

const (
	sceneIdle scene = iota
	sceneTyping
	sceneScrolling
	sceneVideo
	scenes
)

func (d *desktop) start(s *sim, f *flow) { d.fire(s, f) }
func (d *desktop) settled(*sim, *flow)   {}

// between draws a number from low to high, both inclusive.
func (d *desktop) between(low, high int64) int64 { return low + d.rng.Int64N(high-low+1) }

func (d *desktop) fire(s *sim, f *flow) {
	if s.now >= d.until {
		d.scene = scene(d.rng.IntN(int(scenes)))
		d.until = s.now + time.Duration(d.between(2e9, 8e9))
	}
	var bytes int64
	var gap time.Duration
	switch d.scene {
	case sceneTyping:
		bytes, gap = d.between(300, 600), time.Duration(d.between(83e6, 125e6))
	case sceneScrolling:
		bytes, gap = d.between(200e3, 500e3), time.Duration(d.between(1e9, 2e9))
	case sceneVideo:
		bytes, gap = max(1, d.Video/8/30), time.Second/30
	default:
		bytes, gap = 200, time.Second/2
	}
	// The screen is sent as it is in the end: what nobody can keep up with is left
	// out, and not queued.
	switch {
	case f.paused(s.now):
	case d.unsent > 1e6:
		d.result.Skipped++
	default:
		d.add(s.now, bytes)
	}
	f.again(s, s.now+gap)
}
