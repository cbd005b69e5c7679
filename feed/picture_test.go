package feed_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/feed"
)

// picture is a PNG whose upper half is red and whose lower half lets all through.
func picture(t *testing.T, width, height int) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height / 2 {
		for x := range width {
			img.Set(x, y, color.NRGBA{0xff, 0, 0, 0xff})
		}
	}
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, img))
	return b.Bytes()
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func TestOwnIcons(t *testing.T) {
	own, broken := picture(t, 256, 256), []byte("no picture at all")
	s := newSource()
	s.icons = map[string][]byte{hashOf(own): own, hashOf(broken): broken}
	s.resources["alice"][0].Icon, s.resources["alice"][1].Icon = hashOf(own), "desktop.png"
	h := newHandler(s)
	doc := get(h, "alice-token", "/feed").Body.String()
	require.Equal(t, 2, strings.Count(doc, "/feed/icon/"+hashOf(own)), "both forms")
	require.NotContains(t, doc, "desktop.png", "a name that is no picture's")

	w := request(h, "GET", "/feed/icon/"+hashOf(own)+".ico", "")
	require.Equal(t, "image/x-icon", w.Header().Get("Content-Type"))
	require.Equal(t, []byte{0, 0, 1, 0, 1, 0, 0, 0}, w.Body.Bytes()[:8], "256 pixels are written as 0")
	require.Equal(t, own, w.Body.Bytes()[22:])

	w = request(h, "GET", "/feed/icon/"+hashOf(own)+".png", "")
	require.Equal(t, "image/png", w.Header().Get("Content-Type"))
	small, err := png.Decode(w.Body)
	require.NoError(t, err)
	require.Equal(t, image.Rect(0, 0, 32, 32), small.Bounds())
	for y, want := range map[int]color.NRGBA{15: {0xff, 0, 0, 0xff}, 16: {}} {
		require.Equal(t, want, color.NRGBAModel.Convert(small.At(20, y)), "row %d", y)
	}

	w = request(h, "GET", "/feed/icon/"+hashOf(broken)+".png", "")
	require.Equal(t, http.StatusOK, w.Code, "clients would leave the resource out")
	_, err = png.Decode(w.Body)
	require.NoError(t, err)
	for _, name := range []string{hashOf([]byte("other")) + ".png", hashOf(own) + ".exe", hashOf(own), strings.ToUpper(hashOf(own)) + ".png"} {
		require.Equal(t, reachback.CodeNotFound, refusal(t, request(h, "GET", "/feed/icon/"+name, "")).Code, name)
	}
}

func TestCheckIcon(t *testing.T) {
	for _, size := range []int{16, 48, feed.MaxIcon} {
		require.NoError(t, feed.CheckIcon(picture(t, size, size)))
	}
	good := picture(t, 32, 32)
	for name, data := range map[string][]byte{
		"nothing":      nil,
		"another kind": []byte("GIF89a"),
		"cut":          good[:len(good)-20],
		"too small":    picture(t, 15, 15),
		"too large":    picture(t, feed.MaxIcon+1, feed.MaxIcon+1),
		"not a square": picture(t, 32, 48),
		"bomb":         append(append(bytes.Clone(good[:16]), 0, 1, 0, 0, 0, 1, 0, 0), good[24:]...),
	} {
		require.Error(t, feed.CheckIcon(data), name)
	}
}

// A tenant's own title is what its users see.
func TestWorkspaceTitle(t *testing.T) {
	s := newSource()
	s.workspace = map[string]string{"west": "West coast"}
	h := newHandler(s)
	require.Contains(t, get(h, "carol-token", "/feed").Body.String(), `Name="West coast"`)
	require.Contains(t, get(h, "alice-token", "/feed").Body.String(), `Name="Example workspace"`)
}
