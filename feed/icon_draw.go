package feed

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"

	"golang.org/x/image/draw"
)

// MaxIcon is the greatest width and height of a picture that icons are made of. A
// larger one would take more memory than anybody has use for.
const MaxIcon = 2048

const (
	minIcon       = 16
	maxIconFile   = 1 << 20 // bytes
	iconWorkspace = 512     // pixels a side that are drawn from, at most
)

// iconSizes are the widths and heights of the PNG form, those that the document has
// elements for.
var iconSizes = []int{16, 32, 48, 64, 100, 256}

// icoSizes are those of the pictures in the icon file, which Windows chooses from.
var icoSizes = []int{16, 32, 48, 64, 256}

// decodeIcon reads a picture. What it says of its size is looked at first, so that a
// file of a few bytes cannot ask for gigabytes.
func decodeIcon(data []byte) (image.Image, error) {
	if len(data) > maxIconFile {
		return nil, fmt.Errorf("feed: icon: more than %d bytes", maxIconFile)
	}
	config, decode := png.DecodeConfig, png.Decode
	if bytes.HasPrefix(data, []byte{0xff, 0xd8}) {
		config, decode = jpeg.DecodeConfig, jpeg.Decode
	}
	c, err := config(bytes.NewReader(data))
	if err != nil {
		return nil, errNoPicture
	}
	if min(c.Width, c.Height) < minIcon || max(c.Width, c.Height) > MaxIcon {
		return nil, fmt.Errorf("feed: icon: %d×%d pixels, and each side may have %d to %d", c.Width, c.Height, minIcon, MaxIcon)
	}
	img, err := decode(bytes.NewReader(data))
	if err != nil {
		return nil, errNoPicture
	}
	return img, nil
}

// drawIcons makes all forms of a picture.
func drawIcons(img image.Image) (*iconSet, error) {
	if b := img.Bounds(); max(b.Dx(), b.Dy()) > iconWorkspace {
		img = fit(img, iconWorkspace)
	}
	set := &iconSet{png: make(map[int][]byte, len(iconSizes))}
	for _, size := range iconSizes {
		var b bytes.Buffer
		if err := png.Encode(&b, fit(img, size)); err != nil {
			return nil, err
		}
		set.png[size] = b.Bytes()
	}
	set.ico = encodeICO(set.png, icoSizes)
	return set, nil
}

// fit draws a picture into a square of that size, in its middle where it is no square.
func fit(img image.Image, size int) image.Image {
	b := img.Bounds()
	longest := max(b.Dx(), b.Dy())
	dx, dy := max(1, b.Dx()*size/longest), max(1, b.Dy()*size/longest)
	x, y := (size-dx)/2, (size-dy)/2
	dst := image.NewRGBA(image.Rect(0, 0, size, size))
	draw.CatmullRom.Scale(dst, image.Rect(x, y, x+dx, y+dy), img, b, draw.Src, nil)
	return dst
}

// encodeICO makes an icon file of the pictures of these sizes, each of which may be a PNG
// since Windows Vista: a header of 6 bytes, a directory entry of 16 for each picture, the
// pictures. A size of 256 is written as 0.
func encodeICO(pictures map[int][]byte, sizes []int) []byte {
	b := []byte{0, 0, 1, 0} // reserved, type icon
	b = binary.LittleEndian.AppendUint16(b, uint16(len(sizes)))
	offset := len(b) + 16*len(sizes)
	for _, size := range sizes {
		b = append(b, byte(size), byte(size), 0, 0, 1, 0, 32, 0) // width, height, no palette, reserved, planes, bits
		b = binary.LittleEndian.AppendUint32(b, uint32(len(pictures[size])))
		b = binary.LittleEndian.AppendUint32(b, uint32(offset))
		offset += len(pictures[size])
	}
	for _, size := range sizes {
		b = append(b, pictures[size]...)
	}
	return b
}
