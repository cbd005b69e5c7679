package linksim

// An Element stands behind the server of a link and spoils what passes: [Loss],
// [BurstLoss], [Jitter], [Reorder], [Duplicate], [Aggregate] or [HARQ].
type Element interface {
	check() error
	// node makes the element at work, the i-th of its link, which hands on to out.
	node(s *sim, l *link, i int, out node) node
}
