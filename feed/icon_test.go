package feed_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
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

// Of one picture come all forms, and a client can keep them for ever: their names are
// those of the content.
func TestIconsOfOnePicture(t *testing.T) {
	own := picture(t, 512, 512)
	s := newSource()
	s.icons = map[string][]byte{hashOf(own): own}
	s.resources["alice"][0].Icon, s.resources["alice"][1].Icon = hashOf(own), "desktop.png"
	h := newHandler(s)
	root := readNodes(t, get(h, "alice-token", "/feed", radc).Body.String())
	resources := root.all("Resource")
	require.NotContains(t, resources[0].all("IconRaw")[0].attrs["FileURL"], "desktop.png", "a name that is no picture's")

	icons := resources[1].all("Icons")[0]
	require.Len(t, icons.children, 7)
	for _, icon := range icons.children {
		path := strings.TrimPrefix(icon.attrs["FileURL"], "https://feed.example.test")
		require.True(t, strings.HasPrefix(path, "/feed/icon/"+hashOf(own)), path)
		w := request(h, "GET", path, "")
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, "public, max-age=31536000, immutable", w.Header().Get("Cache-Control"))
		if icon.attrs["FileType"] == "Ico" {
			require.Equal(t, "image/x-icon", w.Header().Get("Content-Type"))
			require.Equal(t, []int{16, 32, 48, 64, 256}, sizesOfICO(t, w.Body.Bytes()))
			continue
		}
		require.Equal(t, "image/png", w.Header().Get("Content-Type"))
		img, err := png.Decode(w.Body)
		require.NoError(t, err)
		size := img.Bounds().Dx()
		require.Equal(t, icon.attrs["Dimensions"], fmt.Sprintf("%dx%d", img.Bounds().Dx(), img.Bounds().Dy()))
		require.Equal(t, "Icon"+strconv.Itoa(size), icon.name)
		require.Equal(t, color.NRGBA{0xff, 0, 0, 0xff}, color.NRGBAModel.Convert(img.At(size/2, size/4)), "upper half")
		require.Equal(t, color.NRGBA{}, color.NRGBAModel.Convert(img.At(size/2, size*3/4)), "lower half")
	}
}

// sizesOfICO reads the directory of an icon file, whose pictures are PNG.
func sizesOfICO(t *testing.T, b []byte) []int {
	t.Helper()
	le := binary.LittleEndian
	require.Equal(t, []byte{0, 0, 1, 0}, b[:4])
	var sizes []int
	for i := range int(le.Uint16(b[4:])) {
		entry := b[6+16*i:][:16]
		offset, length := le.Uint32(entry[12:]), le.Uint32(entry[8:])
		c, err := png.DecodeConfig(bytes.NewReader(b[offset:][:length]))
		require.NoError(t, err)
		require.Equal(t, []byte{byte(c.Width), byte(c.Height)}, entry[:2], "256 is written as 0")
		sizes = append(sizes, c.Width)
	}
	return sizes
}

// A picture that is no square keeps its shape, and small ones become large.
func TestIconKeepsItsShape(t *testing.T) {
	wide := picture(t, 40, 20)
	s := newSource()
	s.icons = map[string][]byte{hashOf(wide): wide}
	w := request(newHandler(s), "GET", "/feed/icon/"+hashOf(wide)+"-256.png", "")
	img, err := png.Decode(w.Body)
	require.NoError(t, err)
	require.Equal(t, image.Rect(0, 0, 256, 256), img.Bounds())
	for y, want := range map[int]color.NRGBA{30: {}, 90: {0xff, 0, 0, 0xff}, 160: {}} {
		require.Equal(t, want, color.NRGBAModel.Convert(img.At(128, y)), "row %d", y)
	}
}

// What nobody can show is there as the built-in picture, since clients would leave the
// resource out, and the operator hears of it.
func TestBrokenPictureIsReplaced(t *testing.T) {
	for name, data := range map[string][]byte{"no picture": []byte("no picture at all"), "enormous": bomb(t)} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			s := newSource()
			s.icons = map[string][]byte{hashOf(data): data}
			h := newHandler(s)
			h.Logger = slog.New(slog.NewTextHandler(&log, nil))
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					w := request(h, "GET", "/feed/icon/"+hashOf(data)+"-32.png", "")
					if _, err := png.Decode(w.Body); err != nil {
						t.Error(w.Code, err)
					}
				})
			}
			wg.Wait()
			require.Equal(t, 1, strings.Count(log.String(), "picture replaced by the built-in one"), "drawn once, for all")
			require.Contains(t, log.String(), hashOf(data))
		})
	}
}

func TestIconsThatDoNotExist(t *testing.T) {
	own := picture(t, 16, 16)
	s := newSource()
	s.icons = map[string][]byte{hashOf(own): own}
	h := newHandler(s)
	for _, name := range []string{
		hashOf([]byte("other")) + "-32.png", hashOf(own) + "-33.png", hashOf(own) + "-032.png", hashOf(own) + ".png", hashOf(own) + ".exe",
		hashOf(own), strings.ToUpper(hashOf(own)) + ".ico", "x" + hashOf(own) + ".ico", "../" + hashOf(own) + ".ico", "",
	} {
		require.Equal(t, reachback.CodeNotFound, refusal(t, request(h, "GET", "/feed/icon/"+name, "")).Code, name)
	}
}

// bomb is a small file that says it is a picture of gigabytes.
func bomb(t *testing.T) []byte {
	good := picture(t, 32, 32)
	return append(append(bytes.Clone(good[:16]), 0, 1, 0, 0, 0, 1, 0, 0), good[24:]...)
}

func TestCheckIcon(t *testing.T) {
	var photo bytes.Buffer
	require.NoError(t, jpeg.Encode(&photo, image.NewGray(image.Rect(0, 0, 64, 48)), nil))
	good := picture(t, 32, 32)
	for name, data := range map[string][]byte{
		"small": picture(t, 16, 16), "as large as may be": picture(t, feed.MaxIcon, feed.MaxIcon), "not a square": picture(t, 32, 48), "JPEG": photo.Bytes(),
	} {
		require.NoError(t, feed.CheckIcon(data), name)
	}
	for name, data := range map[string][]byte{
		"nothing":        nil,
		"another kind":   []byte("GIF89a"),
		"cut":            good[:len(good)-20],
		"cut JPEG":       photo.Bytes()[:100],
		"too small":      picture(t, 15, 16),
		"too wide":       picture(t, feed.MaxIcon+1, 16),
		"too high":       picture(t, 16, feed.MaxIcon+1),
		"too many bytes": append(bytes.Clone(good), make([]byte, 1<<20)...),
		"bomb":           bomb(t),
	} {
		require.Error(t, feed.CheckIcon(data), name)
	}
}

// Whatever an operator or a directory hands over becomes icons or an error.
func FuzzCheckIcon(f *testing.F) {
	var small, photo bytes.Buffer
	require.NoError(f, png.Encode(&small, image.NewNRGBA(image.Rect(0, 0, 16, 16))))
	require.NoError(f, jpeg.Encode(&photo, image.NewGray(image.Rect(0, 0, 16, 16)), nil))
	f.Add(small.Bytes())
	f.Add(photo.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) { feed.CheckIcon(data) })
}

// A tenant's own title is what its users see.
func TestWorkspaceTitle(t *testing.T) {
	s := newSource()
	s.workspace = map[string]string{"west": "West coast"}
	h := newHandler(s)
	require.Contains(t, get(h, "carol-token", "/feed").Body.String(), `Name="West coast"`)
	require.Contains(t, get(h, "alice-token", "/feed").Body.String(), `Name="Example workspace"`)
}
