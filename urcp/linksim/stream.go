package linksim

import "time"

// A Message is something that a source made as one: a frame of video, an update of
// the screen, a transfer.
type Message struct {
	Made  time.Duration
	Bytes int64
	// Done is when the last of its bytes had arrived, with the repeats of what was
	// lost, and those of all messages before it: messages are delivered in order. It
	// is negative where that never happened.
	Done time.Duration
}

// stream is the data of a source that makes messages. What is lost is sent again,
// before anything new.
type stream struct {
	result *FlowResult
	size   int // of a full packet
	parts  ring[part]
	again  ring[int32] // chunks to be repeated
	chunks []chunk
	left   []int64 // bytes that have not arrived, by message
	first  int     // the first message that is not done
	unsent int64   // bytes
}

// A part is the rest of a message that has not been sent yet.
type part struct {
	message int32
	left    int64
}

// A chunk is the data of one packet, however often it is sent.
type chunk struct {
	message int32
	bytes   int32
	arrived bool
	acked   bool
}

func newStream(f *flow) stream {
	return stream{result: f.result, size: f.cfg.packetBytes()}
}

// add makes a message.
func (st *stream) add(now time.Duration, bytes int64) {
	st.result.Messages = append(st.result.Messages, Message{Made: now, Bytes: bytes, Done: -1})
	st.left = append(st.left, bytes)
	st.parts.push(part{int32(len(st.left) - 1), bytes})
	st.unsent += bytes
}

func (st *stream) ready(*sim, *flow) int {
	// What was taken for lost may have been acknowledged in the meantime.
	for st.again.n > 0 && st.chunks[*st.again.at(0)].acked {
		st.again.pop()
	}
	if st.again.n > 0 {
		return int(st.chunks[*st.again.at(0)].bytes)
	}
	if st.parts.n > 0 {
		return int(min(st.parts.at(0).left, int64(st.size)))
	}
	return 0
}

func (st *stream) take(_ *sim, _ *flow, bytes int) (int32, bool) {
	if st.again.n > 0 {
		return st.again.pop(), false
	}
	pt := st.parts.at(0)
	st.chunks = append(st.chunks, chunk{message: pt.message, bytes: int32(bytes)})
	st.unsent -= int64(bytes)
	if pt.left -= int64(bytes); pt.left == 0 {
		st.parts.pop()
	}
	return int32(len(st.chunks) - 1), false
}

func (st *stream) arrived(s *sim, c int32) {
	k := &st.chunks[c]
	if k.arrived {
		return
	}
	k.arrived = true
	st.left[k.message] -= int64(k.bytes)
	for st.first < len(st.left) && st.left[st.first] == 0 {
		st.result.Messages[st.first].Done = s.now
		st.first++
	}
}

func (st *stream) acked(k *flight) { st.chunks[k.chunk].acked = true }

func (st *stream) lost(k *flight) { st.again.push(k.chunk) }

// all reports whether everything has arrived.
func (st *stream) all() bool { return st.first == len(st.left) }
