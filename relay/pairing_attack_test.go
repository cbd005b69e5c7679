package relay

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
	"github.com/reachback/reachback/internal/identity"
)

func TestB2_OfTwoHostsAtOnceOneWins(t *testing.T) {
	for _, early := range []bool{true, false} {
		refused := reachback.CodeTicketInvalid
		if early {
			refused = reachback.CodeTooManyWaiting
		}
		t.Run(fmt.Sprint("before the permit ", early), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				permit := make(chan struct{})
				w.decide = func(ctx context.Context, c *Call) (*Permit, error) {
					w.summons <- c
					<-permit
					return &Permit{Session: "s", Host: "host-1"}, nil
				}
				called := w.call("alice")
				c := <-w.summons
				if !early {
					close(permit)
					synctest.Wait()
				}
				a, b := w.answer(c, w.host("host-1")), w.answer(c, w.host("host-1"))
				if early {
					synctest.Wait()
					close(permit)
				}
				client := must(t, called)
				first, second := <-a, <-b
				if first.err != nil {
					first, second = second, first
				}
				require.NoError(t, first.err)
				requireCode(t, refused, second.err)
				requireCarries(t, client, first.leg, "to the winner")
				requireCarries(t, first.leg, client, "from the winner")
				require.Equal(t, 1, w.relay.Stats().Joined)
			})
		})
	}
}

func TestB3_RolesAreNotSwapped(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		called := w.call("alice")
		c := <-w.summons
		role := func(u *url.URL) *tls.Certificate {
			return w.hostCA.issue(t, func(c *x509.Certificate) { c.URIs = []*url.URL{u} })
		}
		host := w.host("host-1")
		bearer := "Authorization: Bearer " + w.token("alice")
		for _, tt := range []struct {
			name string
			cert *tls.Certificate
			head []string
			want reachback.Code
		}{
			{"client without a certificate answers", nil, answerHead(c), reachback.CodeCertificateMissing},
			{"gateway answers", role(identity.GatewayURI("host-1")), answerHead(c), reachback.CodeWrongRole},
			{"client's token at answer", host, append(answerHead(c), bearer), reachback.CodeBadRequest},
			{"host's ticket at call", host, head(carrier.PathCall, carrier.HeaderCall+": "+c.ID, carrier.HeaderTicket+": "+string(c.Ticket)), reachback.CodeBadRequest},
			{"host's certificate at call", host, head(carrier.PathCall, carrier.HeaderNonce+": "+nonce), reachback.CodeTokenMissing},
		} {
			require.Equal(t, tt.want, w.ask(tt.cert, tt.head...), tt.name)
		}
		answered := w.answer(c, host)
		requireCarries(t, must(t, called), must(t, answered), "undisturbed")
	})
}

func TestB4_CallThatIsNotMetIsFreed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.decide = func(ctx context.Context, c *Call) (*Permit, error) {
			w.summons <- c
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		start := time.Now()
		called := w.call("alice")
		answered := w.answer(<-w.summons, w.host("host-1"))
		requireCode(t, reachback.CodeHostTimeout, (<-called).err)
		requireCode(t, reachback.CodeTicketInvalid, (<-answered).err)
		require.Equal(t, 15*time.Second, time.Since(start))

		w.decide = nil
		called = w.call("alice")
		c := <-w.summons
		requireCode(t, reachback.CodeHostTimeout, (<-called).err)
		requireCode(t, reachback.CodeTicketInvalid, (<-w.answer(c, w.host("host-1"))).err)
		synctest.Wait()
		events := w.reported(EventFailed)
		require.Len(t, events, 1)
		require.Equal(t, EventFailed, events[0].Kind)
		require.Equal(t, reachback.CodeHostTimeout, events[0].Code)
		require.Empty(t, w.relay.waiting)
		require.Empty(t, w.relay.perUser)
		require.Empty(t, w.relay.unverified)
		require.Empty(t, w.relay.joined)
	})
}

func TestB5_EarlyBytesAreBoundedAndKept(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		early := make([]byte, 4<<20)
		rand.Read(early)
		called, answered := make(chan *tls.Conn, 1), make(chan *tls.Conn, 1)
		impatient := func(cert *tls.Certificate, lines []string, sent *int, joined chan *tls.Conn) {
			c := w.raw(cert)
			for _, l := range append(lines, "") {
				io.WriteString(c, l+"\r\n")
			}
			go func() {
				for *sent < len(early) {
					n, err := c.Write(early[*sent:min(*sent+8<<10, len(early))])
					if *sent += n; err != nil {
						return
					}
				}
				c.CloseWrite()
			}()
			joined <- c
		}
		var sentByClient, sentByHost int
		go impatient(nil, head(carrier.PathCall, "Authorization: Bearer "+w.token("alice"), carrier.HeaderNonce+": "+nonce), &sentByClient, called)
		c := <-w.summons
		synctest.Wait()
		require.Less(t, sentByClient, 400<<10, "what the relay does not read stays with the client's socket")

		// The wrong host gets a refusal and none of the bytes.
		require.Equal(t, reachback.CodeWrongHost, w.ask(w.host("host-2"), answerHead(c)...))

		go impatient(w.host("host-1"), answerHead(c), &sentByHost, answered)
		for _, leg := range []*tls.Conn{<-called, <-answered} {
			got, err := io.ReadAll(leg)
			require.NoError(t, err)
			require.Greater(t, len(got), len(early))
			require.Equal(t, early, got[len(got)-len(early):], "behind the 101, every byte in order")
		}
	})
}

func TestG13_HostThatAcceptsLateSpendsNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.decide = func(ctx context.Context, c *Call) (*Permit, error) {
			w.summons <- c
			time.Sleep(3 * time.Second) // host-1 does not accept, host-2 does
			w.summons <- c
			return &Permit{Session: "s", Host: "host-2"}, nil
		}
		called := w.call("alice")
		late := w.answer(<-w.summons, w.host("host-1"))
		c := <-w.summons
		requireCode(t, reachback.CodeWrongHost, (<-late).err)
		requireCode(t, reachback.CodeWrongHost, (<-w.answer(c, w.host("host-1"))).err)
		answered := w.answer(c, w.host("host-2"))
		requireCarries(t, must(t, called), must(t, answered), "hello")
	})
}
