package feed_test

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/feed"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/simnet"
)

var quiet = log.New(io.Discard, "", 0)

// inVirtualTime runs f with a connection to h, on a network in memory.
func inVirtualTime(t *testing.T, h http.Handler, f func(t *testing.T, c net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		var n simnet.Network
		l, err := n.Listen("feed:80")
		require.NoError(t, err)
		server := &http.Server{Handler: h, ErrorLog: quiet}
		done := make(chan error)
		go func() { done <- server.Serve(l) }()
		c, err := n.Dial(t.Context(), "tcp", "feed:80")
		require.NoError(t, err)
		f(t, c)
		c.Close()
		server.Close()
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
}

func codeOf(t *testing.T, c net.Conn) reachback.Code {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	return reachback.CodeOf(carrier.ReadRefusal(resp))
}

// A body that comes byte by byte has one deadline for all of it.
func TestConnectBodyHasADeadline(t *testing.T) {
	inVirtualTime(t, newHandler(newSource()), func(t *testing.T, c net.Conn) {
		start := time.Now()
		fmt.Fprintf(c, "POST /reachback/v1/connect HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice-token\r\nContent-Length: 1000\r\n\r\n{")
		stop := make(chan struct{})
		defer close(stop)
		go func() { // ends with this test, above
			for {
				select {
				case <-time.After(time.Second):
					c.Write([]byte(" "))
				case <-stop:
					return
				}
			}
		}()
		require.Equal(t, reachback.CodeBadRequest, codeOf(t, c))
		require.Equal(t, 5*time.Second, time.Since(start))
	})
}

// The deadline of the body is not that of the broker's work.
func TestConnectMayTakeItsTime(t *testing.T) {
	s := newSource()
	s.think = 10 * time.Second
	inVirtualTime(t, newHandler(s), func(t *testing.T, c net.Conn) {
		const body = `{"resource":"desktop"}`
		fmt.Fprintf(c, "POST /reachback/v1/connect HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice-token\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
	})
}

// A broker that hangs is answered for: the client can try elsewhere.
func TestSourceHasADeadline(t *testing.T) {
	for _, head := range []string{"GET /feed", "GET /feed/rdp/desktop.rdp", "POST /reachback/v1/connect"} {
		s := newSource()
		s.wait = true
		inVirtualTime(t, newHandler(s), func(t *testing.T, c net.Conn) {
			start := time.Now()
			fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice-token\r\nContent-Length: 0\r\n\r\n", head)
			require.Equal(t, reachback.CodeUnavailable, codeOf(t, c))
			require.Equal(t, 15*time.Second, time.Since(start))
		})
	}
}

// A reader that stops is cut; one that waits between requests is not, whoever
// answers the next one.
func TestAnswerHasADeadline(t *testing.T) {
	s := newSource()
	s.resources["alice"] = manyResources(feed.MaxResources)
	mux := http.NewServeMux()
	mux.Handle("/", newHandler(s))
	mux.HandleFunc("/other", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	inVirtualTime(t, mux, func(t *testing.T, c net.Conn) {
		const request = "GET /feed HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice-token\r\n\r\n"
		br := bufio.NewReader(c)
		io.WriteString(c, request)
		resp, err := http.ReadResponse(br, nil)
		require.NoError(t, err)
		n, err := io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.Greater(t, n, int64(simnet.BufferSize))
		time.Sleep(2 * time.Minute) // virtual, like all time here
		io.WriteString(c, "GET /other HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err = http.ReadResponse(br, nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)

		io.WriteString(c, request)
		time.Sleep(61 * time.Second)
		resp, err = http.ReadResponse(br, nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.Error(t, err)
	})
}
