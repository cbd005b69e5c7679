//go:build unix

package examples_test

import (
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// A person clicks on her desktop in the page, opens the file that she gets, and sees it.
func TestPageOpensADesktopInAStockClient(t *testing.T) {
	t.Parallel()
	d := startDesktop(t)
	b := startChromium(t)
	in := installStock(t)
	in.host("host", d.addr, "-pool", "shadow")
	b.do(chromedp.Navigate(in.url + "/"))
	b.signIn("alice")
	b.do(chromedp.Click(chromedp.CSS(`form[action="/open/shadow.rdp"] button`)))
	b.download("shadow.rdp")
	v := d.open(t, "from-the-page", "xfreerdp", filepath.Join(b.downloads, "shadow.rdp"), "/cert:ignore")
	d.greet(t, v)
	v.leave()
}
