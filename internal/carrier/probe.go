package carrier

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/reachback/reachback"
)

// Probe asks the server at base for its health, over a connection of its own, and
// returns the round trip of the request alone: what is set up once does not count.
func (d *Dialer) Probe(ctx context.Context, base string) (time.Duration, error) {
	u, err := parseBase(base)
	if err != nil {
		return 0, err
	}
	tc, err := d.dialTLS(ctx, u, nil)
	if err != nil {
		return 0, Explain(err, reachback.CodeGatewayUnreachable)
	}
	defer tc.NetConn().Close()
	stop := context.AfterFunc(ctx, func() { tc.NetConn().SetDeadline(time.Unix(1, 0)) })
	defer stop()
	req := newRequest(u, PathHealth, nil)
	req.Close = true
	start := time.Now()
	if err := req.Write(tc); err != nil {
		return 0, Explain(err, reachback.CodeGatewayUnreachable)
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(tc, MaxHead)), req)
	if err != nil {
		return 0, Explain(err, reachback.CodeGatewayUnreachable)
	}
	took := time.Since(start)
	if resp.StatusCode != http.StatusOK {
		return 0, ReadRefusal(resp)
	}
	return took, nil
}
