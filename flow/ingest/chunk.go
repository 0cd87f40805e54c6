package ingest

import (
	"bytes"
	"io"

	"github.com/leat-ai/leat/base/fault"
)

// blockSize is how much text is parsed as one. It is fixed, so that the same
// input is cut the same way each time.
const blockSize = 1 << 20

// chunk is a run of whole rows of a text file.
type chunk struct {
	file int    // index among the input's files
	line int64  // of its first row, from 1
	data []byte // rows with their line ends
	// broken, when set, says why data is no row: it is one line, or the
	// beginning of one, that goes to the quarantine.
	broken string
}

// chunker cuts a stream of text into chunks. It alone knows the state across
// chunks, so that they can be parsed in parallel: it follows the quotes, and
// cuts only where a row ends.
type chunker struct {
	r       io.Reader
	file    int
	quote   byte // 0: none
	delim   byte
	newline byte
	maxRow  int

	pending []byte // read, not yet part of a chunk; begins with a row
	line    int64  // of pending
	skip    bool   // the rest of a line that is too long comes first
	ended   bool
}

// next returns the next chunk, or io.EOF.
func (c *chunker) next() (chunk, error) {
	want := blockSize
	for {
		if err := c.fill(want); err != nil {
			return chunk{}, err
		}
		if len(c.pending) == 0 {
			return chunk{}, io.EOF
		}
		if c.skip {
			c.skipLine()
			continue
		}
		end := c.lastRowEnd()
		switch {
		case end > 0:
			return c.take(end, ""), nil
		case c.ended && !c.openQuote():
			return c.take(len(c.pending), ""), nil
		case c.ended || len(c.pending) >= c.maxRow:
			return c.takeBroken(), nil
		}
		want = 2 * len(c.pending)
	}
}

// fill reads until pending has n bytes or the input ends.
func (c *chunker) fill(n int) error {
	n = min(n, c.maxRow+blockSize)
	if c.ended || len(c.pending) >= n {
		return nil
	}
	grown := make([]byte, n)
	have := copy(grown, c.pending)
	got, err := io.ReadFull(c.r, grown[have:])
	c.pending = grown[:have+got]
	// A compressed stream that breaks off is a fault by now (unpack.go), so
	// this is the plain end.
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		c.ended = true
		err = nil
	}
	return err
}

// take cuts n bytes off. Chunks never share memory with what is read later.
func (c *chunker) take(n int, broken string) chunk {
	out := chunk{file: c.file, line: c.line, data: c.pending[:n:n], broken: broken}
	c.line += int64(bytes.Count(out.data, []byte{c.newline}))
	c.pending = c.pending[n:]
	return out
}

// takeBroken takes the line that begins a row without an end, and goes on
// after it.
func (c *chunker) takeBroken() chunk {
	at := bytes.IndexByte(c.pending, c.newline)
	switch {
	case at >= 0:
		return c.take(at+1, "a quote is not closed")
	case c.ended:
		return c.take(len(c.pending), "a quote is not closed")
	}
	c.skip = true
	return c.take(len(c.pending), "the row is too long")
}

// skipLine drops the rest of a line whose beginning is in the quarantine.
func (c *chunker) skipLine() {
	at := bytes.IndexByte(c.pending, c.newline)
	if at < 0 {
		c.pending = nil
		return
	}
	c.pending = c.pending[at+1:]
	c.line++
	c.skip = false
}

// lastRowEnd returns where the last whole row of pending ends, or 0.
func (c *chunker) lastRowEnd() int {
	if c.quote == 0 || bytes.IndexByte(c.pending, c.quote) < 0 {
		return bytes.LastIndexByte(c.pending, c.newline) + 1
	}
	last := 0
	for i := 0; i < len(c.pending); {
		end, ok := rowEnd(c.pending[i:], c.delim, c.quote, c.newline)
		if !ok {
			break
		}
		i += end
		last = i
	}
	return last
}

// openQuote tells whether pending, which has no whole row, ends in a quote.
func (c *chunker) openQuote() bool {
	if c.quote == 0 {
		return false
	}
	_, open := scanRow(c.pending, c.delim, c.quote, c.newline)
	return open
}

// rowEnd returns the length of the row that s begins with, its newline
// included. ok is false when the row does not end in s.
func rowEnd(s []byte, delim, quote, newline byte) (int, bool) {
	end, _ := scanRow(s, delim, quote, newline)
	return end, end > 0
}

// scanRow follows the cells of a row. A quote opens only at the beginning of
// a cell; anywhere else it is a character like others.
func scanRow(s []byte, delim, quote, newline byte) (end int, open bool) {
	i := 0
	for i < len(s) {
		if start := skipSpaces(s, i, delim); start < len(s) && s[start] == quote {
			i = start + 1
			for {
				at := bytes.IndexByte(s[i:], quote)
				if at < 0 {
					return 0, true
				}
				i += at + 1
				if i < len(s) && s[i] == quote {
					i++
					continue
				}
				break
			}
		}
		for i < len(s) && s[i] != delim && s[i] != newline {
			i++
		}
		if i == len(s) {
			return 0, false
		}
		i++
		if s[i-1] == newline {
			return i, false
		}
	}
	return 0, false
}

// skipSpaces steps over the spaces that some writers put before a quote.
func skipSpaces(s []byte, i int, delim byte) int {
	for i < len(s) && s[i] == ' ' && delim != ' ' {
		i++
	}
	return i
}

// checkText refuses what is text of another kind than UTF-8 with lines.
func checkText(head []byte) error {
	for _, mark := range [][]byte{{0xFF, 0xFE}, {0xFE, 0xFF}} {
		if bytes.HasPrefix(head, mark) {
			return fault.New(fault.Unsupported, "the file is UTF-16").Hint("write it as UTF-8")
		}
	}
	return nil
}
