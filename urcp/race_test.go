//go:build race

package urcp_test

// raced says that the race detector watches. Scenarios are then cut short and have
// one seed, and keep only the bounds that hold from the first seconds on.
const raced = true
