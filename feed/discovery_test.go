package feed_test

import (
	"encoding/xml"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/feed"
)

// A user who types a host's name into another client gets to the feed.
func TestFeedIsWhereClientsLookForIt(t *testing.T) {
	h := newHandler(newSource())
	want := get(h, "alice-token", "/feed", radc)
	for _, path := range []string{
		"/feed/", "/RDWeb/Feed", "/RDWeb/Feed/", "/RDWeb/Feed/webfeed.aspx", "/rdweb/feed/WebFeed.aspx", "/Feed/webfeed.aspx",
		"/api/arm/feeddiscovery", "/api/feeddiscovery/webfeeddiscovery.aspx", "/feed/RDWeb/Feed/webfeed.aspx", "/feed/api/arm/feeddiscovery",
	} {
		w := get(h, "alice-token", path, radc)
		require.Equal(t, http.StatusOK, w.Code, path)
		require.Equal(t, want.Body.String(), w.Body.String(), "one workspace, however it was found")
		require.Equal(t, want.Header().Get("ETag"), w.Header().Get("ETag"))
		require.Equal(t, reachback.CodeTokenMissing, refusal(t, request(h, "GET", path, "")).Code, path)
	}
	for _, path := range []string{"/feed/x", "/RDWeb", "/RDWeb/Feed/x.aspx", "/api/arm", "/x/RDWeb/Feed", "/feedRDWeb/Feed"} {
		require.Equal(t, reachback.CodeNotFound, refusal(t, get(h, "alice-token", path, radc)).Code, path)
	}
}

func TestDiscoveryDocument(t *testing.T) {
	s := newSource()
	s.workspace = map[string]string{"west": "West & coast"}
	h := newHandler(s)
	const discovery = "Accept: application/x-msts-radc-discovery+xml,text/xml"
	for _, path := range []string{"/feed", "/api/arm/feeddiscovery", "/api/feeddiscovery/webfeeddiscovery.aspx"} {
		w := get(h, "carol-token", path, discovery)
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, "application/x-msts-radc-discovery+xml; charset=utf-8", w.Header().Get("Content-Type"))
		require.Equal(t, "private, no-cache", w.Header().Get("Cache-Control"))
		require.Equal(t, "Accept, Authorization, Cookie", w.Header().Get("Vary"))
		var doc struct {
			XMLName xml.Name `xml:"http://schemas.microsoft.com/ts/2014/03/tswfdiscovery TenantFeedURLs"`
			Feeds   []struct {
				FeedURL, TenantId, TenantDisplayName, WorkspaceName string `xml:",attr"`
			} `xml:"TenantFeedURL"`
		}
		require.NoError(t, xml.Unmarshal(w.Body.Bytes(), &doc))
		require.Len(t, doc.Feeds, 1)
		require.Equal(t, "https://feed.example.test/feed", doc.Feeds[0].FeedURL)
		require.Equal(t, "West & coast", doc.Feeds[0].WorkspaceName)
		require.Equal(t, "West & coast", doc.Feeds[0].TenantDisplayName)
		require.Regexp(t, "^"+guid+"$", doc.Feeds[0].TenantId)
		require.Equal(t, http.StatusNotModified, get(h, "carol-token", path, discovery, "If-None-Match: "+w.Header().Get("ETag")).Code)
		require.Equal(t, reachback.CodeTokenMissing, refusal(t, request(h, "GET", path, "", discovery)).Code)
	}
	for name, accept := range map[string]string{
		"both":            "application/x-msts-radc-discovery+xml, application/x-msts-radc+xml;radc_schema_version=2.0",
		"weighed to zero": "application/x-msts-radc-discovery+xml;q=0, text/xml",
		"neither":         "text/xml",
	} {
		w := get(h, "carol-token", "/api/arm/feeddiscovery", "Accept: "+accept)
		require.Contains(t, w.Body.String(), "<ResourceCollection", name)
	}
}

// A document may be of one folder; the root says which others there are.
func TestFolders(t *testing.T) {
	s := newSource()
	s.resources["alice"] = append(s.resources["alice"], reachback.Resource{ID: "b", Title: "B", Kind: reachback.KindDesktop, Folder: "/Büro & Co"})
	h := newHandler(s)
	for folder, want := range map[string][]string{"/": {"desktop"}, "/Money": {"fin"}, "/B%C3%BCro%20%26%20Co": {"b"}, "/nothing": nil} {
		w := get(h, "alice-token", "/feed?folder="+folder, radc)
		require.Equal(t, http.StatusOK, w.Code)
		root := readNodes(t, w.Body.String())
		var ids []string
		for _, r := range root.all("Resource") {
			ids = append(ids, r.attrs["Alias"])
		}
		require.Equal(t, want, ids, folder)
		require.NotEmpty(t, root.attrs["DisplayFolder"])
		require.Equal(t, root.attrs["DisplayFolder"], root.children[0].attrs["DisplayFolder"])
		var names []string
		for _, f := range root.all("SubFolders") {
			for _, c := range f.children {
				names = append(names, c.attrs["Name"])
			}
		}
		if folder == "/" {
			require.Equal(t, []string{"/Büro & Co", "/Money"}, names)
		} else {
			require.Empty(t, names)
		}
	}
	for _, folder := range []string{"Money", "/a/b", "x/"} {
		require.Equal(t, reachback.CodeBadRequest, refusal(t, get(h, "alice-token", "/feed?folder="+folder, radc)).Code, folder)
	}
	whole := readNodes(t, get(h, "alice-token", "/feed?folder=/Money").Body.String())
	require.Len(t, whole.all("Resource"), 3, "version 1.1 knows no folders")
}

func TestSubscriptionTexts(t *testing.T) {
	h := newHandler(newSource())
	h.Name = `Example <&> "workspace"`
	w := request(h, "GET", "/feed/workspace.wcx", "")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, `attachment; filename="workspace.wcx"`, w.Header().Get("Content-Disposition"))
	var doc struct {
		XMLName xml.Name `xml:"http://schemas.microsoft.com/ts/2008/09/tswcx workspace"`
		Name    string   `xml:"name,attr"`
		Feed    struct {
			URL string `xml:"url,attr"`
		} `xml:"defaultFeed"`
	}
	require.NoError(t, xml.Unmarshal(w.Body.Bytes(), &doc))
	require.Equal(t, h.Name, doc.Name)
	require.Equal(t, "https://feed.example.test/feed", doc.Feed.URL)

	link, err := feed.SubscribeLink("https://feed.example.test/")
	require.NoError(t, err)
	require.Equal(t, "ms-rd:subscribe?url=https://feed.example.test/feed", link)
	record, err := feed.DNSRecord("Bücher.example", "https://feed.example.test:8443")
	require.NoError(t, err)
	require.Equal(t, `_msradc.xn--bcher-kva.example. 300 IN TXT "https://feed.example.test:8443/feed"`, record)
	for _, bad := range [][2]string{
		{"example.test", "http://feed.example.test"}, {"example.test", "https://" + strings.Repeat("x", 250)},
		{"", "https://feed.example.test"}, {"localhost", "https://feed.example.test"}, {"a b.test", "https://feed.example.test"},
		{strings.Repeat("a.", 130), "https://feed.example.test"},
	} {
		_, err := feed.DNSRecord(bad[0], bad[1])
		require.Error(t, err, bad)
	}
}

// Windows 7 asks for sessions to take up again, and shows an error to its user when it
// gets no answer that it knows.
func TestReconnectStub(t *testing.T) {
	h := newHandler(newSource())
	for _, path := range []string{"/RDWebService.asmx", "/RDWeb/Feed/RDWebService.asmx", "/feed/rdwebservice.asmx"} {
		w := request(h, "POST", path, "<x/>", "Content-Type: text/xml")
		require.Equal(t, http.StatusOK, w.Code, path)
		require.Equal(t, "text/xml; charset=utf-8", w.Header().Get("Content-Type"))
		require.True(t, strings.HasPrefix(w.Body.String(), "<?xml "))
		var doc struct {
			XMLName xml.Name `xml:"http://schemas.xmlsoap.org/soap/envelope/ Envelope"`
			Result  []struct {
				Version string `xml:"http://schemas.microsoft.com/ts/2010/09/rdweb version"`
				Content string `xml:"http://schemas.microsoft.com/ts/2010/09/rdweb wkspRC"`
			} `xml:"Body>GetRDPFilesResponse>GetRDPFilesResult"`
		}
		require.NoError(t, xml.Unmarshal(w.Body.Bytes(), &doc))
		require.Len(t, doc.Result, 1)
		require.Equal(t, "8.0", doc.Result[0].Version)
		require.Empty(t, doc.Result[0].Content)
		require.Equal(t, reachback.CodeMethodNotAllowed, refusal(t, request(h, "GET", path, "")).Code)
	}
	require.Equal(t, reachback.CodeNotFound, refusal(t, request(h, "POST", "/x/RDWebService.asmx", "")).Code)
}
