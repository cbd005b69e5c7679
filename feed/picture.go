package feed

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"strings"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
)

// MaxIcon is the greatest width and height of a resource's picture: what an icon
// file can hold.
const MaxIcon = 256

// CheckIcon refuses what a feed cannot show as the picture of a resource: anything
// but a square PNG of 16 to [MaxIcon] pixels a side.
func CheckIcon(data []byte) error {
	c, err := png.DecodeConfig(bytes.NewReader(data))
	switch {
	case err != nil:
		return errors.New("feed: icon: not a PNG file")
	case c.Width != c.Height || c.Width < 16 || c.Width > MaxIcon:
		return fmt.Errorf("feed: icon: %d×%d pixels, and it must be a square of 16 to %d", c.Width, c.Height, MaxIcon)
	}
	if _, err := png.Decode(bytes.NewReader(data)); err != nil {
		return errors.New("feed: icon: the PNG file is damaged")
	}
	return nil
}

// iconPaths are the paths of a resource's picture, in both forms.
func iconPaths(r *reachback.Resource) (ico, png string) {
	if isIcon(r.Icon) {
		return pathIcon + r.Icon + ".ico", pathIcon + r.Icon + ".png"
	}
	b := builtinIcon()
	return pathIcon + b.ico.name, pathIcon + b.png.name
}

// isIcon reports whether s can be the name of a picture at the source: the SHA-256
// of its bytes in hexadecimal.
func isIcon(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && s == strings.ToLower(s)
}

// findIcon returns the picture of that file name. One that nobody can show is there
// as the built-in one: clients leave out resources without an icon.
func (x *exchange) findIcon(ctx context.Context, name string) (*iconFile, error) {
	builtin := builtinIcon()
	hash, ext, _ := strings.Cut(name, ".")
	switch {
	case name == builtin.ico.name:
		return &builtin.ico, nil
	case name == builtin.png.name:
		return &builtin.png, nil
	case !isIcon(hash) || ext != "ico" && ext != "png":
		return nil, reachback.Refuse(reachback.CodeNotFound)
	}
	data, err := x.Source.Icon(ctx, hash)
	if err != nil {
		return nil, err
	}
	if CheckIcon(data) != nil {
		data = builtin.png.data
	}
	if ext == "ico" {
		c, err := png.DecodeConfig(bytes.NewReader(data))
		return &iconFile{name, typeICO, appendICO(nil, data, c.Width)}, err
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = png.Encode(&b, resize(img, iconSize))
	return &iconFile{name, typePNG, b.Bytes()}, err
}

// resize makes a square picture of that size of another one. Each pixel is the mean
// of those that it covers.
func resize(src image.Image, size int) image.Image {
	from := src.Bounds()
	dst := image.NewRGBA64(image.Rect(0, 0, size, size))
	span := func(i, length int) (int, int) {
		first := i * length / size
		return first, max(first+1, (i+1)*length/size)
	}
	for y := range size {
		y0, y1 := span(y, from.Dy())
		for x := range size {
			x0, x1 := span(x, from.Dx())
			var sum [4]uint32
			for v := y0; v < y1; v++ {
				for u := x0; u < x1; u++ {
					r, g, b, a := src.At(from.Min.X+u, from.Min.Y+v).RGBA()
					sum[0], sum[1], sum[2], sum[3] = sum[0]+r, sum[1]+g, sum[2]+b, sum[3]+a
				}
			}
			n := uint32((y1 - y0) * (x1 - x0))
			dst.SetRGBA64(x, y, color.RGBA64{uint16(sum[0] / n), uint16(sum[1] / n), uint16(sum[2] / n), uint16(sum[3] / n)})
		}
	}
	return dst
}

// icon answers with a form of a picture. It is the same for everybody, so nobody is
// asked who he is.
func (x *exchange) icon(name string) error {
	if err := carrier.CheckMethod(x.w, x.r, http.MethodGet, http.MethodHead); err != nil {
		return err
	}
	f, err := x.findIcon(x.r.Context(), name)
	if err != nil {
		return err
	}
	x.w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	x.send(f.contentType, f.data)
	return nil
}
