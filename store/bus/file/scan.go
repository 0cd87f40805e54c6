package file

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
)

const scanBuffer = 256 << 10

// scan reads the records of one file.
type scan struct {
	file   *os.File
	reader *bufio.Reader
	quotes bool  // a line break between quotes ends no record
	pos    int64 // of the next record, in the unpacked bytes
	raw    int64 // bytes that were read of the file itself
}

// openScan opens a file at the beginning of a record.
func openScan(path string, at int64, quotes bool) (*scan, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // without waiting, should it have become a pipe
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "a file cannot be read")
	}
	s := &scan{file: f, quotes: quotes}
	if err := s.begin(path, at); err != nil {
		_ = f.Close() // it was only read
		return nil, err
	}
	return s, nil
}

func (s *scan) begin(path string, at int64) error {
	if info, err := s.file.Stat(); err != nil || !info.Mode().IsRegular() {
		return fault.New(fault.Invalid, "%s is not a file", path)
	}
	if !strings.HasSuffix(path, gz) {
		if _, err := s.file.Seek(at, io.SeekStart); err != nil {
			return fault.Wrap(err, fault.Unavailable, "a file cannot be read")
		}
		s.pos, s.raw = at, at
		s.reader = bufio.NewReaderSize(counted{s}, scanBuffer)
		return nil
	}
	unpacked, err := gzip.NewReader(counted{s})
	if err != nil {
		return fault.Wrap(err, fault.Corrupt, "%s is not packed with gzip", path)
	}
	s.reader = bufio.NewReaderSize(unpacked, scanBuffer)
	if _, err := io.CopyN(io.Discard, s.reader, at); err != nil {
		return packFault(err, path)
	}
	s.pos = at
	return nil
}

func packFault(err error, path string) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) || err == io.EOF {
		return fault.Wrap(err, fault.Corrupt, "%s is packed and cannot be unpacked to its end", path)
	}
	return fault.Wrap(err, fault.Unavailable, "%s cannot be read", path)
}

type counted struct{ *scan }

func (c counted) Read(p []byte) (int, error) {
	n, err := c.file.Read(p)
	c.raw += int64(n)
	return n, err
}

func (s *scan) close() { _ = s.file.Close() } // it was only read

// record is the next record without its line break. One over the limit comes
// without its bytes, but with its size. whole is false for the last one of a
// file, when no line break ends it. io.EOF says that there is none.
func (s *scan) record(limit int64) (text []byte, size int64, whole bool, err error) {
	marks := 0
	for {
		chunk, err := s.reader.ReadSlice('\n')
		s.pos += int64(len(chunk))
		size += int64(len(chunk))
		if size <= limit+2 {
			text = append(text, chunk...)
		} else {
			text = nil
		}
		if s.quotes {
			marks += bytes.Count(chunk, []byte{'"'})
		}
		switch {
		case err == nil && marks%2 == 1, errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && size == 0:
			return nil, 0, false, io.EOF
		case err != nil && err != io.EOF:
			return nil, 0, false, err
		}
		whole = err == nil
		if whole {
			size--
		}
		text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte{'\n'}), []byte{'\r'})
		if size > limit {
			text = nil
		}
		return text, size, whole, nil
	}
}

// table is what the first line of a CSV file says.
type table struct {
	names []string
	comma rune
}

// maxNames bounds the columns of a file.
const maxNames = 10_000

func newTable(line []byte) (*table, error) {
	line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf")) // the mark of UTF-8
	t := &table{comma: ','}
	for _, c := range ";\t|" {
		if bytes.Count(line, []byte(string(c))) > bytes.Count(line, []byte(string(t.comma))) {
			t.comma = c
		}
	}
	names, err := t.cells(line)
	if err != nil || len(names) > maxNames {
		return nil, fault.New(fault.Invalid, "the first line of the file does not name its columns").Because(err)
	}
	seen := map[string]bool{}
	for _, n := range names {
		if seen[n] {
			return nil, fault.New(fault.Invalid, "the file has two columns %.60q", n)
		}
		seen[n] = true
	}
	t.names = names
	return t, nil
}

func (t *table) cells(record []byte) ([]string, error) {
	r := csv.NewReader(bytes.NewReader(record))
	r.Comma, r.FieldsPerRecord = t.comma, -1
	return r.Read()
}

// object makes a record a JSON object. One that has other cells than the
// table has columns stays as it is: as JSON it is malformed, and whoever reads
// it says so.
func (t *table) object(record []byte) []byte {
	cells, err := t.cells(record)
	if err != nil || len(cells) != len(t.names) {
		return record
	}
	out := []byte{'{'}
	for i, name := range t.names {
		if i > 0 {
			out = append(out, ',')
		}
		out, _ = jsontext.AppendQuote(out, name) // bytes that are no UTF-8 are replaced
		out = append(out, ':')
		if cells[i] == "" {
			out = append(out, "null"...)
			continue
		}
		out, _ = jsontext.AppendQuote(out, cells[i])
	}
	return append(out, '}')
}

// compacted is a JSON value in one line, or nil for what is none.
func compacted(text []byte) []byte {
	v := jsontext.Value(bytes.Clone(text))
	if v.Compact() != nil {
		return nil
	}
	return v
}
