package feed

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

const (
	typeWorkspace = "application/x-msts-radc+xml"
	typeDiscovery = "application/x-msts-radc-discovery+xml"
	typeRDP       = "application/x-rdp"
	paramVersion  = "radc_schema_version"

	maxRanges = 32 // of the Accept fields; what comes after is not read
)

// A schema is a version of the workspace document. Version 1.1 has nothing that
// Windows 7 does not know; 2.1 is 2.0 and ShowByDefault.
type schema string

const (
	schema11 schema = "1.1"
	schema20 schema = "2.0"
	schema21 schema = "2.1"
)

func (s schema) contentType() string {
	if s == schema11 {
		return "text/xml; charset=utf-8"
	}
	return typeWorkspace + "; charset=utf-8"
}

// A mediaRange is an element of an Accept field, in small letters, with its weight
// in thousandths.
type mediaRange struct {
	typ, version string
	weight       int
}

// parseAccept reads the Accept fields (RFC 9110, section 12.5.1). It passes over what
// is malformed, as the sender would be no wiser for a refusal.
func parseAccept(fields []string) []mediaRange {
	var ranges []mediaRange
	for _, field := range fields {
		for part := range strings.SplitSeq(field, ",") {
			typ, params, err := mime.ParseMediaType(part)
			weight, ok := parseWeight(params["q"])
			if err != nil || !ok {
				continue
			}
			if ranges = append(ranges, mediaRange{typ, params[paramVersion], weight}); len(ranges) == maxRanges {
				return ranges
			}
		}
	}
	return ranges
}

// parseWeight reads a weight: 0 to 1 with three decimals at most. None is 1.
func parseWeight(q string) (thousandths int, ok bool) {
	if q == "" {
		return 1000, true
	}
	if len(q) > 5 || strings.Trim(q, "0123456789.") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(q, 64)
	return int(f*1000 + 0.5), err == nil && f <= 1
}

// weightOf returns the weight of a version of the document: that of the range that
// names it most closely. Who asks for 2.0 takes 2.1 too. Who asks for the media type
// without a version that we know means 1.1, as clients did that had no other, and
// so does text/xml.
func (s schema) weightOf(ranges []mediaRange) int {
	weight, closest := 0, 0
	for _, r := range ranges {
		named := r.typ == typeWorkspace && (r.version == string(schema20) || r.version == string(schema21))
		closeness := 0
		switch {
		case named && r.version == string(s):
			closeness = 4
		case named && r.version == string(schema20) && s == schema21:
			closeness = 3
		case s != schema11:
		case r.typ == typeWorkspace && !named || r.typ == "text/xml":
			closeness = 3
		case r.typ == "application/xml":
			closeness = 2
		case r.typ == "text/*" || r.typ == "*/*":
			closeness = 1
		}
		if closeness > closest {
			weight, closest = r.weight, closeness
		} else if closeness == closest && closeness > 0 {
			weight = max(weight, r.weight)
		}
	}
	return weight
}

// schemaFor chooses the version of the document, by the parameter of the URL or else by
// the Accept fields ([MS-TSWP], sections 2.2.5 and 3.1.5.2.2). Among equals the newest
// wins. Who accepts none gets 1.1, which is what the specification wants and many send.
func schemaFor(r *http.Request, ranges []mediaRange) schema {
	if r.URL.RawQuery != "" {
		switch v := r.URL.Query()[paramVersion]; {
		case len(v) != 1:
		case v[0] == string(schema20), v[0] == string(schema21):
			return schema21
		case v[0] == string(schema11):
			return schema11
		}
	}
	best, most := schema11, 0
	for _, s := range []schema{schema21, schema20, schema11} {
		if w := s.weightOf(ranges); w > most {
			best, most = s, w
		}
	}
	return best
}

// wantsDiscovery reports whether the client asks where its feeds are rather than for
// one. There are clients that ask for both and take the feed.
func wantsDiscovery(ranges []mediaRange) bool {
	discovery := false
	for _, r := range ranges {
		if r.weight > 0 && r.typ == typeWorkspace {
			return false
		}
		discovery = discovery || r.weight > 0 && r.typ == typeDiscovery
	}
	return discovery
}

// wantsFile reports whether connect is asked for a file: whether there is nothing that
// the client would rather have.
func wantsFile(ranges []mediaRange) bool {
	file, other := 0, 0
	for _, r := range ranges {
		if r.typ == typeRDP {
			file = max(file, r.weight)
		} else {
			other = max(other, r.weight)
		}
	}
	return file > 0 && file >= other
}
