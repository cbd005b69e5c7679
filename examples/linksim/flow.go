package main

import (
	"fmt"
	"time"

	"github.com/reachback/reachback/urcp"
	"github.com/reachback/reachback/urcp/linksim"
)

var (
	ecns      = map[string]linksim.ECN{"": linksim.NotECT, "ect0": linksim.ECT0, "ect1": linksim.ECT1}
	feedbacks = map[string]linksim.FeedbackKind{"ideal": linksim.Ideal, "rdpudp2": linksim.RDPUDP2}
)

func (b *builder) flow(at string, f *flowFile) linksim.Flow {
	flow := linksim.Flow{
		Name:  f.Name,
		Start: b.time(at+".start", f.Start), Stop: b.time(at+".stop", f.Stop),
		Path: b.path(at+".path", f.Path), Back: b.path(at+".back", f.Back),
		Delay: b.time(at+".delay", f.Delay), Return: b.time(at+".return", f.Return),
		PacketBytes: f.PacketBytes,
		ECN:         choose(b, at+".ecn", f.ECN, ecns),
		Feedback:    b.feedback(at, f),
		Sender:      b.clock(at+".sender", f.Sender), Receiver: b.clock(at+".receiver", f.Receiver),
	}
	flow.New = b.controller(at, f, flow.ECN)
	if f.Source != nil {
		flow.Source = b.source(at+".source", f.Source)
	}
	for i, p := range f.Pauses {
		at := fmt.Sprintf("%s.pauses[%d]", at, i)
		flow.Pauses = append(flow.Pauses, linksim.Interval{From: b.time(at+".from", p.From), To: b.time(at+".to", p.To)})
	}
	return flow
}

// controller returns what makes the controller that a flow names.
func (b *builder) controller(at string, f *flowFile, ecn linksim.ECN) func(time.Duration) linksim.Controller {
	rate, most := b.rate(at+".rate", f.Rate), b.rate(at+".max_rate", f.MaxRate)
	if (rate != 0) != (f.Controller == "cbr") {
		b.fail(at+".rate", `a rate comes with the controller "cbr"`)
	}
	if most != 0 && f.Controller != "" && f.Controller != "urcp" && f.Controller != "nada" {
		b.fail(at+".max_rate", `the controller %q has none`, f.Controller)
	}
	bytes := f.PacketBytes
	switch f.Controller {
	case "", "urcp":
		cfg := urcp.Config{MSS: bytes, MaxRate: most}
		if bytes == 0 {
			cfg.MSS = 1250 // as the simulator's
		}
		if ecn == linksim.ECT1 {
			cfg.ECN = urcp.ECNL4S
		}
		return func(now time.Duration) linksim.Controller { return urcp.New(now, cfg) }
	case "copa":
		return func(time.Duration) linksim.Controller { return &linksim.Copa{MSS: bytes} }
	case "nada":
		return func(time.Duration) linksim.Controller { return &linksim.NADA{MaxRate: float64(most)} }
	case "cubic":
		return func(time.Duration) linksim.Controller { return &linksim.Cubic{MSS: bytes} }
	case "reno":
		return func(time.Duration) linksim.Controller { return &linksim.Reno{MSS: bytes} }
	case "bbr":
		return func(time.Duration) linksim.Controller { return &linksim.BBR{MSS: bytes} }
	case "cbr":
		return func(time.Duration) linksim.Controller { return &linksim.CBR{Rate: rate} }
	case "unlimited":
		if f.Source == nil || f.Source.Poisson == nil {
			b.fail(at+".controller", `"unlimited" needs a source "poisson"`)
		}
		return func(time.Duration) linksim.Controller { return linksim.Unlimited{} }
	}
	b.fail(at+".controller", `%q is none of "urcp", "copa", "nada", "cubic", "reno", "bbr", "cbr", "unlimited"`, f.Controller)
	return nil
}

func (b *builder) feedback(at string, f *flowFile) linksim.Feedback {
	kind := linksim.Ideal
	if f.Controller == "" || f.Controller == "urcp" {
		kind = linksim.RDPUDP2
	}
	if f.Feedback == nil {
		return linksim.Feedback{Kind: kind}
	}
	at += ".feedback"
	if f.Feedback.Kind != "" {
		kind = choose(b, at+".kind", f.Feedback.Kind, feedbacks)
	}
	return linksim.Feedback{Kind: kind, Packets: f.Feedback.Packets, Delay: b.time(at+".delay", f.Feedback.Delay)}
}

func (b *builder) source(at string, f *sourceFile) linksim.Source {
	b.one(at, f.Frames != nil, f.Desktop != nil, f.OnOff != nil, f.Poisson != nil)
	switch {
	case f.Frames != nil:
		v, at := f.Frames, at+".frames"
		return linksim.Frames{
			FPS: v.FPS, Rate: b.rate(at+".rate", v.Rate), Min: b.rate(at+".min", v.Min), Max: b.rate(at+".max", v.Max),
			KeyEvery: b.time(at+".key_every", v.KeyEvery), KeyFactor: v.KeyFactor, Deviation: v.Deviation,
		}
	case f.Desktop != nil:
		return linksim.Desktop{Video: b.rate(at+".desktop.video", f.Desktop.Video)}
	case f.OnOff != nil:
		return linksim.OnOff{Min: f.OnOff.Min, Max: f.OnOff.Max, Off: b.time(at+".on_off.off", f.OnOff.Off), Late: f.OnOff.Late}
	case f.Poisson != nil:
		return linksim.Poisson{Rate: b.rate(at+".poisson.rate", f.Poisson.Rate)}
	}
	return nil
}

func (b *builder) clock(at string, f *clockFile) linksim.Clock {
	if f == nil {
		return linksim.Clock{}
	}
	c := linksim.Clock{Offset: b.time(at+".offset", f.Offset), PPM: f.PPM, Granularity: b.time(at+".granularity", f.Granularity)}
	for i, s := range f.Steps {
		at := fmt.Sprintf("%s.steps[%d]", at, i)
		c.Steps = append(c.Steps, linksim.ClockStep{At: b.time(at+".at", s.At), By: b.time(at+".by", s.By)})
	}
	return c
}
