package expr

import (
	"fmt"

	"github.com/leat-ai/leat/base/frame"
)

func formatDate(days int64) string {
	y, m, d := civil(days)
	if y <= 0 {
		return fmt.Sprintf("%04d-%02d-%02d (BC)", 1-y, m, d)
	}
	return fmt.Sprintf("%04d-%02d-%02d", y, m, d)
}

func formatTimestamp(us int64) string {
	days, rest := floorDiv(us, day), floorMod(us, day)
	s := fmt.Sprintf("%s %02d:%02d:%02d", formatDate(days), rest/hour, rest/minute%60, rest/second%60)
	if f := rest % second; f != 0 {
		s += fmt.Sprintf(".%06d", f)
	}
	return s
}

func convert(v Value, to frame.Type) (Value, bool) { return v, false }
