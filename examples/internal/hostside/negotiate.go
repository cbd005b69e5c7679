package hostside

import (
	"context"
	"encoding/binary"
	"io"
	"net"
)

// connectionRequest is what an RDP client says first ([MS-RDPBCGR], section 2.2.1.1):
// TPKT header, X.224 Connection Request, and an RDP Negotiation Request for TLS and
// CredSSP. Servers begin neither a log-on nor a session before what follows it, so a
// user's session stays his: freerdp-shadow-cli, asked forty times in two seconds with
// a client connected, took its answers to 40 ms each, five lines of its log, and no
// notice beyond.
var connectionRequest = []byte{
	3, 0, 0, 19,
	14, 0xe0, 0, 0, 0, 0, 0,
	1, 0, 8, 0, 3, 0, 0, 0,
}

const (
	tpktVersion       = 3
	connectionConfirm = 0xd0 // the high half of X.224's code
	// Of an answer that is looked at: TPKT header, length and code.
	confirmHead = 6
	maxConfirm  = 512
)

// negotiate begins as an RDP client does, and reports whether an RDP server answers.
// A refusal to negotiate is an answer.
func negotiate(ctx context.Context, conn net.Conn) bool {
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := conn.Write(connectionRequest); err != nil {
		return false
	}
	return readConfirm(conn)
}

// readConfirm reads an X.224 Connection Confirm, and nothing behind it.
func readConfirm(r io.Reader) bool {
	var head [confirmHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return false
	}
	length := binary.BigEndian.Uint16(head[2:4])
	if head[0] != tpktVersion || length < confirmHead || length > maxConfirm || head[5]&0xf0 != connectionConfirm {
		return false
	}
	// Read to its end, so that the server is not told of an error.
	_, err := io.CopyN(io.Discard, r, int64(length-confirmHead))
	return err == nil
}
