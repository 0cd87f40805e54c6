package ingest

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/frame"
)

func TestNumbersAreThoseOfTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(
			rapid.StringMatching(`[+-]?[0-9]{0,20}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,3})?`),
			rapid.Custom(func(t *rapid.T) string { return strconv.FormatFloat(rapid.Float64().Draw(t, "f"), 'g', -1, 64) }),
		).Draw(t, "s")
		want, err := strconv.ParseFloat(s, 64)
		if got, ok := parseDouble([]byte(s)); ok != (err == nil) || ok && math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("%q: %v %v, the library says %v %v", s, got, ok, want, err)
		}
		whole, err := strconv.ParseInt(s, 10, 64)
		if got, ok := parseInt([]byte(s)); ok != (err == nil) || ok && got != whole {
			t.Fatalf("%q: %v %v, the library says %v %v", s, got, ok, whole, err)
		}
	})
}

func TestTimesAreThoseOfTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMicro(rapid.Int64Range(-60_000_000_000_000_000, 250_000_000_000_000_000).Draw(t, "us")).In(time.FixedZone("", 60*rapid.IntRange(-900, 900).Draw(t, "zone")))
		if at.Year() < 1000 {
			t.Skip("years of fewer than four digits")
		}
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999 -0700", "1/2/2006 15:04:05.999999-07:00", "2006/01/02 3:04:05.999999 PM"} {
			in := at
			if !strings.Contains(layout, "07") {
				in = at.UTC()
			}
			got, _, ok := parseTime([]byte(in.Format(layout)), yearFirst|monthFirst)
			want := in.UnixMicro()
			if !ok || got != want {
				t.Fatalf("%s: %d %v, want %d", in.Format(layout), got, ok, want)
			}
		}
	})
}

func TestWhatIsNoTime(t *testing.T) {
	for _, s := range []string{
		"", "2011", "2011-01", "2011-13-01", "2011-02-29", "31.2.2011", "1/2/11", "2011-01-01T", "2011-01-01T25:00", "2011-01-01T10:60",
		"2011-01-01T10", "2011-01-01 10:00 XX", "2011-01-01T10:00:00+25", "2011-01/01", "20110101", "2011-1-1x", "99999-01-01", "13:00",
	} {
		if v, _, ok := parseTime([]byte(s), anyOrder); ok {
			t.Errorf("%q is read as %v", s, time.UnixMicro(v).UTC())
		}
	}
}

func TestGuesses(t *testing.T) {
	for in, want := range map[string]frame.Type{
		"1 2 3": frame.Int, "1 2.5 NA": frame.Double, "true FALSE": frame.Bool, "01 02": frame.String, "123456789012345678901": frame.String,
		"a 1": frame.String, "1/2/2011 12/31/2011": frame.Date, "1/2/2011 31.12.2011": frame.Date, "1/31/2011 31/1/2011": frame.String,
		"2011-01-01 2011-01-01T10:00": frame.Timestamp, "? - NA": frame.String, "yes no": frame.String, "0 1": frame.Int, "1e5 2": frame.Double,
		"0x10": frame.String, "1_000": frame.String, "inf 1": frame.Double,
	} {
		var g guess
		for cell := range strings.FieldsSeq(in) {
			g.observe([]byte(cell))
		}
		if got, _ := g.decide(); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
	var g guess
	for range 200 {
		g.observe([]byte("1.5"))
	}
	g.observe([]byte("dirt"))
	if got, _ := g.decide(); got != frame.Double {
		t.Errorf("a stray among 200 makes the column %s", got)
	}
}
