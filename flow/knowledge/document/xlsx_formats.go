package document

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// cellFormat is what the number format of a cell says about its kind.
type cellFormat uint8

const (
	general cellFormat = iota
	date
	clock
	dateTime
	percent
)

// builtIn are the formats that files refer to by number alone.
var builtIn = map[int]cellFormat{
	9: percent, 10: percent, 14: date, 15: date, 16: date, 17: date, 18: clock, 19: clock, 20: clock, 21: clock, 22: dateTime,
	45: clock, 46: clock, 47: clock,
	27: date, 28: date, 29: date, 30: date, 31: date, 36: date, 50: date, 51: date, 52: date, 53: date, 54: date, 57: date, 58: date,
}

// readFormats reads which styles of cells show dates, times and percentages.
func (r *xlsxReader) readFormats() error {
	part := r.refs.byType["styles"]
	if !r.has(part) {
		return nil
	}
	own := map[int]cellFormat{}
	cells := false
	return r.walk(part, r.j.limits.Depth, handler{
		start: func(name string, a attributes) error {
			switch name {
			case "numFmt":
				if id, err := strconv.Atoi(a.get("numFmtId")); err == nil && len(own) < r.j.limits.Entries {
					own[id] = formatOf(a.get("formatCode"))
				}
			case "cellXfs":
				cells = true
			case "xf":
				if cells && len(r.formats) < 1<<16 {
					id, _ := strconv.Atoi(a.get("numFmtId")) //nolint:errcheck // 0 where it is no number
					format, ok := own[id]
					if !ok {
						format = builtIn[id]
					}
					r.formats = append(r.formats, format)
				}
			}
			return nil
		},
		end: func(name string) error {
			if name == "cellXfs" {
				cells = false
			}
			return nil
		},
	})
}

// formatOf reads a format code such as `dd/mm/yyyy hh:mm` or `0.0%`. Text in
// quotes and brackets, and what a backslash escapes, says nothing.
func formatOf(code string) cellFormat {
	code, _, _ = strings.Cut(code, ";")
	var day, hour, hundred bool
	for i := 0; i < len(code); i++ {
		switch c := code[i] | 0x20; {
		case code[i] == '"':
			if n := strings.IndexByte(code[i+1:], '"'); n >= 0 {
				i += n + 1
			}
		case code[i] == '[':
			if n := strings.IndexByte(code[i:], ']'); n >= 0 {
				hour = hour || strings.ContainsAny(strings.ToLower(code[i:i+n]), "hs") && n <= 3
				i += n
			}
		case code[i] == '\\' || code[i] == '_' || code[i] == '*':
			i++
		case code[i] == '%':
			hundred = true
		case c == 'y' || c == 'd':
			day = true
		case c == 'h' || c == 's':
			hour = true
		case c == 'm' && !hour:
			day = day || !strings.ContainsAny(strings.ToLower(code), "hs")
		}
	}
	switch {
	case day && hour:
		return dateTime
	case day:
		return date
	case hour:
		return clock
	case hundred:
		return percent
	}
	return general
}

// show is a stored number as its format shows it: dates in the order of ISO
// 8601, numbers with the 15 digits that a spreadsheet has.
func (f cellFormat) show(stored string, from1904 bool) string {
	v, err := strconv.ParseFloat(stored, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return stored
	}
	const digits, latest = 15, 2_958_466 // the last day is in the year 9999
	switch {
	case f == percent:
		return strconv.FormatFloat(roundTo(v*100, 10), 'f', -1, 64) + "%"
	case f == general || v < 0 || v >= latest:
		if s := strconv.FormatFloat(v, 'g', digits, 64); !strings.Contains(s, "e") {
			return s
		}
		return stored
	}
	days := math.Floor(v)
	seconds := math.Round((v - days) * 86_400)
	start := time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)
	switch {
	case from1904:
		start = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
	case days < 60:
		start = start.AddDate(0, 0, 1) // the day before March 1900 that never was
	}
	at := start.AddDate(0, 0, int(days)).Add(time.Duration(seconds) * time.Second)
	switch {
	case f == date && seconds == 0:
		return at.Format(time.DateOnly)
	case f == clock && days > 0:
		return strconv.FormatFloat(roundTo(v*24, 6), 'f', -1, 64) + " h"
	case f == clock:
		return at.Format(time.TimeOnly)
	}
	return at.Format(time.DateTime)
}

func roundTo(v float64, decimals int) float64 {
	p := math.Pow10(decimals)
	if math.Abs(v) > 1e300/p {
		return v
	}
	return math.Round(v*p) / p
}
