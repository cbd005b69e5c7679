package rdgateway

import (
	"crypto/rand"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
)

// The methods of the RD Gateway protocol ([MS-TSGU] 3.3.5.1).
const (
	methodOut = "RDG_OUT_DATA"
	methodIn  = "RDG_IN_DATA"
)

// maxConnectionID bounds a connection id: a GUID in braces, and some room.
const maxConnectionID = 64

// seedLen is how many bytes stand in front of the packets on OUT. The specification
// leaves the number open; clients skip ten.
const seedLen = 10

// serveGateway serves the requests of the RD Gateway protocol.
func (h *Handler) serveGateway(w http.ResponseWriter, r *http.Request, from netip.AddrPort) error {
	id, err := checkGateway(w, r)
	if err != nil {
		return h.Relay.Refuse(from, err)
	}
	switch k := (pairKey{from.Addr(), id}); {
	case r.Method == methodIn:
		err = h.serveIn(w, r, k, from)
	case isWebSocket(r):
		err = h.serveWebSocket(w, r, from)
	default:
		err = h.serveOut(w, k, from)
	}
	if err != nil {
		return h.Relay.Refuse(from, err)
	}
	return nil
}

// checkGateway refuses what is no request of the RD Gateway protocol, and returns
// the connection id. There is one way to sign in, the cookie in the tunnel: who asks
// for another gets 401, which clients show as such.
func checkGateway(w http.ResponseWriter, r *http.Request) (id string, err error) {
	if err := carrier.CheckMethod(w, r, methodOut, methodIn); err != nil {
		return "", err
	}
	if err := checkRequest(r); err != nil {
		return "", err
	}
	scheme, authorized := r.Header.Get("RDG-Auth-Scheme"), r.Header.Get("Authorization") != ""
	switch paa := strings.EqualFold(scheme, "PAA"); {
	case paa && authorized:
		return "", reachback.Refuse(reachback.CodeBadRequest)
	case authorized, scheme != "" && !paa:
		return "", reachback.Refuse(reachback.CodeTokenMissing)
	}
	id = r.Header.Get("RDG-Connection-Id")
	two := r.Method == methodIn || !isWebSocket(r)
	if len(id) > maxConnectionID || two && id == "" || r.Method == methodIn && r.Header.Get("Upgrade") != "" || r.Method == methodOut && hasBody(r) {
		return "", reachback.Refuse(reachback.CodeBadRequest)
	}
	return strings.Clone(id), nil
}

// serveWebSocket opens a tunnel of one connection.
func (h *Handler) serveWebSocket(w http.ResponseWriter, r *http.Request, from netip.AddrPort) error {
	accept, err := acceptKey(w, r)
	if err != nil {
		return err
	}
	t, err := h.newTunnel(w, from)
	if err != nil {
		return err
	}
	t.in = &inbound{conn: t.out, coding: &deframer{}}
	if h.run(t, func() {
		defer t.finish()
		if t.send([]byte(switchHead(accept, nil))) == nil {
			t.serve()
		}
	}) != nil {
		t.finish()
	}
	return nil
}

// serveOut answers the OUT half, and runs the tunnel once IN is there too.
func (h *Handler) serveOut(w http.ResponseWriter, k pairKey, from netip.AddrPort) error {
	p, err := h.enter(k, nil)
	if err != nil {
		return err
	}
	t, err := h.newTunnel(w, from)
	if err != nil {
		h.abandon(k, p)
		return err
	}
	if h.run(t, func() {
		defer t.finish()
		if !h.meet(t, p) && h.leaveUnmet(k, p) {
			return
		}
		defer h.leave(k)
		t.in = p.in
		if t.in.rest() == nil {
			t.serve()
		}
	}) != nil {
		t.finish()
		h.abandon(k, p)
	}
	return nil
}

// meet answers OUT, and reports whether IN came in time.
func (h *Handler) meet(t *tunnel, p *pair) bool {
	head := "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
	seed := make([]byte, seedLen)
	rand.Read(seed) // never fails
	if t.send(append([]byte(head), seed...)) != nil {
		return false
	}
	gone, stop := t.watchOut()
	defer stop()
	wait := time.NewTimer(time.Until(t.deadline))
	defer wait.Stop()
	select {
	case <-p.met:
		return true
	case <-gone:
	case <-wait.C:
	case <-t.ending.Done():
	}
	return false
}
