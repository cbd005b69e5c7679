package clientside

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/oauth2"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker/oidc"
	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/feed"
)

const (
	issuerTimeout = 30 * time.Second // of each request to the issuer
	loginTimeout  = 30 * time.Minute // for a user to sign in, where the issuer names no time

	// Tokens are refreshed when a fifth of their life is left. Failed attempts
	// are repeated after retryFirst, then twice as late each time, up to
	// retryMost.
	retryFirst = 5 * time.Second
	retryMost  = time.Minute
	// shortestLife is waited for even where an issuer says that its tokens end
	// sooner, so that it is not asked without a pause.
	shortestLife = 10 * time.Second
	// look is how often the clock is looked at while nothing is due: a machine
	// that slept does not notice the time by its timers.
	look = 30 * time.Second
)

// A login keeps the user signed in: with the refresh token of an earlier run where
// there is one, else by a device code, which the user types into a browser.
type login struct {
	program *program.Program
	feed    *feed.Client // is asked where to sign in
	http    *http.Client // for the issuer
	files   tokenFiles
}

// signIn gets the first access token, and returns when it must be refreshed; zero:
// never.
func (l *login) signIn(ctx context.Context) (due time.Time, err error) {
	c, err := l.client(ctx)
	if err != nil {
		return due, err
	}
	refresh, err := l.files.refreshToken(c.doc)
	if err != nil {
		return due, err
	}
	if refresh != "" {
		due, err = l.take(c, func() (*oauth2.Token, error) { return c.refresh(ctx, refresh) })
		if !refused(err) {
			return due, err
		}
		l.program.Logger.Info("the refresh token of an earlier run is not taken any more")
	}
	return l.take(c, func() (*oauth2.Token, error) { return l.device(ctx, c) })
}

// keep refreshes the token each time that it is due, until ctx ends. When the
// issuer does not take the refresh token any more the user is asked again.
func (l *login) keep(ctx context.Context, due time.Time) {
	for !due.IsZero() {
		if !sleepUntil(ctx, due) {
			return
		}
		for retry := retryFirst; ; retry = min(2*retry, retryMost) {
			next, err := l.signIn(ctx)
			if err == nil {
				due = next
				break
			}
			if ctx.Err() != nil {
				return
			}
			l.program.Logger.Warn("the sign-in could not be refreshed", "err", program.OneLine(err.Error()), "again_in", retry)
			if !sleepUntil(ctx, time.Now().Add(retry)) {
				return
			}
		}
	}
}

// sleepUntil returns false when ctx ends before.
func sleepUntil(ctx context.Context, due time.Time) bool {
	due = due.Round(0) // by the clock on the wall
	for left := time.Until(due); left > 0; left = time.Until(due) {
		select {
		case <-time.After(min(left, look)):
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}

// take stores what get gets.
func (l *login) take(c *issuerClient, get func() (*oauth2.Token, error)) (due time.Time, err error) {
	t, err := get()
	if err != nil {
		return due, fmt.Errorf("sign in at %s: %w", c.doc.Issuer, err)
	}
	if err := l.files.store(c.doc, t); err != nil {
		return due, err
	}
	if !t.Expiry.IsZero() {
		due = time.Now().Add(max(time.Until(t.Expiry)*4/5, shortestLife))
	}
	return due, nil
}

// device shows the user where to sign in, and waits until he has.
func (l *login) device(ctx context.Context, c *issuerClient) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(c.context(ctx), loginTimeout)
	defer cancel()
	d, err := c.config.DeviceAuth(ctx, c.params()...)
	if err != nil {
		return nil, err
	}
	complete := d.VerificationURIComplete
	if complete != "" && !oidc.Admitted(c.doc.Issuer, complete) {
		complete = ""
	}
	if !oidc.Admitted(c.doc.Issuer, d.VerificationURI) || d.UserCode == "" || d.DeviceCode == "" {
		return nil, errors.New("the issuer's answer to the device is incomplete, or its page is not https")
	}
	d.Interval = min(max(d.Interval, 0), 60)
	l.program.Event("login", "verification_uri", d.VerificationURI, "user_code", d.UserCode, "verification_uri_complete", complete)
	t, err := c.config.DeviceAccessToken(ctx, d, c.params()...)
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); errors.Is(err, context.DeadlineExceeded) || ok && e.ErrorCode == "expired_token" {
		return nil, errors.New("nobody has signed in in time")
	}
	return t, err
}

// An issuerClient is what the feed says a client is, at the issuer that it names.
type issuerClient struct {
	doc    *feed.SignIn
	config *oauth2.Config
	http   *http.Client
}

// client asks the feed and then the issuer, each time: either may have moved.
func (l *login) client(ctx context.Context) (*issuerClient, error) {
	doc, err := l.feed.SignIn(ctx)
	if reachback.CodeOf(err) == reachback.CodeNotFound {
		return nil, errors.New("the server does not tell where to sign in; get a token in another way, and leave out -login")
	}
	if err != nil {
		return nil, err
	}
	p, err := oidc.Discover(ctx, l.http, doc.Issuer)
	if err != nil {
		return nil, err
	}
	endpoint := p.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInParams // a public client has nothing to authenticate with
	if endpoint.DeviceAuthURL == "" {
		return nil, fmt.Errorf("the issuer %s has no device codes", doc.Issuer)
	}
	return &issuerClient{doc, &oauth2.Config{ClientID: doc.ClientID, Endpoint: endpoint, Scopes: doc.Scopes}, l.http}, nil
}

func (c *issuerClient) context(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, c.http)
}

// params name the service that the token is for.
func (c *issuerClient) params() (p []oauth2.AuthCodeOption) {
	if c.doc.Resource != "" {
		p = append(p, oauth2.SetAuthURLParam("resource", c.doc.Resource))
	}
	if c.doc.Audience != "" {
		p = append(p, oauth2.SetAuthURLParam("audience", c.doc.Audience))
	}
	return p
}

// refresh spends the refresh token. It is an exchange of another type, because a
// TokenSource has no parameters.
func (c *issuerClient) refresh(ctx context.Context, token string) (*oauth2.Token, error) {
	t, err := c.config.Exchange(c.context(ctx), "", append(c.params(),
		oauth2.SetAuthURLParam("grant_type", "refresh_token"),
		oauth2.SetAuthURLParam("refresh_token", token))...)
	if err == nil && t.RefreshToken == "" {
		t.RefreshToken = token // the issuer does not exchange them
	}
	return t, err
}

// refused reports whether the issuer has no use for the refresh token, rather than
// trouble of its own.
func refused(err error) bool {
	e, ok := errors.AsType[*oauth2.RetrieveError](err)
	return ok && (e.ErrorCode == "invalid_grant" || e.ErrorCode == "invalid_scope" || e.ErrorCode == "invalid_target")
}
