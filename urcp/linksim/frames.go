package linksim

import (
	"errors"
	"math/rand/v2"
	"time"
)

// A TargetBitrater is a controller that tells an encoder how many bits per second to
// make.
type TargetBitrater interface{ TargetBitrate() int64 }

// Frames is an encoder of video. Frames that would wait for longer than half a second
// at its rate are not made, and counted in [FlowResult.Skipped].
type Frames struct {
	FPS  int   // Zero means 30.
	Rate int64 // The mean rate, in bits per second.
	// Min and Max, in bits per second, let the rate follow the controller's
	// TargetBitrate between them, if it has one; Rate is then that of the start.
	Min, Max int64
	// KeyEvery is the distance of key frames, and KeyFactor by how much they are
	// larger than the others. Zero means no key frames.
	KeyEvery  time.Duration
	KeyFactor float64
	// Deviation is the standard deviation of a frame's size, as a part of it. Sizes
	// stay within a fifth and three times what they should be.
	Deviation float64
}

func (v Frames) check() error {
	switch {
	case v.FPS < 0 || v.FPS > 1000:
		return errors.New("more than 1000 frames a second")
	case v.Rate <= 0 || v.Rate > maxRate || v.Min < 0 || v.Max < 0 || v.Max > maxRate || v.Min > v.Max:
		return errors.New("an impossible rate")
	case v.KeyFactor < 0 || v.KeyFactor > 1000 || v.Deviation < 0 || v.Deviation > 10:
		return errors.New("an impossible size of frames")
	}
	return checkDelays(v.KeyEvery)
}

func (v Frames) fps() int64 {
	if v.FPS == 0 {
		return 30
	}
	return int64(v.FPS)
}

func (v Frames) source(f *flow, rng *rand.Rand) source {
	return &frames{Frames: v, stream: newStream(f), rng: rng}
}

type frames struct {
	Frames
	stream
	rng   *rand.Rand
	begun time.Duration
	n     int64 // frames since then
	key   time.Duration
}

func (v *frames) start(s *sim, f *flow) {
	v.begun, v.key = s.now, s.now
	v.fire(s, f)
}

func (v *frames) settled(*sim, *flow) {}

// rate is what the encoder aims at now.
func (v *frames) rate(f *flow) int64 {
	if t, ok := f.ctrl.(TargetBitrater); ok && v.Max > 0 {
		return min(v.Max, max(v.Min, t.TargetBitrate()))
	}
	return v.Rate
}

func (v *frames) fire(s *sim, f *flow) {
	if !f.paused(s.now) {
		v.make(s, f)
	}
	v.n++
	f.again(s, v.begun+time.Duration(v.n*1e9/v.fps()))
}

func (v *frames) make(s *sim, f *flow) {
	rate := v.rate(f)
	if v.unsent > rate/16 {
		v.result.Skipped++
		return
	}
	mean := float64(rate) / 8 / float64(v.fps())
	size := mean
	if v.KeyEvery > 0 && v.KeyFactor > 0 {
		// The mean stays what it should be: n-1 frames of one size, and a key frame.
		n := max(1, v.KeyEvery.Seconds()*float64(v.fps()))
		size = mean * n / (n - 1 + v.KeyFactor)
		if s.now >= v.key {
			v.key = s.now + v.KeyEvery
			size *= v.KeyFactor
		}
	}
	if v.Deviation > 0 {
		spread := 1 + float64(v.Deviation*v.rng.NormFloat64())
		size *= min(3, max(.2, spread))
	}
	v.add(s.now, max(1, int64(size)))
}
