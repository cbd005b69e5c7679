package feed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/printable"
)

// findTimeout bounds the question to DNS.
const findTimeout = 10 * time.Second

// Find returns the base URL of a feed, as [Client.URL] has it, by what its users are told:
//
//   - the URL of the origin or of the feed, also one that other clients go by,
//     such as https://host/RDWeb/Feed/webfeed.aspx;
//   - a link "ms-rd:subscribe?url=…";
//   - a mail address or its domain, for which DNS has the URL in the TXT record _msradc.
//
// The resolver is the system's where it is nil. Nothing proves DNS, and the user's token
// will go to that URL, so let the user see and confirm a URL that was found by a domain.
// Find asks the feed nothing. Refusals are not_found, bad_request, protocol_error where the
// domain has a record that cannot be used or more than one, and unavailable where DNS is.
func Find(ctx context.Context, resolver *net.Resolver, address string) (string, error) {
	address = strings.TrimSpace(address)
	if link := strings.TrimPrefix(address, subscribeScheme); strings.Contains(link, "://") {
		base, err := baseOfFeed(link)
		if err != nil {
			return "", fmt.Errorf("%w: %w", reachback.Refuse(reachback.CodeBadRequest), err)
		}
		return base, nil
	}
	name, err := mailDomain(address[strings.LastIndexByte(address, '@')+1:])
	if err != nil {
		return "", fmt.Errorf("%w: %w", reachback.Refuse(reachback.CodeBadRequest), err)
	}
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	records, err := resolver.LookupTXT(ctx, discoveryPrefix+name+".")
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound || err == nil && len(records) == 0 {
		return "", fmt.Errorf("feed: no workspace is announced for %s: %w", printable.Clip(name), reachback.Refuse(reachback.CodeNotFound))
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", reachback.Refuse(reachback.CodeUnavailable), err)
	}
	if len(records) == 1 {
		if base, err := baseOfFeed(records[0]); err == nil {
			return base, nil
		}
	}
	return "", &reachback.Error{Code: reachback.CodeProtocolError, Message: "the domain's TXT record _msradc is not one https URL"}
}

// baseOfFeed returns the base URL of the feed that s is the URL of.
func baseOfFeed(s string) (string, error) {
	if len(s) > 2048 {
		return "", errors.New("feed: the URL is too long")
	}
	u, err := baseURL(s)
	if err != nil {
		return "", err
	}
	// The longest path that is a feed's goes; what is before it is the base's.
	path := strings.TrimRight(u.Path, "/")
	cut := len(path)
	for i := range path {
		if path[i] == '/' && isFeedPath(path[i:]) {
			cut = i
			break
		}
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimRight(path[:cut], "/")}).String(), nil
}
