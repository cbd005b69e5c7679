package broker

import (
	"net/url"
	"strings"
)

// maxURL bounds the URL of a gateway, which travels in every summon.
const maxURL = 255

// gatewayURL returns the one form in which a gateway's base URL is registered and
// compared: https, the host in lower case, no default port and no slash at the
// end. Users, queries and fragments have no place in it.
func gatewayURL(s string) (string, bool) {
	u, err := url.Parse(s)
	if err != nil || len(s) > maxURL || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" ||
		u.ForceQuery || strings.Contains(s, "#") || u.RawPath != "" {
		return "", false
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return "", false
		}
	}
	host := strings.ToLower(u.Host)
	host = strings.TrimSuffix(host, ":443")
	if strings.HasSuffix(host, ":") {
		return "", false
	}
	return "https://" + host + strings.TrimRight(u.Path, "/"), true
}
