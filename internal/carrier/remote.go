package carrier

import (
	"net/http"
	"net/netip"
)

// Remote is the address of the request's socket; of one that has none, the zero
// address. What a request says of its own origin, in X-Forwarded-For or Forwarded,
// anybody can write.
func Remote(r *http.Request) netip.AddrPort {
	a, _ := netip.ParseAddrPort(r.RemoteAddr)
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
