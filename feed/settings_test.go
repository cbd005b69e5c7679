package feed_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/feed"
)

// fileOf reads the file of alice's only resource through the handler.
func fileOf(t *testing.T, r reachback.Resource) (*feed.RDPFile, int) {
	t.Helper()
	s := newSource()
	s.resources["alice"] = []reachback.Resource{r}
	w := get(newHandler(s), "alice-token", "/feed/rdp/"+r.ID+".rdp")
	if w.Code != http.StatusOK {
		return nil, w.Code
	}
	f, err := feed.ParseRDP(w.Body.Bytes())
	require.NoError(t, err)
	return f, w.Code
}

// The defaults of clients redirect nearly everything, so all that is not asked
// for is written down as off, in the type that clients know.
func TestFileClosesEveryRedirection(t *testing.T) {
	f, _ := fileOf(t, reachback.Resource{ID: "desktop", Title: "Desktop", Kind: reachback.KindDesktop})
	for _, want := range []string{
		"redirectclipboard:i:0", "redirectdrives:i:0", "drivestoredirect:s:", "devicestoredirect:s:", "usbdevicestoredirect:s:",
		"camerastoredirect:s:", "redirectprinters:i:0", "redirectcomports:i:0", "redirectsmartcards:i:0", "redirectposdevices:i:0",
		"redirectlocation:i:0", "redirectwebauthn:i:0", "audiocapturemode:i:0",
	} {
		require.Contains(t, lines(f), want)
	}
}

// The file leads to the resource through the feed's host, and holds nothing that
// a thief of it could use.
func TestFileLeadsToItsResource(t *testing.T) {
	for _, tt := range []struct {
		name     string
		resource reachback.Resource
		want     []string
	}{
		{"desktop", reachback.Resource{ID: "d-1", Title: "Büro", Kind: reachback.KindDesktop}, []string{
			"full address:s:d-1", "alternate full address:s:d-1", "gatewayhostname:s:feed.example.test", "gatewayusagemethod:i:1",
			"gatewayprofileusagemethod:i:1", "authentication level:i:2", "enablecredsspsupport:i:1", "remoteapplicationmode:i:0",
			"alternate shell:s:", "shell working directory:s:", "use redirection server name:i:0", "kdcproxyname:s:",
		}},
		{"remote application", reachback.Resource{ID: "fin", Title: "Büro", Kind: reachback.KindRemoteApp, Program: "||fin"}, []string{
			"full address:s:fin", "remoteapplicationmode:i:1", "remoteapplicationprogram:s:||fin", "remoteapplicationname:s:Büro",
			"alternate shell:s:||fin",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, _ := fileOf(t, tt.resource)
			require.Equal(t, "full address", f.Settings()[0].Name)
			for _, want := range tt.want {
				require.Contains(t, lines(f), want)
			}
			for _, s := range f.Settings() {
				require.NotEqual(t, byte('b'), s.Type, s.Name)
				require.NotContains(t, []string{"gatewayaccesstoken", "password 51", "resourceprovider"}, s.Name)
				require.Equal(t, strings.ToLower(s.Name), s.Name)
			}
		})
	}
}

func TestFileMergesThePoolsProperties(t *testing.T) {
	f, _ := fileOf(t, reachback.Resource{ID: "d", Kind: reachback.KindDesktop, RDP: map[string]string{
		"RedirectClipboard": "i:1", "zoom": "s:a:b", "audiomode": "i:2", "authentication level": "i:1",
	}})
	got := lines(f)
	require.Contains(t, got, "redirectclipboard:i:1")
	require.Contains(t, got, "audiomode:i:2")
	require.Contains(t, got, "authentication level:i:1")
	require.Equal(t, "zoom:s:a:b", got[len(got)-1])
}

// A property that cannot be merged closes the file: a file without it might be
// more open than the pool's owner meant.
func TestFileRefusesProperties(t *testing.T) {
	for _, tt := range []struct {
		name       string
		properties map[string]string
	}{
		{"line end in the value", map[string]string{"zoom": "s:x\r\nredirectdrives:i:1"}},
		{"line end in the name", map[string]string{"zoom:s:x\r\nredirectdrives": "i:1"}},
		{"no type", map[string]string{"audiomode": "1"}},
		{"empty", map[string]string{"audiomode": ""}},
		{"another type than clients know", map[string]string{"redirectclipboard": "s:0"}},
		{"two spellings", map[string]string{"zoom": "i:1", "Zoom": "i:2"}},
		{"another address", map[string]string{"Full Address": "s:elsewhere.example"}},
		{"another alternate address", map[string]string{"alternate full address": "s:elsewhere.example"}},
		{"another gateway", map[string]string{"gatewayhostname": "s:elsewhere.example"}},
		{"a token", map[string]string{"gatewayaccesstoken": "s:secret"}},
		{"a password", map[string]string{"password 51": "b:00"}},
		{"another program", map[string]string{"remoteapplicationprogram": "s:||cmd"}},
		{"a signature", map[string]string{"signature": "s:AQAB"}},
		{"Azure's protocol", map[string]string{"resourceprovider": "s:arm"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Error(t, feed.CheckProperties(tt.properties))
			_, status := fileOf(t, reachback.Resource{ID: "d", Kind: reachback.KindDesktop, RDP: tt.properties})
			require.Equal(t, http.StatusInternalServerError, status)
		})
	}
	require.NoError(t, feed.CheckProperties(map[string]string{"audiomode": "i:2", "drivestoredirect": "s:*"}))
	require.NoError(t, feed.CheckProperties(nil))
}
