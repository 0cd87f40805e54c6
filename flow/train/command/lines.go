package command

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of what is kept of a program's output.
const (
	maxLine  = 4096 // bytes; the rest of a longer line is left out
	maxLines = 20   // for the hint of a failure
)

// lineWriter cuts output into lines as it comes. A program may write as much
// as it likes: only a part of a line and the last lines are kept. os/exec
// writes to it from one goroutine.
type lineWriter struct {
	line func(string)
	part []byte
	last []string
}

// Write takes output and never fails.
func (w *lineWriter) Write(data []byte) (int, error) {
	n := len(data)
	for {
		text, rest, found := bytes.Cut(data, []byte("\n"))
		w.part = append(w.part, text[:min(len(text), maxLine-len(w.part))]...)
		if !found {
			return n, nil
		}
		w.flush()
		data = rest
	}
}

// flush ends the present line, if there is one.
func (w *lineWriter) flush() {
	line := strings.TrimRight(string(w.part), "\r")
	w.part = w.part[:0]
	if line == "" {
		return
	}
	if !utf8.ValidString(line) {
		line = strings.ToValidUTF8(line, "\uFFFD")
	}
	w.last = append(w.last, line)
	if len(w.last) > maxLines {
		w.last = w.last[1:]
	}
	w.line(line)
}

// progressOf reads "leat:progress DONE/TOTAL [LOSS]".
func progressOf(line string) (done, total int, loss float64, ok bool) {
	text, found := strings.CutPrefix(line, "leat:progress ")
	fields := strings.Fields(text)
	if !found || len(fields) == 0 || len(fields) > 2 {
		return 0, 0, 0, false
	}
	a, b, _ := strings.Cut(fields[0], "/")
	done, err := strconv.Atoi(a)
	total, err2 := strconv.Atoi(b)
	loss = math.NaN()
	if len(fields) == 2 {
		if loss, err2 = strconv.ParseFloat(fields[1], 64); err2 != nil {
			return 0, 0, 0, false
		}
	}
	return done, total, loss, err == nil && err2 == nil && 0 <= done && done <= total
}
