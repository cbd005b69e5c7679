package feed_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/feed"
)

// classicHandler takes "good" and "expired" as values of the cookie.
func classicHandler() *feed.Handler {
	h := newHandler(newSource())
	h.Classic = &feed.ClassicSignIn{
		Login: "/login?x=y",
		Authenticate: func(_ context.Context, cookie string) (*reachback.User, error) {
			switch cookie {
			case "good":
				return &reachback.User{Issuer: "kerberos", Subject: "alice"}, nil
			case "expired":
				return nil, reachback.Refuse(reachback.CodeTokenExpired)
			case "nobody":
				return nil, nil
			}
			return nil, reachback.Refuse(reachback.CodeTokenInvalid)
		},
	}
	return h
}

// The four steps by which classic clients get to their feed.
func TestClassicClientSignsIn(t *testing.T) {
	h := classicHandler()
	w := request(h, "GET", "/RDWeb/Feed/webfeed.aspx", "", radc)
	require.Equal(t, http.StatusFound, w.Code)
	require.Equal(t, "/login?ReturnUrl=%2FRDWeb%2FFeed%2Fwebfeed.aspx&x=y", w.Header().Get("Location"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, http.StatusFound, request(h, "GET", "/feed", "", "User-Agent: TSWorkspace/2.0").Code)

	login := httptest.NewRecorder()
	require.NoError(t, feed.AnswerClassicLogin(login, "good"))
	require.Equal(t, "application/x-msts-webfeed-login; charset=utf-8", login.Header().Get("Content-Type"))
	require.Equal(t, "private, no-store", login.Header().Get("Cache-Control"))

	cookie := "Cookie: .ASPXAUTH=" + login.Body.String()
	w = request(h, "GET", "/RDWeb/Feed/webfeed.aspx", "", radc, cookie)
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "Finance")
	require.Equal(t, http.StatusOK, request(h, "GET", "/feed/rdp/fin.rdp", "", cookie).Code)
	require.Equal(t, http.StatusFound, request(h, "GET", "/feed", "", radc, "Cookie: .ASPXAUTH=expired").Code, "sign in again")
}

func TestClassicCookieHasItsLimits(t *testing.T) {
	h := classicHandler()
	const cookie = "Cookie: .ASPXAUTH=good"
	for _, tt := range []struct {
		name, method, path, body string
		fields                   []string
		want                     reachback.Code
	}{
		{"connect", "POST", "/reachback/v1/connect", `{"resource":"desktop"}`, []string{cookie}, reachback.CodeTokenMissing},
		{"beside a wrong token", "GET", "/feed", "", []string{cookie, "Authorization: Bearer x", radc}, reachback.CodeTokenInvalid},
		{"twice", "GET", "/feed", "", []string{"Cookie: .ASPXAUTH=good; .ASPXAUTH=bad"}, reachback.CodeBadRequest},
		{"two fields", "GET", "/feed", "", []string{cookie, cookie}, reachback.CodeBadRequest},
		{"unknown", "GET", "/feed", "", []string{"Cookie: .ASPXAUTH=bad"}, reachback.CodeTokenInvalid},
		{"enormous", "GET", "/feed", "", []string{"Cookie: .ASPXAUTH=" + strings.Repeat("x", 5<<10)}, reachback.CodeTokenInvalid},
		{"of nobody", "GET", "/feed", "", []string{"Cookie: .ASPXAUTH=nobody"}, reachback.CodeTokenMissing},
		{"another's file", "GET", "/feed/rdp/secret-lab.rdp", "", []string{cookie}, reachback.CodeResourceNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, refusal(t, request(h, tt.method, tt.path, tt.body, tt.fields...)).Code)
		})
	}
	require.Equal(t, reachback.CodeTokenMissing, refusal(t, request(newHandler(newSource()), "GET", "/feed", "", cookie, radc)).Code, "a feed that lets none in")
}

// The dialogs of apps look for a challenge that they know before they take a URL.
func TestClassicProbeIsChallenged(t *testing.T) {
	h := classicHandler()
	const app = "User-Agent: com.microsoft.rdc.macos/10.9 RdCore/1.2"
	w := request(h, "GET", "/feed", "", app)
	require.Equal(t, http.StatusUnauthorized, w.Code)
	require.Equal(t, []string{"Negotiate", "NTLM"}, w.Header().Values("WWW-Authenticate"))
	require.Equal(t, []string{"Bearer"}, request(newHandler(newSource()), "GET", "/feed", "", app).Header().Values("WWW-Authenticate"))
	require.Equal(t, []string{"Bearer"}, request(h, "GET", "/feed", "", "User-Agent: reachback/1").Header().Values("WWW-Authenticate"))
}

func TestClassicSignInIsChecked(t *testing.T) {
	good := classicHandler().Classic.Authenticate
	for _, c := range []*feed.ClassicSignIn{
		{Login: "/login"}, {Authenticate: good}, {Login: "http://x.test/login", Authenticate: good},
		{Login: "//x.test/login", Authenticate: good}, {Login: "javascript:alert(1)", Authenticate: good}, {Login: "login", Authenticate: good},
	} {
		h := newHandler(newSource())
		h.Classic = c
		require.Equal(t, reachback.CodeInternal, refusal(t, get(h, "alice-token", "/feed")).Code, c.Login)
	}
	for _, value := range []string{"", "a b", "a;b", "a\r\nb", "ä", strings.Repeat("x", 5<<10)} {
		require.Error(t, feed.AnswerClassicLogin(httptest.NewRecorder(), value))
	}
}
