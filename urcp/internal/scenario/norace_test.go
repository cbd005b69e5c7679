//go:build !race

package scenario

// raced is described in race_test.go.
const raced = false
