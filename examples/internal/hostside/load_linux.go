package hostside

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// load is the average of the last minute over the processors.
func load() float64 {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	return parseLoad(string(data)) / float64(runtime.NumCPU())
}

func parseLoad(s string) float64 {
	first, _, _ := strings.Cut(s, " ")
	l, err := strconv.ParseFloat(first, 64)
	if err != nil || !(l >= 0 && l < 1e6) {
		return 0
	}
	return l
}
