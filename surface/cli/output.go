package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// show prints a result: as JSON when asked for, otherwise as people says.
func (c *commands) show(result any, people func(w io.Writer)) error {
	if c.json {
		return json.NewEncoder(c.Out).Encode(result)
	}
	people(c.Out)
	return nil
}

// table prints rows in columns under a header of ours.
func table(w io.Writer, header []string, rows [][]string) {
	capitals := make([]string, len(header))
	for i, name := range header {
		capitals[i] = strings.ToUpper(name)
	}
	grid(w, capitals, rows)
}

// grid prints rows in columns under a header as it is: one with people's own
// names keeps their letters.
func grid(w io.Writer, header []string, rows [][]string) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(header, "\t"))
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	_ = t.Flush() // who no longer reads the output needs no table
}

// pairs prints names and values, one a line.
func pairs(w io.Writer, rows [][2]string) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintf(t, "%s\t%s\n", row[0], row[1])
	}
	_ = t.Flush() // who no longer reads the output needs no table
}

// short is the part of an id that people compare.
func short(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}

// count writes 200000 as 200,000.
func count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// figure writes a metric.
func figure(v float64) string {
	switch {
	case math.IsNaN(v):
		return "-"
	case v == math.Trunc(v) && math.Abs(v) < 1e9:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case math.Abs(v) >= 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 4, 64)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// cell writes one value of a JSON answer for a table.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case string:
		return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(v)
	case json.Number:
		return v.String()
	case float64:
		return strconv.FormatFloat(v, 'g', 10, 64)
	}
	return fmt.Sprint(v)
}
