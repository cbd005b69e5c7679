package transport_test

import (
	"context"
	"net"
	"sync"
)

// Sockets notes both ends of the connections to a system's port.
type sockets struct {
	net.Listener // of the port

	mu       sync.Mutex
	accepted map[string]net.Conn // by the address of the other end
	dialled  []net.Conn
}

func (s *sockets) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.accepted == nil {
			s.accepted = make(map[string]net.Conn)
		}
		s.accepted[c.RemoteAddr().String()] = c
	}
	return c, err
}

func (s *sockets) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.dialled = append(s.dialled, c)
	}
	return c, err
}
