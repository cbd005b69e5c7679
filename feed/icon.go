package feed

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"sync"
)

// iconSize is the width and height of the built-in icon, and of the form that
// clients show in lists.
const iconSize = 32

const (
	typePNG = "image/png"
	typeICO = "image/x-icon"
)

// An iconFile is one form of the icon. Its name is its content's hash, so that
// it may be kept for ever.
type iconFile struct {
	name, contentType string
	data              []byte
}

// builtinIcon is the picture of a screen, for resources that have none of their own:
// clients are known to leave out resources without an icon.
var builtinIcon = sync.OnceValue(func() (icon struct{ ico, png iconFile }) {
	var b bytes.Buffer
	if err := png.Encode(&b, drawScreen()); err != nil {
		panic(err) // a picture in memory cannot fail to encode
	}
	icon.png = newIconFile(b.Bytes(), ".png", typePNG)
	icon.ico = newIconFile(appendICO(nil, b.Bytes(), iconSize), ".ico", typeICO)
	return icon
})

func newIconFile(data []byte, ext, contentType string) iconFile {
	sum := sha256.Sum256(data)
	return iconFile{hex.EncodeToString(sum[:16]) + ext, contentType, data}
}

// drawScreen draws a screen on its stand.
func drawScreen() image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, iconSize, iconSize))
	fill := func(x0, y0, x1, y1 int, c color.Color) {
		draw.Draw(img, image.Rect(x0, y0, x1, y1), image.NewUniform(c), image.Point{}, draw.Src)
	}
	frame, glass, shine := color.NRGBA{0x33, 0x3b, 0x47, 0xff}, color.NRGBA{0x2f, 0x7d, 0xd1, 0xff}, color.NRGBA{0x6d, 0xae, 0xee, 0xff}
	fill(2, 4, 30, 24, frame)
	fill(4, 6, 28, 22, glass)
	fill(4, 6, 28, 10, shine)
	fill(14, 24, 18, 27, frame)
	fill(9, 27, 23, 29, frame)
	return img
}

// appendICO appends an icon file with one square picture of that size, which since
// Windows Vista may be a PNG: a header of 6 bytes, one directory entry of 16, the
// picture. A size of 256 is written as 0.
func appendICO(b, pic []byte, size int) []byte {
	b = append(b, 0, 0, 1, 0, 1, 0)                          // reserved, type icon, one picture
	b = append(b, byte(size), byte(size), 0, 0, 1, 0, 32, 0) // width, height, no palette, reserved, planes, bits
	b = binary.LittleEndian.AppendUint32(b, uint32(len(pic)))
	b = binary.LittleEndian.AppendUint32(b, 6+16) // offset
	return append(b, pic...)
}
