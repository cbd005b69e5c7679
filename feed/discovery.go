package feed

import (
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"golang.org/x/net/idna"

	"github.com/reachback/reachback/internal/carrier"
)

// feedPaths are where clients of others look for a feed when they are told a host, in
// small letters: IIS takes no notice of case, so its users do not either.
var feedPaths = map[string]bool{
	"/feed":                    true,
	"/feed/webfeed.aspx":       true,
	"/rdweb/feed":              true,
	"/rdweb/feed/webfeed.aspx": true,
	"/api/arm/feeddiscovery":   true,
	"/api/feeddiscovery/webfeeddiscovery.aspx": true,
}

// isFeedPath reports whether a client means the feed by this path. It is served there and
// not redirected to: some take any redirect for one to a login page. Clients append the
// paths to whatever the user typed, which may be the feed's URL.
func isFeedPath(path string) bool {
	path = strings.TrimSuffix(strings.ToLower(path), "/")
	below, ok := strings.CutPrefix(path, pathFeed)
	return feedPaths[path] || ok && feedPaths[below]
}

// isReconnectPath reports whether the path is that of the service which Windows asks,
// beside the feed, for sessions to take up again.
func isReconnectPath(path string) bool {
	beside, ok := strings.CutSuffix(strings.ToLower(path), "/rdwebservice.asmx")
	return ok && (beside == "" || isFeedPath(beside))
}

// tenantFeeds is the document that says where a user's feeds are. It has no published
// specification; readers are known to need FeedURL.
type tenantFeeds struct {
	XMLName xml.Name `xml:"http://schemas.microsoft.com/ts/2014/03/tswfdiscovery TenantFeedURLs"`
	Feed    struct {
		FeedURL           string `xml:",attr"`
		TenantID          string `xml:"TenantId,attr"`
		TenantDisplayName string `xml:",attr"`
		WorkspaceName     string `xml:",attr"`
	} `xml:"TenantFeedURL"`
}

// discovery answers with the document that names this feed, to those who may read it.
func (x *exchange) discovery() error {
	if err := x.authenticate(); err != nil {
		return err
	}
	name, err := x.workspaceName()
	if err != nil {
		return err
	}
	ws, err := newWorkspace(x.base, name, x.user.Tenant, nil)
	if err != nil {
		return err
	}
	if err := ws.check(); err != nil {
		return err
	}
	var doc tenantFeeds
	doc.Feed.FeedURL, doc.Feed.TenantID = ws.root+pathFeed, ws.publisherID()
	doc.Feed.TenantDisplayName, doc.Feed.WorkspaceName = ws.name, ws.name
	b, err := encodeXML(&doc)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	x.private(etag(sum[:]))
	x.send(typeDiscovery+"; charset=utf-8", b)
	x.log(slog.LevelInfo, "feed discovered")
	return nil
}

// wcx answers with the file that sets up RemoteApp and Desktop Connections of Windows.
// It says no more than whoever asks for it knows.
func (x *exchange) wcx() error {
	if err := carrier.CheckMethod(x.w, x.r, http.MethodGet, http.MethodHead); err != nil {
		return err
	}
	b, err := ConnectionFile(x.URL, x.Name)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	h := x.w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", etag(sum[:]))
	h.Set("Content-Disposition", `attachment; filename="workspace.wcx"`)
	x.send("application/octet-stream", b) // it has no registered type, and must not be shown
	return nil
}

// reconnectAnswer is the answer of a service without any session to take up. It must
// begin with its first byte.
const reconnectAnswer = `<?xml version="1.0" encoding="utf-8"?>` +
	`<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>` +
	`<GetRDPFilesResponse xmlns="http://schemas.microsoft.com/ts/2010/09/rdweb"><GetRDPFilesResult>` +
	`<version>8.0</version><wkspRC></wkspRC></GetRDPFilesResult></GetRDPFilesResponse></soap:Body></soap:Envelope>`

// reconnect answers Windows' question for sessions ([MS-RDWR]), which version 1.1 of the
// document has no means to say need not be asked. The answer is the same for everybody.
func (x *exchange) reconnect() error {
	if err := carrier.CheckMethod(x.w, x.r, http.MethodPost); err != nil {
		return err
	}
	h := x.w.Header()
	h.Set("Content-Type", "text/xml; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	_, err := x.w.Write([]byte(reconnectAnswer))
	return err
}

// ConnectionFile returns the .wcx file with which RemoteApp and Desktop Connections of
// Windows subscribes to the feed at that base URL. An empty name means "Workspace".
func ConnectionFile(base, name string) ([]byte, error) {
	u, err := baseURL(base)
	if err != nil {
		return nil, err
	}
	ws, err := newWorkspace(u, name, "", nil)
	if err != nil {
		return nil, err
	}
	if err := ws.check(); err != nil {
		return nil, err
	}
	var doc struct {
		XMLName     xml.Name `xml:"http://schemas.microsoft.com/ts/2008/09/tswcx workspace"`
		Name        string   `xml:"name,attr"`
		DefaultFeed struct {
			URL string `xml:"url,attr"`
		} `xml:"defaultFeed"`
	}
	doc.Name, doc.DefaultFeed.URL = ws.name, ws.root+pathFeed
	return encodeXML(&doc)
}

// SubscribeLink returns the link with which Microsoft's Remote Desktop clients subscribe
// to the feed at that base URL.
func SubscribeLink(base string) (string, error) {
	u, err := baseURL(base)
	if err != nil {
		return "", err
	}
	return subscribeScheme + strings.TrimSuffix(u.String(), "/") + pathFeed, nil
}

// DNSRecord returns the record, as a line of a zone file, by which clients find the feed at
// that base URL when they are told a mail address of the domain. A domain should have
// one such record and no more.
func DNSRecord(domain, base string) (string, error) {
	u, err := baseURL(base)
	if err != nil {
		return "", err
	}
	name, err := mailDomain(domain)
	if err != nil {
		return "", err
	}
	text := strings.TrimSuffix(u.String(), "/") + pathFeed
	if len(text) > 255 || strings.ContainsAny(text, `"\`) {
		return "", errors.New("feed: the URL does not fit into a TXT record")
	}
	return discoveryPrefix + name + `. 300 IN TXT "` + text + `"`, nil
}

const (
	subscribeScheme = "ms-rd:subscribe?url="
	discoveryPrefix = "_msradc."
)

// mailDomain returns the domain in the letters of DNS.
func mailDomain(s string) (string, error) {
	name, err := idna.Lookup.ToASCII(strings.TrimSuffix(strings.TrimSpace(s), "."))
	if err != nil || name == "" || len(name) > 253-len(discoveryPrefix) || !strings.Contains(name, ".") {
		return "", errors.New("feed: not the domain of a mail address")
	}
	return name, nil
}
