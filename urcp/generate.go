package urcp

// RESULTS.md shows the controller beside the reference controllers of package linksim
// in every scenario of the test suite. It says itself how it is to be read. To make it
// anew takes some minutes, and needs the recordings of cellular links that it
// names: REACHBACK_TESTDATA is the folder whose folder traces holds them.

//go:generate go run ./internal/results
