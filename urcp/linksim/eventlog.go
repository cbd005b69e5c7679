package linksim

import (
	"io"
	"strconv"
	"time"
)

// eventLog writes lines of JSON. A nil one writes nothing.
type eventLog struct {
	w   io.Writer
	buf []byte
	err error
}

const eventLogBuffer = 64 << 10

func newEventLog(w io.Writer) *eventLog {
	if w == nil {
		return nil
	}
	return &eventLog{w: w, buf: make([]byte, 0, eventLogBuffer+4096)}
}

func (l *eventLog) flush() error {
	if l == nil {
		return nil
	}
	if l.err == nil && len(l.buf) > 0 {
		_, l.err = l.w.Write(l.buf)
	}
	l.buf = l.buf[:0]
	return l.err
}

// begin starts a line; field and end go on with it.
func (l *eventLog) begin(s *sim, event, flow string) {
	l.buf = append(l.buf, `{"t":`...)
	l.buf = strconv.AppendInt(l.buf, int64(s.now), 10)
	l.text("event", event)
	l.text("flow", flow)
}

func (l *eventLog) text(name, value string) {
	l.buf = append(l.buf, `,"`...)
	l.buf = append(l.buf, name...)
	l.buf = append(l.buf, `":`...)
	l.buf = appendQuoted(l.buf, value)
}

// appendQuoted quotes as JSON does; names are short, and rarely need it.
func appendQuoted(b []byte, v string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range v {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			b = append(b, string(r)...)
		}
	}
	return append(b, '"')
}

func (l *eventLog) number(name string, v int64) {
	l.buf = append(l.buf, `,"`...)
	l.buf = append(l.buf, name...)
	l.buf = append(l.buf, `":`...)
	l.buf = strconv.AppendInt(l.buf, v, 10)
}

func (l *eventLog) end() {
	l.buf = append(l.buf, "}\n"...)
	if len(l.buf) >= eventLogBuffer {
		_ = l.flush()
	}
}

func (l *eventLog) packet(s *sim, event string, k *packet) {
	l.begin(s, event, s.sc.Flows[k.flow].Name)
	if k.ack {
		l.number("ack", 1)
	}
	l.number("seq", int64(k.seq))
	l.number("bytes", int64(k.bytes))
}

func (l *eventLog) sent(s *sim, k *packet) {
	if l == nil {
		return
	}
	l.packet(s, "sent", k)
	l.end()
}

func (l *eventLog) dropped(s *sim, k *packet, at *link, why dropReason) {
	if l == nil {
		return
	}
	l.packet(s, "dropped", k)
	l.text("link", at.cfg.Name)
	l.text("reason", why.String())
	l.end()
}

func (l *eventLog) received(s *sim, k *packet) {
	if l == nil {
		return
	}
	l.packet(s, "received", k)
	l.number("delay", int64(s.now-k.sent))
	l.number("queued", int64(k.queued))
	if k.marked {
		l.number("marked", 1)
	}
	l.end()
}

func (l *eventLog) feedback(s *sim, f *flow, rtt time.Duration) {
	if l == nil {
		return
	}
	l.begin(s, "feedback", f.cfg.Name)
	l.number("acked", int64(len(f.acked)))
	l.number("lost", int64(len(f.lost)))
	l.number("rtt", int64(rtt))
	l.end()
}
