package main

import (
	"fmt"

	"github.com/reachback/reachback/urcp/linksim"
)

func (b *builder) link(at string, f *linkFile) linksim.Link {
	l := linksim.Link{
		Name: f.Name, Rate: b.rate(at+".rate", f.Rate), Delay: b.time(at+".delay", f.Delay),
		Queue: linksim.Queue{Bytes: f.BufferBytes, Packets: f.BufferPackets},
	}
	b.service(at, f, &l)
	if f.Buffer != "" {
		depth := b.time(at+".buffer", f.Buffer)
		if l.Rate == 0 || f.BufferBytes != 0 || depth <= 0 {
			b.fail(at+".buffer", `a buffer is a time where the link has a "rate", and else "buffer_bytes"`)
		}
		// A buffer of no packet would let nothing through.
		l.Queue.Bytes = max(linksim.Buffer(l.Rate, depth), 1)
	}
	if f.AQM != nil {
		l.Queue.AQM = b.aqm(at+".aqm", f.AQM)
	}
	if p := f.Policer; p != nil {
		l.Policer = &linksim.Policer{Rate: b.rate(at+".policer.rate", p.Rate), Bytes: p.Bytes}
	}
	for i := range f.Elements {
		l.Elements = append(l.Elements, b.element(fmt.Sprintf("%s.elements[%d]", at, i), &f.Elements[i]))
	}
	for i, r := range f.Routes {
		at := fmt.Sprintf("%s.routes[%d]", at, i)
		l.Routes = append(l.Routes, linksim.Route{At: b.time(at+".at", r.At), Delay: b.time(at+".delay", r.Delay)})
	}
	for i, o := range f.Outages {
		at := fmt.Sprintf("%s.outages[%d]", at, i)
		l.Outages = append(l.Outages, linksim.Outage{From: b.time(at+".from", o.From), To: b.time(at+".to", o.To), Flush: o.Flush})
	}
	return l
}

// service is a capacity that changes.
func (b *builder) service(at string, f *linkFile, l *linksim.Link) {
	n := 0
	if l.Rate != 0 {
		n++
	}
	if len(f.Steps) > 0 {
		n++
		var steps linksim.Steps
		for i, s := range f.Steps {
			at := fmt.Sprintf("%s.steps[%d]", at, i)
			steps = append(steps, linksim.Step{At: b.time(at+".at", s.At), Rate: b.rate(at+".rate", s.Rate)})
		}
		l.Service = steps
	}
	if s := f.Sine; s != nil {
		n++
		at := at + ".sine"
		l.Service = linksim.Sine{Mean: b.rate(at+".mean", s.Mean), Amplitude: b.rate(at+".amplitude", s.Amplitude), Period: b.time(at+".period", s.Period)}
	}
	if f.Trace != "" {
		n++
		if t := b.trace(at+".trace", f.Trace); t != nil {
			l.Service = t
		}
	}
	if n > 1 {
		b.fail(at, `more than one of "rate", "steps", "sine" and "trace"`)
	}
}

func (b *builder) aqm(at string, f *aqmFile) linksim.AQM {
	b.one(at, f.CoDel != nil, f.RED != nil, f.StepMark != nil, f.DualQ != nil)
	switch {
	case f.CoDel != nil:
		return linksim.CoDel{Target: b.time(at+".codel.target", f.CoDel.Target), Interval: b.time(at+".codel.interval", f.CoDel.Interval)}
	case f.RED != nil:
		return linksim.RED{Min: b.time(at+".red.min", f.RED.Min), Max: b.time(at+".red.max", f.RED.Max), P: f.RED.P}
	case f.StepMark != nil:
		return linksim.StepMark{At: b.time(at+".step_mark.at", f.StepMark.At)}
	case f.DualQ != nil:
		return linksim.DualQ{Target: b.time(at+".dualq.target", f.DualQ.Target), Step: b.time(at+".dualq.step", f.DualQ.Step)}
	}
	return nil
}

var laws = map[string]linksim.JitterLaw{"": linksim.Uniform, "uniform": linksim.Uniform, "normal": linksim.Normal, "spikes": linksim.Spikes}

func (b *builder) element(at string, f *elementFile) linksim.Element {
	b.one(at, f.Loss != nil, f.BurstLoss != nil, f.Jitter != nil, f.Reorder != nil, f.Duplicate != nil, f.Aggregate != nil, f.HARQ != nil)
	switch {
	case f.Loss != nil:
		return linksim.Loss{P: f.Loss.P}
	case f.BurstLoss != nil:
		return linksim.BurstLoss{ToBad: f.BurstLoss.ToBad, ToGood: f.BurstLoss.ToGood, Good: f.BurstLoss.Good, Bad: f.BurstLoss.Bad}
	case f.Jitter != nil:
		j, at := f.Jitter, at+".jitter"
		return linksim.Jitter{
			Law: choose(b, at+".law", j.Law, laws), Max: b.time(at+".max", j.Max),
			Deviation: b.time(at+".deviation", j.Deviation), P: j.P, Reorder: j.Reorder,
		}
	case f.Reorder != nil:
		return linksim.Reorder{P: f.Reorder.P, By: b.time(at+".reorder.by", f.Reorder.By)}
	case f.Duplicate != nil:
		return linksim.Duplicate{P: f.Duplicate.P, After: b.time(at+".duplicate.after", f.Duplicate.After)}
	case f.Aggregate != nil:
		return linksim.Aggregate{Packets: f.Aggregate.Packets, Every: b.time(at+".aggregate.every", f.Aggregate.Every)}
	case f.HARQ != nil:
		return linksim.HARQ{P: f.HARQ.P, Step: b.time(at+".harq.step", f.HARQ.Step), Tries: f.HARQ.Tries}
	}
	return nil
}
