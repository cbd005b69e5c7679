package tlsrecord

import "slices"

// A Past is what is known, from outside, of the records that another has opened with
// the first keys of a direction. Its zero value says that there were none. The last
// records of the handshake look alike, so they may be among those noted.
//
// It has the tags of the last ones, because somebody on the way could send one of
// them again in place of the first that is ours: only its number would tell, and
// that is known no better than by maxSearch.
type Past struct {
	noted uint64
	tags  [maxSearch]tag
	end   tag // of the record that comes now
}

type tag = [tagLen]byte

// maxSearch is how many numbers are tried for the first record, and bounds the
// records that are noted of the handshake.
const maxSearch = 16

// Note takes the next bytes that follow the header of a protected record. They are
// the last of it if done.
func (p *Past) Note(b []byte, done bool) {
	b = b[max(0, len(b)-tagLen):]
	n := copy(p.end[:], p.end[len(b):])
	copy(p.end[n:], b)
	if done {
		p.tags[p.noted%maxSearch] = p.end
		p.noted++
	}
}

// has reports whether a record is one of the last noted.
func (p *Past) has(sealed []byte) bool {
	return slices.Contains(p.tags[:min(p.noted, maxSearch)], tag(sealed[len(sealed)-tagLen:]))
}
