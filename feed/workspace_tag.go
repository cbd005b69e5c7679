package feed

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"

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
	b := make([]byte, 0, 512*(1+len(w.resources)))
	for _, s := range []string{w.root, w.name, w.tenant, string(v.schema), v.folder, signer} {
		b = appendField(b, s)
	}
	var names []string
	for i := range w.resources {
		b, names = appendResource(b, &w.resources[i], names)
	}
	return sha256.Sum256(b)
}

// appendResource appends every field of r that shows in a document or in a file, each
// with its length. It uses the memory of names.
func appendResource(b []byte, r *reachback.Resource, names []string) ([]byte, []string) {
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
