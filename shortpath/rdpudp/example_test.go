package rdpudp_test

import (
	"fmt"
	"time"

	"github.com/reachback/reachback/shortpath/rdpudp"
)

// A sender sends seven packets, of which the third is lost.
func Example() {
	var sender rdpudp.Outstanding
	var receiver rdpudp.Acknowledger
	var acks [][]byte
	const oneWay = 20 * time.Millisecond

	for i := range 7 {
		now := time.Duration(i) * time.Millisecond
		data := rdpudp.Packet{LogWindow: 12, Channel: uint16(1 + i), Data: []byte("part of the stream")}
		number, ok := sender.Send(now, &data)
		if !ok {
			fmt.Println("the peer's window is full")
			return
		}
		if number == 102 {
			continue
		}

		// At the receiver, whose clock is another.
		peer := 30*time.Second + now + oneWay
		var arrived, ack rdpudp.Packet
		if err := arrived.Parse(data.Append(nil)); err != nil {
			continue
		}
		receiver.OnPacket(peer, &arrived)
		for receiver.NextAck() <= peer {
			receiver.Fill(peer, &ack)
			acks = append(acks, ack.Append(nil))
			ack = rdpudp.Packet{}
		}
	}

	// At the sender again.
	for i, datagram := range acks {
		now := 2*oneWay + time.Duration(i)*time.Millisecond
		var answer rdpudp.Packet
		if err := answer.Parse(datagram); err != nil {
			continue
		}
		feedback := sender.OnPacket(now, &answer)
		if feedback == nil {
			continue
		}
		for _, a := range feedback.Acked {
			fmt.Println(a.Seq, "arrived at", a.Received, "±", a.ErrBound)
		}
		for _, n := range feedback.Lost {
			fmt.Println(n, "is lost")
		}
	}
	// Output:
	// 100 arrived at 30.02s ± 4µs
	// 101 arrived at 30.021002s ± 2µs
	// 103 arrived at 30.023002s ± 2µs
	// 104 arrived at 30.024002s ± 2µs
	// 105 arrived at 30.025002s ± 2µs
	// 102 is lost
	// 106 arrived at 30.026002s ± 2µs
}
