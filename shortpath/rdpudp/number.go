package rdpudp

import "time"

// unwrap returns the number nearest to ref whose low 16 bits are low; [MS-RDPEUDP2]
// 3.1.1.1.3. Where that would be below zero it is the lowest that is not.
func unwrap(ref uint64, low uint16) uint64 {
	n := ref&^0xffff | uint64(low)
	switch {
	case n > ref+0x8000 && n > 0xffff:
		n -= 0x10000
	case n+0x8000 < ref:
		n += 0x10000
	}
	return n
}

// wireTime returns the bits of a time that travel.
func wireTime(t time.Duration) uint32 {
	n := t / timeUnit
	if t < n*timeUnit { // cut off downwards before zero too
		n--
	}
	return uint32(n) & (1<<timeBits - 1)
}

// maxAhead is by how much a time may be ahead of what was expected; [MS-RDPEUDP2]
// 3.1.1.1.4.
const maxAhead = 32 * time.Second

// A peerClock reconstructs the times of the peer's clock, of which only the low 24
// bits travel: 67 seconds. The clock of our own says how many of those went by.
type peerClock struct {
	set   bool
	local time.Duration // our own clock at the last time
	units int64         // the peer's then, in units of timeUnit
}

// unwrap returns the time of the peer's clock, cut off to units, and whether it can
// be believed.
func (c *peerClock) unwrap(now time.Duration, low uint32) (time.Duration, bool) {
	if !c.set {
		c.set, c.local, c.units = true, now, int64(low)
		return time.Duration(c.units) * timeUnit, true
	}
	const span = 1 << timeBits
	ref := c.units + int64((now-c.local)/timeUnit)
	n := ref&^(span-1) | int64(low)
	switch {
	case n > ref+span/2:
		n -= span
	case n < ref-span/2:
		n += span
	}
	// Also a time that is not believed is where the next is expected: a clock that
	// was set stays set.
	c.local, c.units = now, n
	return time.Duration(n) * timeUnit, n-ref <= int64(maxAhead/timeUnit)
}
