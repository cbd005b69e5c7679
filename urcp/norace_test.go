//go:build !race

package urcp_test

// raced is described in race_test.go.
const raced = false
