package rdgateway

import "github.com/reachback/reachback"

// A state is that of a tunnel ([MS-TSGU] 3.3.5.3), named for what it waits for.
//
//	wantHandshake ─▶ wantTunnel ─▶ wantAuth ─▶ wantChannel ─▶ calling ─▶ (the relay's pair)
//	      └──────────────┴────────────┴─────────────┴────────────┴─────▶ closed
//
// Each packet of a client has one state in which it may come and is answered before
// the next one, CLOSE_CHANNEL has all; closed comes from that one, from any refusal,
// and from the deadline. While the relay opens the call the gateway is silent:
// clients take anything but CHANNEL_RESPONSE for an error.
type state int

const (
	wantHandshake state = iota
	wantTunnel
	wantAuth
	wantChannel
	calling
	closed
)

func (s state) String() string {
	return [...]string{"want handshake", "want tunnel", "want auth", "want channel", "calling", "closed"}[s]
}

// after returns the state behind a packet of the client.
func (s state) after(t packetType) (state, error) {
	switch {
	case t == closeChannel:
		return closed, nil
	case s == wantHandshake && t == handshakeRequest:
		return wantTunnel, nil
	case s == wantTunnel && t == tunnelCreate:
		return wantAuth, nil
	case s == wantAuth && t == tunnelAuth:
		return wantChannel, nil
	case s == wantChannel && t == channelCreate:
		return calling, nil
	}
	return closed, reachback.Refuse(reachback.CodeProtocolError)
}

// response is the refusal of a packet, nil for one that has none.
func response(p packetType, c reachback.Code) []byte {
	s := statusOf(c)
	switch p {
	case handshakeRequest:
		if c == reachback.CodeTokenMissing {
			s = unsupportedAuth
		}
		return newHandshakeResponse(s, handshake{Major: 1})
	case tunnelCreate:
		return newTunnelResponse(s)
	case tunnelAuth:
		return newTunnelAuthResponse(s)
	case channelCreate:
		return newChannelResponse(s)
	}
	return nil
}
