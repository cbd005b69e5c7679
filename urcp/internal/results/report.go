package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/reachback/reachback/urcp/internal/scenario"
)

const introduction = `# Results

This file is made by ` + "`go generate ./urcp`" + `. It shows the controller of package urcp beside each reference
controller of package linksim, in every scenario of the catalogue that is also its test suite. Everything is simulated; the same
code gives the same figures.

How to read it:

* *Use* is the share of the bottleneck's capacity that was served, start included; behind a policer it is the share of the policed rate
  that arrived. *Queue* is the time that packets waited at the bottleneck, over the whole run and with everybody's packets;
  *loss* is the share of the tested flows' packets that the network dropped. *Jain* is Jain's index of fairness among the tested
  flows, and *share* what they got of all that was delivered, where others are there too. *Self-inflicted* is the
  queueing delay without what a packet would have waited on an idle link. *Message* is the time until the last byte of a frame or update
  has arrived.
* Where randomness matters, starts included, figures are medians of %d runs.
* **Bold** is the best of URCP and the references. ▲ marks a reference's figure that is better than URCP's by more than a small margin:
  one point of use or share, 0.01 of Jain's index, a tenth of a delay and half a millisecond at least, 0.1 point of loss.
* All tested flows get the feedback of RDP-UDP2, references too; the second line of each table shows URCP with feedback that loses and rounds
  nothing. Cross traffic gets an acknowledgement for every second packet, as TCP's.
* NADA is made for media of a few Mbit/s and must be told its largest rate; it is told one and a half times the capacity. BBR is a sketch
  of version 1. What each reference simplifies
  stands in its documentation; a test of linksim holds each to its published figures.
* Of shares the best is the one nearest to the fair one: a half for one flow beside one other.
`

func report(b *bytes.Buffer, table []row) {
	fmt.Fprintf(b, introduction, comparedSeeds)
	beaten(b, table)
	open(b, table)
	b.WriteString("\n## Pictures\n\n")
	for _, p := range pictures {
		fmt.Fprintf(b, "![%s](results/%s.svg)\n\n%s\n\n", p.title, p.file, p.says)
	}
	chapter := ""
	for i := range table {
		rw := &table[i]
		if c := rw.Chapter(); c != chapter {
			chapter = c
			fmt.Fprintf(b, "\n## %s\n", strings.ToUpper(c[:1])+c[1:])
		}
		section(b, rw)
	}
	sources(b)
}

// section is one scenario's table.
func section(b *bytes.Buffer, rw *row) {
	_, name, _ := strings.Cut(rw.Name, "/")
	fmt.Fprintf(b, "\n### %s\n\n%s\n\n|", strings.ToUpper(name[:1])+name[1:], rw.Shows)
	for _, c := range rw.columns {
		fmt.Fprintf(b, " | %s", c.title)
	}
	b.WriteString(" |\n|---" + strings.Repeat("|---:", len(rw.columns)) + "|\n")
	best := make([]float64, len(rw.columns))
	for j := range rw.columns {
		best[j] = rw.figures[0][j]
		for _, f := range rw.figures[references:] {
			if col := &rw.columns[j]; f != nil && col.score != nil && col.score(f[j]) > col.score(best[j]) {
				best[j] = f[j]
			}
		}
	}
	for i, c := range contenders() {
		f := rw.figures[i]
		if f == nil {
			continue
		}
		fmt.Fprintf(b, "| %s", c.name)
		for j := range rw.columns {
			col := &rw.columns[j]
			text := col.Unit.Format(f[j])
			if i != 1 && col.score != nil && col.Unit.Format(best[j]) == text {
				text = "**" + text + "**"
			}
			if i >= references && col.better(f[j], rw.figures[0][j]) {
				text += " ▲"
			}
			fmt.Fprintf(b, " | %s", text)
		}
		b.WriteString(" |\n")
	}
}

// beaten lists where a reference is ahead, and counts all ways in which each compares.
func beaten(b *bytes.Buffer, table []row) {
	b.WriteString("\n## Where URCP is beaten\n\nA reference beats URCP in a scenario where some figure of it is better by more than the margin and none is worse:\n\n")
	cs := contenders()
	counts := make([]struct{ ahead, behind, mixed, even int }, len(cs))
	n, all := 0, 0
	for i := range table {
		rw := &table[i]
		if rw.Only {
			continue
		}
		all++
		var winners []string
		for j := references; j < len(cs); j++ {
			switch ahead, behind := rw.against(j); {
			case ahead && behind:
				counts[j].mixed++
			case ahead:
				counts[j].ahead++
				winners = append(winners, cs[j].name)
			case behind:
				counts[j].behind++
			default:
				counts[j].even++
			}
		}
		if len(winners) > 0 {
			n++
			fmt.Fprintf(b, "* %s: by %s\n", rw.Name, strings.Join(winners, ", "))
		}
	}
	fmt.Fprintf(b, "\nThat is %d of %d scenarios. Single figures that are better are marked in the tables. All comparisons:\n\n"+
		"| | beats URCP | better in some, worse in some | no difference | beaten by URCP |\n|---|---:|---:|---:|---:|\n", n, all)
	for j := references; j < len(cs); j++ {
		c := counts[j]
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d |\n", cs[j].name, c.ahead, c.mixed, c.even, c.behind)
	}
}

// open lists the bounds that are not where they are to be.
func open(b *bytes.Buffer, table []row) {
	b.WriteString("\n## Goals not reached\n\nThe tests hold the controller to every bound of the catalogue: over ten seeds where they matter, the median keeps it, " +
		"and the worst misses it by a tenth at most. ")
	var lines []string
	for i := range table {
		for _, x := range table[i].bounds {
			lines = append(lines, fmt.Sprintf("| %s | %s | %s %s | %s | %s |\n", table[i].Name, x.Name,
				x.Relation(), x.Unit.Format(x.Limit), x.Unit.Format(x.Held.Median), x.Unit.Format(x.Held.Worst)))
		}
	}
	if len(lines) == 0 {
		b.WriteString("All are reached.\n")
		return
	}
	b.WriteString("Not reached are these, in the place of which the tests hold weaker ones:\n\n" +
		"| scenario | figure | goal | median held | worst held |\n|---|---|---|---:|---:|\n")
	for _, l := range lines {
		b.WriteString(l)
	}
}

// sources says where the recordings are from.
func sources(b *bytes.Buffer) {
	b.WriteString("\n## The recordings\n\nThey are not part of this project. Each is run once from its beginning to its end.\n\n" +
		"| file | source | licence | mean | SHA-256 |\n|---|---|---|---|---|\n")
	for _, f := range scenario.TraceFiles {
		fmt.Fprintf(b, "| %s | %s | %s | %.1f Mbit/s | `%s` |\n", f.Name, f.Source, f.Licence, float64(f.Mean)/1e6, f.SHA256)
	}
}
