//go:build unix

package examples_test

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/feed"
	"github.com/reachback/reachback/internal/peertest"
)

// A chromium is a browser of others, with one window.
type chromium struct {
	t         *testing.T
	ctx       context.Context
	downloads string
}

// startChromium starts the browser. It ends with the test. The servers of these tests
// have certificates of their own, which it takes.
func startChromium(t *testing.T) *chromium {
	t.Helper()
	dir := t.TempDir()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(peertest.Path(t, "chromium", "chromium")),
		chromedp.UserDataDir(filepath.Join(dir, "profile")), chromedp.WSURLReadTimeout(patience), chromedp.Flag("ignore-certificate-errors", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	t.Cleanup(func() { chromedp.Cancel(ctx) })
	b := &chromium{t, ctx, filepath.Join(dir, "downloads")}
	require.NoError(t, os.Mkdir(b.downloads, 0o700))
	yes := true
	b.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
			Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: b.downloads, EventsEnabled: &yes,
		})
		return err
	}))
	return b
}

func (b *chromium) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, steps...))
}

// text is what stands in the element for a person to read.
func (b *chromium) text(selector string) string {
	b.t.Helper()
	s, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS(selector)))
	require.NoError(b.t, err)
	return s
}

func (b *chromium) count(selector string) int {
	b.t.Helper()
	n, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](`[...document.querySelectorAll("`+selector+`")].filter((e) => e.checkVisibility()).length`))
	require.NoError(b.t, err)
	return n
}

// scripts switches them on or off.
func (b *chromium) scripts(on bool) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
	require.NoError(b.t, err)
}

// signIn goes from the page to the demonstration issuer and back.
func (b *chromium) signIn(user string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS("a.button")), chromedp.Click(chromedp.CSS(`button[value="`+user+`"]`)), chromedp.WaitVisible(chromedp.CSS(".account")))
}

// picture keeps a picture of the page in the folder that REACHBACK_PICTURES names.
func (b *chromium) picture(name string, width, height int64, scheme string) {
	b.t.Helper()
	dir := os.Getenv("REACHBACK_PICTURES")
	if dir == "" {
		return
	}
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	require.NoError(b.t, err)
	b.do(chromedp.EmulateViewport(width, height))
	shot, err := chromedp.Call(b.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{})
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(filepath.Join(dir, name), shot.Data, 0o644))
}

// drawnIcon draws an icon: a sheet with lines of writing, in a colour.
func drawnIcon(t *testing.T, path string, back color.NRGBA) {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, 256, 256))
	for y := range 256 {
		for x := range 256 {
			inside := func(x0, y0, x1, y1, r int) bool {
				dx, dy := max(x0+r-x, x-(x1-r), 0), max(y0+r-y, y-(y1-r), 0)
				return x >= x0 && x <= x1 && y >= y0 && y <= y1 && dx*dx+dy*dy <= r*r
			}
			switch {
			case inside(80, 92, 176, 104, 6), inside(80, 124, 176, 136, 6), inside(80, 156, 140, 168, 6):
				img.SetNRGBA(x, y, back)
			case inside(56, 40, 200, 216, 14):
				img.SetNRGBA(x, y, color.NRGBA{0xff, 0xff, 0xff, 0xff})
			case inside(8, 8, 248, 248, 48):
				img.SetNRGBA(x, y, back)
			}
		}
	}
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, img))
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
}

const pageSeed = `{
 "workspace": "Example Inc",
 "users": [{"name": "alice"}, {"name": "bob"}],
 "pools": [{"name": "desktops"}],
 "resources": [
  {"id": "desktop", "title": "Office desktop", "pool": "desktops", "assign": ["user:alice"]},
  {"id": "lab", "title": "Laboratory 3", "pool": "desktops", "assign": ["user:alice"]},
  {"id": "hebrew", "title": "שולחן עבודה", "pool": "desktops", "assign": ["user:alice"]},
  {"id": "ledger", "title": "Ledger", "kind": "remoteapp", "program": "||ledger", "pool": "desktops", "folder": "/Finance", "icon": "green.png", "assign": ["user:alice"]},
  {"id": "invoices", "title": "Invoices & payments", "kind": "remoteapp", "program": "||invoices", "pool": "desktops", "folder": "/Finance", "icon": "blue.png", "assign": ["user:alice"]},
  {"id": "planner", "title": "Shift planner", "kind": "remoteapp", "program": "||planner", "pool": "desktops", "folder": "/Team", "icon": "orange.png", "assign": ["user:alice"]}
 ]
}`

// A person opens the page, signs in, sees what is hers, finds it, gets its file and signs out:
// with a browser that many have, and the main path without any script.
func TestPageInABrowser(t *testing.T) {
	b := startChromium(t)
	in := &installation{t: t, dir: t.TempDir(), addr: freeAddr(t)}
	drawnIcon(t, in.path("green.png"), color.NRGBA{0x1a, 0x7f, 0x5a, 0xff})
	drawnIcon(t, in.path("blue.png"), color.NRGBA{0x2f, 0x6f, 0xc1, 0xff})
	drawnIcon(t, in.path("orange.png"), color.NRGBA{0xc2, 0x5a, 0x14, 0xff})
	roots := writePublisher(t, in.path("sign.pem"), in.path("sign.key"), "Example Publisher", time.Now().Add(300*24*time.Hour))
	in.server = start(t, "server", "-dir", in.path("srv"), "-listen", in.addr, "-public-url", "https://"+in.addr, "-dev-idp",
		"-seed", writeFile(t, in.path("seed.json"), pageSeed), "-sign-cert", in.path("sign.pem"), "-sign-key", in.path("sign.key"), "-v")
	ready := in.server.await("ready", patience)

	b.scripts(false)
	b.do(chromedp.Navigate(ready.str("page")))
	require.Equal(t, "Sign in", b.text("a.button"))
	b.signIn("alice")
	require.Contains(t, b.text(".account"), "alice")
	require.Equal(t, 6, b.count(".tile"))
	b.do(chromedp.SendKeys(chromedp.CSS("#q"), "finance"), chromedp.Click(chromedp.CSS(".search button")), chromedp.WaitVisible(chromedp.CSS("#found a")))
	require.Equal(t, 2, b.count(".tile"))
	b.do(chromedp.Click(chromedp.CSS(`a[href="/feed/rdp/ledger.rdp"]`)))
	data := b.download("ledger.rdp")
	f, err := feed.ParseRDP(data)
	require.NoError(t, err)
	address, _ := f.Get("full address")
	require.Equal(t, "ledger", address.Value)
	signature, err := f.Verify(feed.VerifyOptions{Roots: roots})
	require.NoError(t, err)
	require.Equal(t, "Example Publisher", signature.Publisher)

	b.scripts(true)
	b.do(chromedp.Navigate(ready.str("page")), chromedp.WaitVisible(chromedp.CSS(".instant")))
	b.picture("page-light.png", 1200, 860, "light")
	b.picture("page-dark.png", 1200, 860, "dark")
	b.picture("page-phone.png", 390, 844, "light")
	b.do(chromedp.SendKeys(chromedp.CSS("#q"), "inv"))
	require.Equal(t, 1, b.count(".tile"))
	require.Equal(t, "1 of 6 shown.", b.text("#found"))
	width, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`))
	require.NoError(t, err)
	require.Zero(t, width, "it fits into the width")

	// The keyboard alone gets there, and always shows where it is.
	b.do(chromedp.Navigate(ready.str("page")), chromedp.WaitVisible(chromedp.CSS(".instant")))
	for range 10 {
		b.do(chromedp.KeyEvent(kb.Tab))
		at, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.activeElement.className + " " + getComputedStyle(document.activeElement).outlineStyle`))
		require.NoError(t, err)
		require.Contains(t, at, "solid")
		if at == "tile solid" {
			break
		}
	}
	b.do(chromedp.KeyEvent(kb.Enter))
	b.download("lab.rdp")

	b.do(chromedp.Click(chromedp.CSS(".account button")), chromedp.WaitVisible(chromedp.CSS("a.button")))
	b.do(chromedp.Navigate(ready.str("page") + "feed/rdp/ledger.rdp"))
	require.Equal(t, "Please sign in", b.text("h1"))
	b.do(chromedp.Navigate(ready.str("page")))
	b.signIn("bob")
	require.Equal(t, "Nothing here yet", b.text("h2"))
}

// The same at an issuer that others have written, where the user is asked for a password
// and for his consent.
func TestPageAtAnIndependentIssuer(t *testing.T) {
	node := peertest.Path(t, "node", "nodejs")
	modules := os.Getenv("REACHBACK_NODE_MODULES")
	if _, err := os.Stat(filepath.Join(modules, "oidc-provider")); modules == "" || err != nil {
		peertest.Missing(t, "REACHBACK_NODE_MODULES does not name a folder node_modules that has oidc-provider; `npm install oidc-provider` makes one")
	}
	b := startChromium(t)
	in := &installation{t: t, dir: t.TempDir(), addr: freeAddr(t)}
	in.url = "https://" + in.addr
	cmd := exec.Command(node, filepath.Join("..", "broker", "oidc", "testdata", "issuer.mjs"), modules, in.url+"/signin/callback")
	_, err := cmd.StdinPipe() // its end would be the issuer's
	require.NoError(t, err)
	issuer := startCommand(t, cmd).await("", patience).str("reply")
	in.server = start(t, "server", "-dir", in.path("srv"), "-listen", in.addr, "-public-url", in.url, "-v",
		"-oidc-issuer", issuer, "-oidc-audience", "reachback:feed", "-oidc-client-id", "reachback", "-seed", writeFile(t, in.path("seed.json"), oneDesktop))
	page := in.server.await("ready", patience).str("page")

	b.do(chromedp.Navigate(page), chromedp.Click(chromedp.CSS("a.button")),
		chromedp.SendKeys(chromedp.CSS("input[name=login]"), "alice"), chromedp.SendKeys(chromedp.CSS("input[name=password]"), "x"), chromedp.Click(chromedp.CSS("button[type=submit]")),
		chromedp.Click(chromedp.CSS("form[action] button[autofocus]")), chromedp.WaitVisible(chromedp.CSS(".tile")))
	require.Contains(t, b.text(".account"), "Name of alice")
	b.do(chromedp.Click(chromedp.CSS(".tile")))
	require.NotEmpty(t, b.download("desktop.rdp"))

	// The issuer knows the user still.
	b.do(chromedp.Click(chromedp.CSS(".account button")), chromedp.Click(chromedp.CSS("a.button")), chromedp.WaitVisible(chromedp.CSS(".tile")))
}

// download returns the file when the browser has all of it.
func (b *chromium) download(name string) []byte {
	b.t.Helper()
	var data []byte
	require.Eventually(b.t, func() bool {
		var err error
		data, err = os.ReadFile(filepath.Join(b.downloads, name))
		return err == nil
	}, patience, 20*time.Millisecond)
	return data
}
