package spec

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
)

// The values here are written as people write them ("20%", "500/s", "16MiB",
// "10m") in YAML and in JSON alike. Each one's text reads back to exactly the
// same value, because releases are hashed over it.

// Percent is a share between 0 and 1, written "20%" or 0.2.
type Percent float64

// Rate is a number of events per second, written "500/s", "10/m" or "3/h".
type Rate float64

// Bytes is a size, written "16MiB", "10MB" or 1024.
type Bytes int64

// Duration is a length of time, written "250ms", "10m", "1h30m" or "7d".
type Duration time.Duration

// Std returns the duration as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// UnmarshalText reads "20%" or "0.2".
func (p *Percent) UnmarshalText(text []byte) error {
	number, percent := strings.CutSuffix(strings.TrimSpace(string(text)), "%")
	number = strings.TrimSpace(number)
	if percent && !strings.ContainsAny(number, "eExX_") {
		number += "e-2" // exact, where dividing by 100 would round twice
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !(v >= 0 && v <= 1) {
		return fault.New(fault.Invalid, "%s is not a share between 0%% and 100%%", quote(text)).
			Hint("write it like 20%% or 0.2")
	}
	*p = Percent(v)
	return nil
}

// MarshalText writes "20%", or the bare number where percents would round.
func (p Percent) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// String gives the text that UnmarshalText reads.
func (p Percent) String() string {
	text := strconv.FormatFloat(float64(p)*100, 'g', 12, 64)
	if v, err := strconv.ParseFloat(text+"e-2", 64); err == nil && v == float64(p) {
		return text + "%"
	}
	return strconv.FormatFloat(float64(p), 'g', -1, 64)
}

// rateUnits are in the order that String prefers them.
var rateUnits = [...]struct {
	name    string
	seconds float64
}{{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}}

// UnmarshalText reads a count, a slash and one of s, m, h, d.
func (r *Rate) UnmarshalText(text []byte) error {
	number, unit, _ := strings.Cut(strings.TrimSpace(string(text)), "/")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	for _, u := range rateUnits {
		if err == nil && v >= 0 && !math.IsInf(v, 0) && strings.TrimSpace(unit) == u.name {
			*r = Rate(v / u.seconds)
			return nil
		}
	}
	return fault.New(fault.Invalid, "%s is not a rate", quote(text)).Hint("write it like 500/s, 10/m or 3/h")
}

// MarshalText writes the rate in the first unit that makes it a whole number.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// String gives the text that UnmarshalText reads.
func (r Rate) String() string {
	for _, u := range rateUnits {
		count := math.Round(float64(r) * u.seconds)
		if count/u.seconds == float64(r) {
			return strconv.FormatFloat(count, 'f', -1, 64) + "/" + u.name
		}
	}
	return strconv.FormatFloat(float64(r), 'g', -1, 64) + "/s"
}

// byteUnits are in the order that String tries them; those after the first
// four are only read.
var byteUnits = [...]struct {
	name string
	size int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"kB", 1e3}, {"B", 1}}

// UnmarshalText reads a whole number with or without a unit.
func (b *Bytes) UnmarshalText(text []byte) error {
	number, size := strings.TrimSpace(string(text)), int64(1)
	for _, u := range byteUnits {
		if head, ok := strings.CutSuffix(number, u.name); ok {
			number, size = strings.TrimSpace(head), u.size
			break
		}
	}
	v, err := strconv.ParseInt(number, 10, 64)
	if err != nil || v < 0 || v > math.MaxInt64/size {
		return fault.New(fault.Invalid, "%s is not a size", quote(text)).Hint("write it like 16MiB, 10MB or 4096")
	}
	*b = Bytes(v * size)
	return nil
}

// MarshalText writes the size in the largest binary unit that divides it.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// String gives the text that UnmarshalText reads.
func (b Bytes) String() string {
	for _, u := range byteUnits[:4] {
		if b != 0 && int64(b)%u.size == 0 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

const day = 24 * time.Hour

// UnmarshalText reads what time.ParseDuration does, and whole days before it:
// "7d", "1d12h". It is never negative.
func (d *Duration) UnmarshalText(text []byte) error {
	bad := fault.New(fault.Invalid, "%s is not a length of time", quote(text)).
		Hint("write it like 250ms, 10m, 1h30m or 7d")
	rest, total := strings.TrimSpace(string(text)), time.Duration(0)
	if days, after, ok := strings.Cut(rest, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 64)
		if err != nil || n < 0 || n > int64(math.MaxInt64/day) {
			return bad
		}
		rest, total = after, time.Duration(n)*day
		if rest == "" {
			*d = Duration(total)
			return nil
		}
	}
	v, err := time.ParseDuration(rest)
	if err != nil || v < 0 || total > math.MaxInt64-v || strings.HasPrefix(rest, "+") {
		return bad
	}
	*d = Duration(total + v)
	return nil
}

// MarshalText writes days, hours, minutes and seconds without empty parts.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String gives the text that UnmarshalText reads.
func (d Duration) String() string {
	v := time.Duration(d)
	if v < time.Minute {
		return v.String()
	}
	var b strings.Builder
	for _, u := range [...]struct {
		name string
		size time.Duration
	}{{"d", day}, {"h", time.Hour}, {"m", time.Minute}} {
		if n := v / u.size; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10) + u.name)
			v %= u.size
		}
	}
	if v > 0 {
		b.WriteString(v.String())
	}
	return b.String()
}

// quote shows a written value in a sentence, shortened.
func quote(text []byte) string {
	const most = 60
	if len(text) > most {
		text = append(append([]byte(nil), text[:most]...), "…"...)
	}
	return strconv.Quote(string(text))
}
