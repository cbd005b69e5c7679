package devidp

import (
	"crypto/rand"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// The device code flow (RFC 8628): a program without a browser shows a short code,
// which its user types into a page that he opens himself.
const (
	deviceLife     = 10 * time.Minute
	deviceInterval = time.Second     // between two questions of the program
	slowDown       = 5 * time.Second // added when it asks too often

	// codeLetters have no vowels, so that no word comes about, and none that look
	// alike. Eight of them are 34 bits.
	codeLetters = "BCDFGHJKLMNPQRSTVWXZ"
	codeLength  = 8
)

// A device is a program that waits for its user's decision.
type device struct {
	userCode string
	scopes   []string
	interval time.Duration
	polled   time.Time
	denied   bool
	user     string // empty until he has signed in
	at       time.Time
}

func (i *Issuer) deviceAuthorization(w http.ResponseWriter, r *http.Request) {
	params, refusal := clientForm(r)
	if refusal != nil {
		answer(w, http.StatusBadRequest, refusal)
		return
	}
	now := time.Now()
	d := &device{userCode: newUserCode(), scopes: strings.Fields(params["scope"]), interval: deviceInterval}
	i.mu.Lock()
	for _, taken := i.deviceOf(d.userCode, now); taken; _, taken = i.deviceOf(d.userCode, now) {
		d.userCode = newUserCode()
	}
	secret := i.devices.add(d, now)
	i.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{
		"device_code":               secret,
		"user_code":                 d.userCode,
		"verification_uri":          i.at(pathDevice),
		"verification_uri_complete": i.at(pathDevice) + "?" + url.Values{"user_code": {d.userCode}}.Encode(),
		"expires_in":                int(deviceLife / time.Second),
		"interval":                  int(deviceInterval / time.Second),
	})
}

// deviceOf returns the device that waits with the user code. The caller has i.mu.
func (i *Issuer) deviceOf(userCode string, now time.Time) (*device, bool) {
	return i.devices.find(func(d *device) bool { return d.userCode == userCode && d.user == "" && !d.denied }, now)
}

// poll answers the program's question. The caller has i.mu.
func (i *Issuer) poll(secret string, now time.Time) (*tokens, *oauthError) {
	d, ok := i.devices.get(secret, now)
	switch {
	case !ok:
		return nil, &oauthError{"expired_token", "the device code is unknown, was used, or is too old"}
	case now.Sub(d.polled) < d.interval*4/5: // a network is not as regular as a clock
		d.interval += slowDown
		d.polled = now
		return nil, &oauthError{"slow_down", ""}
	case d.denied:
		i.devices.remove(secret)
		return nil, &oauthError{"access_denied", ""}
	case d.user == "":
		d.polled = now
		return nil, &oauthError{"authorization_pending", ""}
	}
	i.devices.remove(secret)
	t, _, refusal := i.give(&grant{user: d.user, scopes: d.scopes, at: d.at}, "", now)
	return t, refusal
}

// devicePage asks for the user code, or, where the link has it, for the decision.
func (i *Issuer) devicePage(w http.ResponseWriter, r *http.Request) {
	browser := i.browser(w, r)
	i.mu.Lock()
	p := page{Action: i.at(pathDevice), ID: i.logins.add(&login{browser: browser}, time.Now())}
	p.Users = names(i.users)
	i.mu.Unlock()
	p.UserCode, _ = readUserCode(r.URL.Query().Get("user_code"))
	show(w, nil, devicePage, p)
}

// deviceDecision takes the code, then the user's decision. The program learns of it
// when it asks next.
func (i *Issuer) deviceDecision(w http.ResponseWriter, r *http.Request) {
	params, ok := i.ownForm(w, r)
	if !ok {
		return
	}
	now := time.Now()
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	p := page{Action: i.at(pathDevice), ID: params["id"]}
	userCode, _ := readUserCode(params["user_code"])

	i.mu.Lock()
	defer i.mu.Unlock()
	p.Users = names(i.users)
	if l, ok := i.logins.get(params["id"], now); !ok || l.redirect != nil || !sameBrowser(r, l.browser) {
		showError(w, "This page is out of date. Open it again.")
		return
	}
	if i.guesses.Blocked(from.Addr(), now) {
		showError(w, "Too many codes that do not exist. Wait a little.")
		return
	}
	d, ok := i.deviceOf(userCode, now)
	if !ok {
		i.guesses.Fail(from.Addr(), now)
		p.Message = "No program waits with this code."
		show(w, nil, devicePage, p)
		return
	}
	user, known := i.user(params["user"])
	switch {
	case params["decision"] == "deny":
		d.denied = true
		p.Message = "The program was not signed in. You can close this page."
	case known:
		d.user, d.at = user.Name, now
		p.Message = "The program is signed in. You can close this page."
	default:
		p.UserCode = userCode
		if params["user"] != "" {
			p.Message = "There is no user of that name."
		}
		show(w, nil, devicePage, p)
		return
	}
	i.logins.remove(params["id"])
	show(w, nil, messageOf, p)
}

// newUserCode draws each letter from a byte below the largest multiple of their
// number, so that none is likelier than another.
func newUserCode() string {
	var b strings.Builder
	for draw := make([]byte, 1); b.Len() < codeLength+1; {
		rand.Read(draw)
		if int(draw[0]) >= 256/len(codeLetters)*len(codeLetters) {
			continue
		}
		if b.Len() == codeLength/2 {
			b.WriteByte('-')
		}
		b.WriteByte(codeLetters[int(draw[0])%len(codeLetters)])
	}
	return b.String()
}

// readUserCode brings what a person typed into the form in which codes are shown.
func readUserCode(s string) (string, bool) {
	var b strings.Builder
	for _, r := range strings.ToUpper(s) {
		if !strings.ContainsRune(codeLetters, r) {
			continue
		}
		if b.Len() == codeLength/2 {
			b.WriteByte('-')
		}
		b.WriteRune(r)
	}
	if b.Len() != codeLength+1 {
		return "", false
	}
	return b.String(), true
}
