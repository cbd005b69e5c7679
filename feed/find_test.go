package feed_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/feed"
)

// zone is a DNS server with TXT records by name, that is asked over a pipe.
type zone struct {
	txt    map[string][]string
	fails  bool
	silent bool
	wg     sync.WaitGroup
}

// resolver asks the zone; the zone's goroutines end with their connections, and wait
// waits for them.
func (z *zone) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		z.wg.Go(func() {
			defer server.Close()
			for z.answer(server) == nil {
			}
		})
		return client, nil
	}}
}

func (z *zone) answer(c net.Conn) error {
	var length [2]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return err
	}
	query := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(c, query); err != nil {
		return err
	}
	if z.silent {
		return nil
	}
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return err
	}
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	records, ok := z.txt[m.Questions[0].Name.String()]
	switch {
	case z.fails:
		m.RCode = dnsmessage.RCodeServerFailure
	case !ok:
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, r := range records {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET, TTL: 300},
			Body:   &dnsmessage.TXTResource{TXT: strings.SplitAfter(r, "|")},
		})
	}
	answer, err := m.Pack()
	if err != nil {
		return err
	}
	_, err = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	return err
}

func TestFind(t *testing.T) {
	z := &zone{txt: map[string][]string{
		"_msradc.example.test.":       {"https://feed.example.test/RDWeb/Feed/webfeed.aspx"},
		"_msradc.xn--bcher-kva.test.": {"https://feed.example.test:8443/feed"},
		"_msradc.two.test.":           {"https://a.test/feed", "https://b.test/feed"},
		"_msradc.plain.test.":         {"http://feed.example.test/feed"},
		"_msradc.text.test.":          {"v=spf1 -all"},
		"_msradc.user.test.":          {"https://feed.example.test@evil.test/feed"},
		"_msradc.long.test.":          {"https://" + strings.Repeat("x", 100) + "|" + strings.Repeat("y", 200)},
		"_msradc.none.test.":          {},
		"_msradc.feed.example.test.":  {"https://elsewhere.test/feed"},
	}}
	for _, tt := range []struct {
		address, want string
		code          reachback.Code
	}{
		{"https://feed.example.test", "https://feed.example.test", ""},
		{" https://feed.example.test/\n", "https://feed.example.test", ""},
		{"https://feed.example.test/feed", "https://feed.example.test", ""},
		{"https://feed.example.test:8443/RDWeb/Feed/", "https://feed.example.test:8443", ""},
		{"https://feed.example.test/api/arm/feeddiscovery", "https://feed.example.test", ""},
		{"https://feed.example.test/below/rdweb/feed/WEBFEED.aspx", "https://feed.example.test/below", ""},
		{"ms-rd:subscribe?url=https://feed.example.test/feed", "https://feed.example.test", ""},
		{"alice@example.test", "https://feed.example.test", ""},
		{`"odd@local"@example.test`, "https://feed.example.test", ""},
		{"example.test", "https://feed.example.test", ""},
		{"alice@Bücher.test", "https://feed.example.test:8443", ""},
		{"alice@nowhere.test", "", reachback.CodeNotFound},
		{"alice@none.test", "", reachback.CodeNotFound},
		{"alice@two.test", "", reachback.CodeProtocolError},
		{"alice@plain.test", "", reachback.CodeProtocolError},
		{"alice@text.test", "", reachback.CodeProtocolError},
		{"alice@user.test", "", reachback.CodeProtocolError},
		{"http://feed.example.test", "", reachback.CodeBadRequest},
		{"ftp://feed.example.test", "", reachback.CodeBadRequest},
		{"https://alice:x@feed.example.test", "", reachback.CodeBadRequest},
		{"https://feed.example.test/feed?x=y", "", reachback.CodeBadRequest},
		{"https://" + strings.Repeat("x", 3000), "", reachback.CodeBadRequest},
		{"alice@", "", reachback.CodeBadRequest},
		{"alice", "", reachback.CodeBadRequest},
		{"", "", reachback.CodeBadRequest},
		{"alice@a b.test", "", reachback.CodeBadRequest},
		{strings.Repeat("a.", 200), "", reachback.CodeBadRequest},
	} {
		t.Run(tt.address[:min(len(tt.address), 60)], func(t *testing.T) {
			got, err := feed.Find(t.Context(), z.resolver(), tt.address)
			require.Equal(t, tt.code, reachback.CodeOf(err), "%v", err)
			require.Equal(t, tt.want, got)
		})
	}
	z.fails = true
	_, err := feed.Find(t.Context(), z.resolver(), "alice@example.test")
	require.Equal(t, reachback.CodeUnavailable, reachback.CodeOf(err), "a server that fails says nothing about the domain")
	z.wg.Wait()
}

// DNS that does not answer costs ten seconds.
func TestFindHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{silent: true}
		start := time.Now()
		_, err := feed.Find(t.Context(), z.resolver(), "alice@example.test")
		require.Equal(t, reachback.CodeUnavailable, reachback.CodeOf(err), "%v", err)
		require.LessOrEqual(t, time.Since(start), 10*time.Second)
		z.wg.Wait()
	})
}

// What is found is a URL that a client takes, and finds itself.
func FuzzFind(f *testing.F) {
	for _, s := range []string{"https://feed.example.test/RDWeb/Feed/webfeed.aspx", "ms-rd:subscribe?url=https://a.test/feed/feed", "https://a.test/%2Ffeed", "https://[::1]:1/feed"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !strings.Contains(s, "://") {
			return // DNS would be asked
		}
		base, err := feed.Find(t.Context(), nil, s)
		if err != nil {
			require.Equal(t, reachback.CodeBadRequest, reachback.CodeOf(err))
			return
		}
		u, err := url.Parse(base)
		require.NoError(t, err)
		require.Equal(t, "https", u.Scheme)
		require.NotEmpty(t, u.Hostname())
		require.Nil(t, u.User)
		again, err := feed.Find(t.Context(), nil, base)
		require.NoError(t, err)
		require.Equal(t, base, again)
	})
}
