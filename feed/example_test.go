package feed_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/feed"
)

func ExampleHandler() {
	// A broker.Broker is a Source; here it is a fixed one.
	h := &feed.Handler{Source: newSource(), URL: "https://feed.example.test", Name: "Example workspace"}

	for _, token := range []string{"alice-token", "stale-token"} {
		r := httptest.NewRequest(http.MethodGet, "https://feed.example.test/feed/rdp/desktop.rdp", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		for line := range strings.Lines(w.Body.String()) {
			if !strings.HasPrefix(line, "full") && !strings.HasPrefix(line, "gatewayhost") && !strings.HasPrefix(line, "redirectc") {
				continue
			}
			fmt.Println(strings.TrimSpace(line))
		}
		fmt.Println(w.Code)
	}
	// Output:
	// full address:s:desktop
	// gatewayhostname:s:feed.example.test
	// redirectclipboard:i:1
	// redirectcomports:i:0
	// 200
	// 401
}

func ExampleClient() {
	h := &feed.Handler{Source: newSource()}
	server := httptest.NewTLSServer(h)
	defer server.Close()
	h.URL = server.URL
	dir, err := os.MkdirTemp("", "feed")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	c := &feed.Client{
		URL:   server.URL,
		Token: func(context.Context) (string, error) { return "alice-token", nil },
		Dir:   dir,
		HTTP:  server.Client(),
	}
	files, err := c.Refresh(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range files {
		fmt.Println(f.Kind, f.Title, filepath.Base(f.Path))
	}

	key := [32]byte{1} // thumbprint of the key that will make the connection
	conn, err := c.Connect(context.Background(), "desktop", key)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(conn.Gateways)

	_, err = c.Connect(context.Background(), "secret-lab", key)
	fmt.Println(reachback.CodeOf(err))
	// Output:
	// desktop Desktop desktop.rdp
	// remoteapp Finance <&> Müller fin.rdp
	// [https://gw.example.test]
	// resource_not_found
}

func ExampleFind() {
	// What an operator tells his users and his DNS, and what they then type.
	record, err := feed.DNSRecord("example.test", "https://feed.example.test")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(record)
	url, err := feed.Find(context.Background(), nil, "https://feed.example.test/RDWeb/Feed/webfeed.aspx")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(url)
	// Output:
	// _msradc.example.test. 300 IN TXT "https://feed.example.test/feed"
	// https://feed.example.test
}

func ExampleRDPFile() {
	f, err := feed.ParseRDP([]byte("full address:s:[2001:db8::1]:3389\r\naudiomode:i:0\r\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	f.Set("AudioMode", 'i', "2")
	f.Set("smart sizing", 'i', "1")
	for _, setting := range f.Settings() {
		fmt.Println(setting)
	}
	fmt.Println(f.Set("username", 's', "alice\r\nredirectdrives:i:1"))
	// Output:
	// full address:s:[2001:db8::1]:3389
	// audiomode:i:2
	// smart sizing:i:1
	// feed: setting "username": a control character or invalid text in the value
}
