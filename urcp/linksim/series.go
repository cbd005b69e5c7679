package linksim

import (
	"iter"
	"sort"
	"time"
)

// A series is the records of a run in the order of their times. It is kept in pieces:
// one slice that grows would be copied again and again.
type series[T record] struct {
	pieces [][]T
	n      int
}

type record interface{ when() time.Duration }

const seriesPiece = 1 << 12

func (s *series[T]) add(r T) {
	if s.n%seriesPiece == 0 {
		s.pieces = append(s.pieces, make([]T, 0, seriesPiece))
	}
	last := &s.pieces[len(s.pieces)-1]
	*last = append(*last, r)
	s.n++
}

func (s *series[T]) at(i int) *T { return &s.pieces[i/seriesPiece][i%seriesPiece] }

// span returns the first record of a span and the first behind it.
func (s *series[T]) span(from, to time.Duration) (i, j int) {
	i = sort.Search(s.n, func(i int) bool { return (*s.at(i)).when() >= from })
	j = sort.Search(s.n, func(i int) bool { return (*s.at(i)).when() >= to })
	return i, max(i, j)
}

// within goes through the records of a span: from inclusive, to exclusive.
func (s *series[T]) within(from, to time.Duration) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for i, j := s.span(from, to); i < j; i++ {
			if !yield(s.at(i)) {
				return
			}
		}
	}
}

// values collects a duration of each record of a span.
func (s *series[T]) values(from, to time.Duration, of func(*T) time.Duration) []time.Duration {
	i, j := s.span(from, to)
	v := make([]time.Duration, 0, j-i)
	for ; i < j; i++ {
		v = append(v, of(s.at(i)))
	}
	return v
}
