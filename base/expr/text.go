package expr

import (
	"math"
	"strconv"
	"strings"
)

func escapeQuote(s string) string { return strings.ReplaceAll(s, "'", "''") }

// formatDouble writes the shortest digits that read back as f, so that it is
// seen to be a double: "1.0", "0.1", "1e+20".
func formatDouble(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
