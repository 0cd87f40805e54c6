package expr

// Time is proleptic Gregorian, UTC, without leap seconds. The arithmetic is
// done here rather than by package time, which is several times slower and
// does not reach as far as 64 bits of microseconds.

const (
	second = int64(1e6) // microseconds
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
)

// floorDiv divides towards minus infinity; b is positive.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func floorMod(a, b int64) int64 { return a - floorDiv(a, b)*b }

// civil turns days since 1970 into a year, month and day of month. Years are
// counted from March, so that the leap day is the last of its year; 400 years
// have 146097 days.
func civil(days int64) (y, m, d int64) {
	days += 719468 // since 0000-03-01
	era := floorDiv(days, 146097)
	doe := days - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	y, m, d = yoe+era*400, mp+3, doy-(153*mp+2)/5+1
	if m > 12 {
		y, m = y+1, m-12
	}
	return y, m, d
}

// daysOf is the inverse of civil, for any y, 1 ≤ m ≤ 12 and 1 ≤ d ≤ 31.
func daysOf(y, m, d int64) int64 {
	if m <= 2 {
		y, m = y-1, m+12
	}
	era := floorDiv(y, 400)
	yoe := y - era*400
	doy := (153*(m-3)+2)/5 + d - 1
	return era*146097 + yoe*365 + yoe/4 - yoe/100 + doy - 719468
}

func daysIn(y, m int64) int64 {
	switch m {
	case 2:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}
