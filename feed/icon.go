package feed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
)

const (
	typePNG = "image/png"
	typeICO = "image/x-icon"

	// maxIconSets bounds the pictures that a handler keeps ready, in bytes of each
	// generation.
	maxIconSets = 16 << 20
)

// An iconSet is a picture in all its forms.
type iconSet struct {
	ico []byte
	png map[int][]byte // by width and height
}

func (s *iconSet) size() int {
	n := len(s.ico)
	for _, b := range s.png {
		n += len(b)
	}
	return n
}

// builtinIcon is the picture of a screen, for resources that have none of their own:
// clients are known to leave out resources without an icon.
var builtinIcon = sync.OnceValue(func() (icon struct {
	hash string
	data []byte
}) {
	var b bytes.Buffer
	if err := png.Encode(&b, drawScreen()); err != nil {
		panic(err) // a picture in memory cannot fail to encode
	}
	sum := sha256.Sum256(b.Bytes())
	icon.hash, icon.data = hex.EncodeToString(sum[:]), b.Bytes()
	return icon
})

// drawScreen draws a screen on its stand, on a grid of 32 by 32.
func drawScreen() image.Image {
	const grid = 8 // pixels
	img := image.NewNRGBA(image.Rect(0, 0, 32*grid, 32*grid))
	fill := func(x0, y0, x1, y1 int, c color.Color) {
		draw.Draw(img, image.Rect(x0*grid, y0*grid, x1*grid, y1*grid), image.NewUniform(c), image.Point{}, draw.Src)
	}
	// The frame can be told from a light ground and from a dark one.
	frame, glass, shine := color.NRGBA{0x64, 0x74, 0x8b, 0xff}, color.NRGBA{0x2f, 0x7d, 0xd1, 0xff}, color.NRGBA{0x6d, 0xae, 0xee, 0xff}
	fill(2, 4, 30, 24, frame)
	fill(4, 6, 28, 22, glass)
	fill(4, 6, 28, 10, shine)
	fill(14, 24, 18, 27, frame)
	fill(9, 27, 23, 29, frame)
	return img
}

// iconOf is the name of a resource's picture: the SHA-256 of its bytes.
func iconOf(r *reachback.Resource) string {
	if isIcon(r.Icon) {
		return r.Icon
	}
	return builtinIcon().hash
}

// isIcon reports whether s can be the name of a picture at the source.
func isIcon(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}

// icon answers with a form of a picture. It is the same for everybody, so nobody is
// asked who he is.
func (x *exchange) icon(name string) error {
	if err := carrier.CheckMethod(x.w, x.r, http.MethodGet, http.MethodHead); err != nil {
		return err
	}
	hash, size, ok := parseIconName(name)
	if !ok {
		return reachback.Refuse(reachback.CodeNotFound)
	}
	set, err := x.iconSet(x.r.Context(), hash)
	if err != nil {
		return err
	}
	data, contentType := set.ico, typeICO
	if size > 0 {
		data, contentType = set.png[size], typePNG
	}
	x.w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	x.send(contentType, data)
	return nil
}

// parseIconName reads HASH.ico, or HASH-SIZE.png with one of the sizes that there are.
func parseIconName(name string) (hash string, size int, ok bool) {
	if hash, ok = strings.CutSuffix(name, ".ico"); ok {
		return hash, 0, isIcon(hash)
	}
	hash, rest, _ := strings.Cut(name, "-")
	for _, size := range iconSizes {
		if rest == strconv.Itoa(size)+".png" {
			return hash, size, isIcon(hash)
		}
	}
	return "", 0, false
}

// iconSet returns the picture of that name. One that nobody can show is there as the
// built-in one: clients leave out resources without an icon. Pictures are made one at a
// time, so that however many are asked for they take the memory and the processor of one.
func (h *Handler) iconSet(ctx context.Context, hash string) (*iconSet, error) {
	if set, ok := h.icons.get(hash); ok {
		return set, nil
	}
	data := builtinIcon().data
	if hash != builtinIcon().hash {
		var err error
		if data, err = h.Source.Icon(ctx, hash); err != nil {
			return nil, err
		}
	}
	select {
	case h.drawing <- struct{}{}:
		defer func() { <-h.drawing }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if set, ok := h.icons.get(hash); ok {
		return set, nil
	}
	img, err := decodeIcon(data)
	if err != nil {
		if h.Logger != nil {
			h.Logger.LogAttrs(ctx, slog.LevelWarn, "picture replaced by the built-in one", slog.String("icon", hash), slog.Any("err", err))
		}
		if img, err = decodeIcon(builtinIcon().data); err != nil {
			return nil, err
		}
	}
	set, err := drawIcons(img)
	if err != nil {
		return nil, fmt.Errorf("feed: icon: %w", err)
	}
	h.icons.put(hash, set, set.size())
	return set, nil
}

// CheckIcon refuses what a feed cannot show as the picture of a resource: anything but a
// PNG or JPEG file of at most 1 MiB and of 16 to [MaxIcon] pixels a side. The best is a
// square of 256.
func CheckIcon(data []byte) error {
	_, err := decodeIcon(data)
	return err
}

var errNoPicture = errors.New("feed: icon: neither a PNG nor a JPEG file, or a damaged one")
