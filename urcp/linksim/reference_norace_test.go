//go:build !race

package linksim

const raceDetector = false
