//go:build race

package linksim

const raceDetector = true
