package rdgateway

import (
	"net/http"
	"net/netip"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/framing"
	"github.com/reachback/reachback/relay"
)

// serveRaw serves RDP in one WebSocket. Like any call it is decided before the 101,
// so that a refusal is an HTTP answer; net/http notices when the client leaves.
func (h *Handler) serveRaw(w http.ResponseWriter, r *http.Request, from netip.AddrPort) error {
	accept, err := checkRaw(w, r)
	if err != nil {
		return h.Relay.Refuse(from, err)
	}
	ctx, cancel := h.until(r.Context())
	defer cancel()
	c := &relay.Call{Token: carrier.Bearer(r.Header), Remote: from, Raw: true}
	p, err := h.Relay.Open(ctx, c)
	if err != nil {
		return err
	}
	conn, err := carrier.Hijack(w)
	if err != nil {
		p.Close(reachback.CodeClientLost)
		return nil
	}
	leg := &framing.Conn{Conn: conn, Framing: &rawFraming{accept: switchHead(accept, http.Header{carrier.HeaderCorrelation: {c.CorrelationID}})}}
	if h.run(cutter{conn}, func() { p.Splice(leg) }) != nil {
		p.Close(reachback.CodeDraining)
	}
	return nil
}

// A cutter closes a connection without TLS's goodbye, which is the relay's to say.
type cutter struct{ conn *carrier.Conn }

func (c cutter) Close() error { return c.conn.Abort() }

// checkRaw refuses what is no WebSocket, or a page's: a browser sends its Origin.
func checkRaw(w http.ResponseWriter, r *http.Request) (accept string, err error) {
	if err := carrier.CheckMethod(w, r, http.MethodGet); err != nil {
		return "", err
	}
	if err := checkRequest(r); err != nil {
		return "", err
	}
	if r.Header.Get("Origin") != "" {
		return "", reachback.Refuse(reachback.CodeCrossOrigin)
	}
	if hasBody(r) || !isWebSocket(r) {
		return "", reachback.Refuse(reachback.CodeBadRequest)
	}
	for _, f := range []string{carrier.HeaderCall, carrier.HeaderTicket, carrier.HeaderNonce} {
		if r.Header.Get(f) != "" {
			return "", reachback.Refuse(reachback.CodeBadRequest)
		}
	}
	return acceptKey(w, r)
}
