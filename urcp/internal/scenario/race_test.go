//go:build race

package scenario

// raced says that the race detector watches. What runs the whole catalogue is then
// left out: nothing in it runs beside anything else.
const raced = true
