package feed

import (
	"crypto/sha256"
	"time"
)

// maxSigned bounds the signed files that a handler keeps, in bytes of each generation: a
// signature takes a hundred times as long as the rest of an answer.
const maxSigned = 16 << 20

// signer is who signs now, or nil.
func (h *Handler) signer() *Signer {
	if h.Signer == nil {
		return nil
	}
	return h.Signer()
}

// id stands for what s makes of a file, beside what is in the file. That of no signer is
// empty.
func (s *Signer) id() string {
	if s == nil {
		return ""
	}
	h := sha256.New()
	for _, c := range s.chain {
		h.Write(c.Raw) // its length is in it
	}
	return string(h.Sum(nil))
}

// encode returns f as it is sent to users: signed where there is a signer. An expired one
// signs nothing, and then nothing is sent.
func (h *Handler) encode(f *RDPFile) ([]byte, error) {
	s := h.signer()
	if s == nil {
		return f.Encode(), nil
	}
	now := time.Now()
	if err := s.check(now); err != nil {
		return nil, err
	}
	key := contentKey(sha256.Sum256(append([]byte(s.id()), f.Encode()...)))
	if data, ok := h.signed.get(key); ok {
		return data, nil
	}
	if err := f.Sign(s, now); err != nil {
		return nil, err
	}
	data := f.Encode()
	h.signed.put(key, data, len(data))
	return data, nil
}
