package evaluate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// maxLine bounds a line of a file, in bytes.
const maxLine = 1 << 20

// ReadQrels reads grades: lines of query, document and grade, divided by tabs,
// as BEIR has them, with or without a header; or trec_eval's four columns,
// divided by blanks, of which the second does not count. The last of two
// grades of one document holds.
func ReadQrels(r io.Reader) (Qrels, error) {
	qrels := make(Qrels)
	err := eachLine(r, func(n int, line string) error {
		query, document, grade, ok := judgement(line)
		number, err := strconv.Atoi(grade)
		switch {
		case (!ok || err != nil) && n == 1:
			return nil // a header
		case !ok || err != nil:
			return fault.New(fault.Invalid, "%.100q is not a query, a document and a grade", line)
		}
		if qrels[query] == nil {
			qrels[query] = make(map[string]int)
		}
		qrels[query][document] = number
		return nil
	})
	if err == nil && len(qrels) == 0 {
		err = fault.New(fault.Invalid, "there are no grades").Hint("a line is a query, a document and a grade, divided by tabs")
	}
	return qrels, err
}

func judgement(line string) (query, document, grade string, ok bool) {
	cells := strings.Split(line, "\t")
	if len(cells) == 1 {
		cells = strings.Fields(line)
	}
	if len(cells) == 4 {
		cells = slices.Delete(cells, 1, 2)
	}
	if len(cells) != 3 || cells[0] == "" || cells[1] == "" {
		return "", "", "", false
	}
	return cells[0], cells[1], strings.TrimSpace(cells[2]), true
}

// ReadRun reads trec_eval's run file: lines of query, a word that does not
// count, document, rank, score and the name of the run. The rank does not
// count.
func ReadRun(r io.Reader) (Run, error) {
	run := make(Run)
	err := eachLine(r, func(_ int, line string) error {
		cells := strings.Fields(line)
		if len(cells) != 6 {
			return fault.New(fault.Invalid, "%.100q does not have the six columns of a run", line)
		}
		score, err := strconv.ParseFloat(cells[4], 64)
		if err != nil || math.IsNaN(score) {
			return fault.New(fault.Invalid, "%.100q is no score", cells[4])
		}
		run[cells[0]] = append(run[cells[0]], Scored{cells[2], score})
		return nil
	})
	return run, err
}

// WriteRun writes a run as ReadRun reads it, queries by id, documents in the
// order in which they count. Blanks within an id, which the file has no form
// for, are Invalid.
func WriteRun(w io.Writer, run Run, name string) error {
	out := bufio.NewWriter(w)
	for _, query := range slices.Sorted(maps.Keys(run)) {
		for i, d := range Ranked(run[query]) {
			if strings.ContainsAny(query+d.Document+name, " \t\r\n") {
				return fault.New(fault.Invalid, "the id %.100q or %.100q has a blank, which a run file cannot hold", query, d.Document)
			}
			fmt.Fprintf(out, "%s Q0 %s %d %s %s\n", query, d.Document, i+1, strconv.FormatFloat(d.Score, 'g', -1, 64), name)
		}
	}
	return out.Flush()
}

// eachLine reads lines that are not empty, with their numbers from 1.
func eachLine(r io.Reader, f func(n int, line string) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimRight(lines.Text(), "\r")
		if n == 1 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		if strings.TrimSpace(line) == "" {
			continue
		}
		if err := f(n, line); err != nil {
			return fault.Wrap(err, fault.Invalid, "line %d", n)
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fault.New(fault.TooLarge, "a line has more than %d bytes", maxLine)
	}
	return lines.Err()
}
