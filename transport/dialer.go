package transport

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/session"
	"github.com/reachback/reachback/internal/token"
	"github.com/reachback/reachback/relay"
)

const (
	// maxGateways is how many gateways of a list are tried.
	maxGateways = 16
	// callTimeout bounds the attempt at one gateway: connecting, and the 15 s
	// that a call may wait for its host.
	callTimeout = 25 * time.Second
)

// A Dialer opens resources. It may be used concurrently, and must not be changed
// while it is.
type Dialer struct {
	// Connect asks the feed's origin for a connection; feed.Client.Connect
	// fits. What it returns is trusted, the keys above all. Required.
	Connect func(ctx context.Context, resource string, key [32]byte) (*reachback.Connection, error)
	// Relay dials gateways. Nil means the zero value.
	Relay *relay.Dialer
	// Logger is told of sessions and of gateways that failed. Nil is silent.
	Logger *slog.Logger
}

func (d *Dialer) relay() *relay.Dialer {
	if d.Relay != nil {
		return d.Relay
	}
	return &relay.Dialer{}
}

// DialContext opens a resource, named by its id; a port after it is dropped, so
// that the method fits where addresses are dialled. The network is "tcp". The
// connection is a [*Conn], and ctx bounds only how it comes about.
//
// Gateways that cannot be reached are passed over, the nearest is tried first. A
// refusal is a [*reachback.Error] in the error's tree, with the correlation id
// where one was given; an end of ctx matches its cause.
func (d *Dialer) DialContext(ctx context.Context, network, resource string) (net.Conn, error) {
	if i := strings.LastIndexByte(resource, ':'); i >= 0 {
		resource = resource[:i]
	}
	c, correlation, err := d.dial(ctx, network, resource)
	if err != nil {
		if ctx.Err() != nil && !errors.Is(err, context.Cause(ctx)) {
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		return nil, fmt.Errorf("transport: dial %s: %w", resource, identify(err, correlation))
	}
	return c, nil
}

// dial also returns the correlation id as soon as there is one.
func (d *Dialer) dial(ctx context.Context, network, resource string) (*Conn, string, error) {
	if network != "tcp" && network != "" {
		return nil, "", net.UnknownNetworkError(network)
	}
	if d.Connect == nil {
		return nil, "", errors.New("Dialer.Connect is not set")
	}
	start := time.Now()
	cert, key, err := newKey()
	if err != nil {
		return nil, "", err
	}
	conn, err := d.Connect(ctx, resource, key)
	if err != nil {
		return nil, "", err
	}
	a, err := newAttempt(conn, resource, cert, key)
	if err != nil {
		return nil, conn.CorrelationID, err
	}
	leg, gateway, err := d.call(ctx, a)
	if err != nil {
		return nil, conn.CorrelationID, err
	}
	grant, err := a.accept(leg.Grant)
	if err != nil {
		leg.Abort()
		return nil, conn.CorrelationID, err
	}
	log := logger(d.Logger).With("session", grant.Session, "correlation_id", grant.CorrelationID)
	s, err := openClient(ctx, leg, cert, grant.HostKey, session.Config{
		CorrelationID: grant.CorrelationID,
		OnEnd:         func(cause error) { log.Info("session ended", "code", reachback.CodeOf(cause)) },
	})
	if err != nil {
		return nil, conn.CorrelationID, err
	}
	log.Info("session opened", "resource", resource, "gateway", gateway, "host", grant.Host, "took", time.Since(start))
	return &Conn{stream: s, grant: *grant, gateway: gateway}, conn.CorrelationID, nil
}

// call makes the call at the first gateway that can be reached.
func (d *Dialer) call(ctx context.Context, a *attempt) (*relay.Leg, string, error) {
	gateways := d.relay().Nearest(ctx, a.conn.Gateways[:min(len(a.conn.Gateways), maxGateways)])
	failed := error(reachback.Refuse(reachback.CodeGatewayUnreachable))
	for i, gateway := range gateways {
		a.nonce = newNonce()
		cctx, cancel := context.WithTimeout(ctx, callTimeout)
		leg, err := d.relay().Call(cctx, gateway, a.conn.Token, a.nonce)
		cancel()
		switch code := reachback.CodeOf(err); {
		case err == nil:
			return leg, gateway, nil
		case ctx.Err() != nil:
			return nil, "", err
		case i > 0 && code == reachback.CodeTokenReplayed:
			// The gateway that was lost had used the token before.
			return nil, "", failed
		case code != reachback.CodeGatewayUnreachable && code != reachback.CodeCertificateUntrusted && code != reachback.CodeDraining:
			return nil, "", err
		default:
			logger(d.Logger).Warn("gateway failed", "gateway", gateway, "correlation_id", a.conn.CorrelationID, "err", err)
			failed = err
		}
	}
	return nil, "", failed
}

// An attempt is what one dial has asked for, with which every answer is compared.
type attempt struct {
	conn   *reachback.Connection
	keys   jose.JSONWebKeySet // from connect, and from nowhere else
	claims *token.Connection
	nonce  string // of the call under way
}

func newAttempt(conn *reachback.Connection, resource string, cert tls.Certificate, key [32]byte) (*attempt, error) {
	a := &attempt{conn: conn}
	if err := json.Unmarshal(conn.Keys, &a.keys); err != nil {
		return nil, fmt.Errorf("keys of the answer to connect: %w: %w", reachback.Refuse(reachback.CodeProtocolError), err)
	}
	var err error
	if a.claims, err = token.VerifyConnection(&a.keys, conn.Token, time.Now()); err != nil {
		return nil, fmt.Errorf("connection token: %w", err)
	}
	if a.claims.Resource != resource || a.claims.ClientKey != key {
		return nil, fmt.Errorf("connection token is for another resource or key: %w", reachback.Refuse(reachback.CodeTokenInvalid))
	}
	return a, nil
}

// accept verifies the grant that a gateway hands over and compares it with what
// was asked for.
func (a *attempt) accept(grant string) (*reachback.Grant, error) {
	g, err := token.VerifyGrant(&a.keys, grant, a.nonce, time.Now())
	if err != nil {
		return nil, err
	}
	if g.User != a.claims.User.Subject || g.Tenant != a.claims.User.Tenant || g.Resource != a.claims.Resource ||
		g.CorrelationID != a.claims.CorrelationID || g.ClientKey != a.claims.ClientKey || g.Raw {
		return nil, reachback.Refuse(reachback.CodeGrantMismatch)
	}
	return g, nil
}

// newNonce returns 32 random bytes as text.
func newNonce() string {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// identify gives the code in err's tree, if there is one, the correlation id that
// it lacks.
func identify(err error, correlation string) error {
	e, ok := errors.AsType[*reachback.Error](err)
	if !ok || e.CorrelationID != "" || correlation == "" {
		return err
	}
	own := *e
	own.CorrelationID = correlation
	return &identified{&own, err}
}

type identified struct {
	code *reachback.Error
	err  error
}

func (e *identified) Error() string   { return e.err.Error() }
func (e *identified) Unwrap() []error { return []error{e.code, e.err} }

func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
