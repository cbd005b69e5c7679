package feed

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"net/url"
	"slices"
	"sync"

	"github.com/reachback/reachback"
)

// maxTags bounds how many workspaces' validators a handler remembers, in bytes of each
// generation; an entry takes some 200.
const (
	maxTags = 8 << 20
	tagSize = 200
)

// A contentKey stands for everything that an answer is made of.
type contentKey [sha256.Size]byte

// key stands for the document as v has it, and for the files. It is had without making
// either, which is what most requests of a day need: nothing has changed.
func (w *workspace) key(v view, signer string) contentKey {
	h := sha256.New()
	var b []byte
	for _, s := range []string{w.root, w.name, w.tenant, string(v.schema), v.folder, signer} {
		b = appendField(b, s)
	}
	var names []string
	for _, r := range w.resources {
		h.Write(b)
		b, names = appendContent(b[:0], r, names)
	}
	h.Write(b)
	return contentKey(h.Sum(nil))
}

// appendContent appends every field of r that shows in a document or in a file, each with
// its length. It uses the memory of names.
func appendContent(b []byte, r *reachback.Resource, names []string) ([]byte, []string) {
	for _, s := range []string{r.ID, r.Title, string(r.Kind), r.Program, r.Icon, r.Folder} {
		b = appendField(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Extensions)))
	for _, e := range r.Extensions {
		b = appendField(b, e)
	}
	names = slices.AppendSeq(names[:0], maps.Keys(r.RDP))
	slices.Sort(names)
	b = binary.AppendUvarint(b, uint64(len(names)))
	for _, name := range names {
		b = appendField(appendField(b, name), r.RDP[name])
	}
	return binary.AppendVarint(b, r.UpdatedAt.Unix()), names
}

func appendField(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// tagOf is the strong validator of a workspace's document. It covers the files too, so
// that a client whose document has not changed need not ask for them: by what they are
// made of, and by what this version of the program makes of it.
func tagOf(document []byte, key contentKey) string {
	h := sha256.New()
	h.Write(document)
	h.Write(key[:])
	h.Write(sampleFiles())
	return etag(h.Sum(nil))
}

// sampleFiles is a file of each kind.
var sampleFiles = sync.OnceValue(func() []byte {
	var b []byte
	base := &url.URL{Scheme: "https", Host: "feed.example"}
	for _, k := range []reachback.Kind{reachback.KindDesktop, reachback.KindRemoteApp} {
		f, err := fileOf(base, &reachback.Resource{ID: "sample", Title: "Sample", Kind: k, Program: "||sample"})
		if err != nil {
			panic(err) // a resource as it should be has a file
		}
		b = append(b, f.Encode()...)
	}
	return b
})
