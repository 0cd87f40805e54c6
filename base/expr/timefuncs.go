package expr

import (
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// ofDay makes a function of a timestamp and of a date out of one of a date.
func ofDay(usage, doc string, f func(days int64) int64) function {
	return function{usage: usage, doc: doc, forms: []form{
		takes(frame.Date).gives(frame.Int, map1(ints, ints, sure(f))),
		takes(frame.Timestamp).gives(frame.Int, map1(ints, ints, sure(func(t int64) int64 { return f(floorDiv(t, day)) }))),
	}}
}

func timeFunctions() map[string]function {
	clock := func(usage, doc string, f func(us int64) int64) function {
		return function{usage: usage, doc: doc, forms: []form{
			takes(frame.Timestamp).gives(frame.Int, map1(ints, ints, sure(func(t int64) int64 { return f(floorMod(t, day)) })))}}
	}
	return map[string]function{
		"second":    clock("second(t)", "0 to 59", func(us int64) int64 { return us / second % 60 }),
		"minute":    clock("minute(t)", "0 to 59", func(us int64) int64 { return us / minute % 60 }),
		"hour":      clock("hour(t)", "0 to 23, in UTC", func(us int64) int64 { return us / hour }),
		"day":       ofDay("day(t)", "the day of the month, 1 to 31", func(days int64) int64 { _, _, d := civil(days); return d }),
		"month":     ofDay("month(t)", "1 to 12", func(days int64) int64 { _, m, _ := civil(days); return m }),
		"year":      ofDay("year(t)", "the year", func(days int64) int64 { y, _, _ := civil(days); return y }),
		"dayofweek": ofDay("dayofweek(t)", "1 for Monday to 7 for Sunday, as in ISO 8601", func(days int64) int64 { return floorMod(days+3, 7) + 1 }),
		"dayofyear": ofDay("dayofyear(t)", "1 to 366", func(days int64) int64 { y, _, _ := civil(days); return days - daysOf(y, 1, 1) + 1 }),
		"epoch": {usage: "epoch(t)", doc: "seconds since 1970, with the fraction", forms: []form{
			takes(frame.Date).gives(frame.Double, map1(ints, doubles, sure(func(days int64) float64 { return float64(days) * 86400 }))),
			takes(frame.Timestamp).gives(frame.Double, map1(ints, doubles, sure(func(us int64) float64 { return float64(us) / 1e6 })))}},
		"date_diff": {usage: "date_diff('part', from, to)",
			doc:  "how many seconds, minutes, hours, days, weeks, months, quarters or years begin after from and not after to",
			bind: (*binder).dateDiff},
		"strptime": {usage: "strptime(s, 'format')",
			doc:  "the UTC time that s says by a format such as '%d/%b/%Y:%H:%M:%S %z'; NULL where it does not",
			bind: (*binder).strptime},
	}
}

// ordinals number the parts of time, from microseconds since 1970; the number
// of boundaries between two times is the difference of their ordinals.
var ordinals = map[string]func(us int64) int64{
	"second": func(us int64) int64 { return floorDiv(us, second) },
	"minute": func(us int64) int64 { return floorDiv(us, minute) },
	"hour":   func(us int64) int64 { return floorDiv(us, hour) },
	"day":    func(us int64) int64 { return floorDiv(us, day) },
	"week":   func(us int64) int64 { return floorDiv(floorDiv(us, day)+3, 7) },
	"month":  monthOrdinal,
	"quarter": func(us int64) int64 {
		return floorDiv(monthOrdinal(us), 3)
	},
	"year": func(us int64) int64 { return floorDiv(monthOrdinal(us), 12) },
}

func monthOrdinal(us int64) int64 {
	y, m, _ := civil(floorDiv(us, day))
	return y*12 + m - 1
}

const dateParts = "second, minute, hour, day, week, month, quarter, year"

func (b *binder) dateDiff(c *call) (*bound, error) {
	if len(c.args) != 3 {
		return nil, b.fail(c.at(), "date_diff takes a part and two times").Hint("write date_diff('hour', from, to)")
	}
	lit, _ := c.args[0].(*literal)
	if lit == nil || lit.value.Type != frame.String {
		return nil, b.fail(c.args[0].at(), "the part of date_diff must be a string literal").Hint("the parts are %s", dateParts)
	}
	part := strings.ToLower(lit.value.S)
	ordinal, ok := ordinals[part]
	if !ok {
		err := b.fail(lit.at(), "there is no part of time %q", clip(lit.value.S))
		if near := fault.Nearest(part, strings.Split(dateParts, ", ")); near != "" {
			return nil, err.Hint("did you mean '%s'?", near)
		}
		return nil, err.Hint("the parts are %s", dateParts)
	}
	var times [2]*bound
	for i, arg := range c.args[1:] {
		t, err := b.bind(arg)
		if err != nil {
			return nil, err
		}
		if times[i], err = b.as(t, frame.Timestamp); err != nil {
			return nil, err
		}
	}
	between := func(from, to int64) int64 { return ordinal(to) - ordinal(from) }
	return op(frame.Int, map2(ints, ints, ints, sure2(between)), times[0], times[1]), nil
}
