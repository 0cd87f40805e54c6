package document

import (
	"bytes"
	"strconv"
)

// csv takes the first record as the header and every other as a row, where
// they stand: a quoted cell may hold line ends. Which character parts the
// cells does not matter for that.
func (j *job) csv(d decoded) (Document, error) {
	text := d.text
	start := len(text) - len(bytes.TrimPrefix(text, byteOrderMark))
	var blocks []Block
	least := grain(len(text))
	for at := start; at < len(text); {
		end := recordEnd(text, at)
		for len(blocks) > 0 && end < len(text) && end-at < least {
			end = recordEnd(text, end+1)
		}
		if s, e := trimLine(text, at, end); s < e {
			b := Block{Kind: Row, Start: s, End: e}
			if len(blocks) == 0 {
				b.Kind = Table
			}
			blocks = append(blocks, b)
		}
		at = end + 1
		if len(blocks)%1024 == 0 && j.ctx.Err() != nil {
			return Document{}, j.ctx.Err()
		}
	}
	return j.verbatim(d, blocks)
}

// trimLine is trim that leaves tabs, which are empty cells of TSV.
func trimLine(text []byte, start, end int) (from, to int) {
	if s, e := trim(text, start, end); s == e {
		return s, s
	}
	for end > start && (text[end-1] == '\r' || text[end-1] == ' ' || text[end-1] == '\n') {
		end--
	}
	for start < end && (text[start] == ' ' || text[start] == '\n' || text[start] == '\r') {
		start++
	}
	return start, end
}

// longestRecord bounds how far a quote that is never closed reaches.
const longestRecord = 64 << 10

// recordEnd is the line end that ends the record which begins at a place: the
// first outside of quotes, or the first of all where a quote stays open.
func recordEnd(text []byte, at int) int {
	quoted := false
	for i := at; i < len(text) && i-at < longestRecord; i++ {
		switch text[i] {
		case '"':
			quoted = !quoted
		case '\n':
			if !quoted {
				return i
			}
		}
	}
	if !quoted && len(text)-at <= longestRecord {
		return len(text)
	}
	return lineEnd(text, at)
}

// jsonl takes every line as a block.
func (j *job) jsonl(d decoded) (Document, error) {
	start := len(d.text) - len(bytes.TrimPrefix(d.text, byteOrderMark))
	return j.verbatim(d, lines(d.text, start, len(d.text), Row))
}

// A member of a JSON document that is longer than this is taken apart into its
// own members, down to jsonDepth levels.
const (
	longMember = 1200
	jsonDepth  = 4
)

// json takes the members of the top value as blocks, and members of those that
// are long. It only finds strings and brackets and never recurses further than
// jsonDepth: what is not JSON after all is still text.
func (j *job) json(d decoded) (Document, error) {
	r := &jsonReader{job: j, text: d.text, least: grain(len(d.text))}
	start, end := trim(d.text, len(d.text)-len(bytes.TrimPrefix(d.text, byteOrderMark)), len(d.text))
	if start == end {
		return j.verbatim(d, nil)
	}
	if c := d.text[start]; c != '{' && c != '[' || !r.members(start, "", 0) {
		if r.job.ctx.Err() != nil {
			return Document{}, r.job.ctx.Err()
		}
		return j.plain(d)
	}
	if s, e := trim(d.text, r.at, end); s < e {
		return j.plain(d) // something follows: lines of JSON, or none at all
	}
	return j.verbatim(d, r.blocks)
}

type jsonReader struct {
	job    *job
	text   []byte
	at     int
	least  int
	left   bool // the last block was of a value that ended: what follows has no header
	blocks []Block
}

// members reads the object or array that begins at a place and adds its
// members as blocks; it reports whether the value has an end. The brackets and
// commas between the members are in no block, but a member's key is.
func (r *jsonReader) members(open int, path string, depth int) bool {
	object := r.text[open] == '{'
	r.at = open + 1
	for n := 0; ; n++ {
		if n%1024 == 0 && r.job.ctx.Err() != nil {
			return false
		}
		r.space()
		if r.at >= len(r.text) {
			return false
		}
		if c := r.text[r.at]; c == '}' || c == ']' {
			r.at++
			return true
		}
		start, key := r.at, strconv.Itoa(n)
		if object {
			if r.text[r.at] != '"' || !r.skipString() {
				return false
			}
			key = string(r.text[start+1 : r.at-1])
			r.space()
			if r.at >= len(r.text) || r.text[r.at] != ':' {
				return false
			}
			r.at++
			r.space()
		}
		if !r.member(start, path+"/"+pointer(key), depth) {
			return false
		}
		r.space()
		if r.at < len(r.text) && r.text[r.at] == ',' {
			r.at++
		}
	}
}

// member adds the value at the reader's place, whose key began at start.
func (r *jsonReader) member(start int, path string, depth int) bool {
	value := r.at
	if !r.skipValue() || r.at == value {
		return false
	}
	end := r.at
	nested := r.text[value] == '{' || r.text[value] == '['
	if nested && end-start > longMember && depth+1 < jsonDepth {
		before := len(r.blocks)
		if start < value {
			r.blocks = append(r.blocks, Block{Kind: Table, Start: start, End: value + 1, Anchor: path})
		}
		if !r.members(value, path, depth+1) {
			return false
		}
		if len(r.blocks) > before {
			r.left = true
			return true
		}
	}
	if n := len(r.blocks); !r.left && n > 0 && r.blocks[n-1].Kind == Row && r.blocks[n-1].End-r.blocks[n-1].Start < r.least {
		r.blocks[n-1].End = end
		return true
	}
	b := Block{Kind: Row, Start: start, End: end, Anchor: path}
	if r.left {
		b.Level, r.left = 1, false
	}
	r.blocks = append(r.blocks, b)
	return true
}

func (r *jsonReader) space() {
	for r.at < len(r.text) && isSpace(r.text[r.at]) {
		r.at++
	}
}

// skipString moves past the string that begins at the reader's place.
func (r *jsonReader) skipString() bool {
	for r.at++; r.at < len(r.text); r.at++ {
		switch r.text[r.at] {
		case '\\':
			r.at++
		case '"':
			r.at++
			return true
		}
	}
	return false
}

// skipValue moves past a value; brackets are counted, not matched.
func (r *jsonReader) skipValue() bool {
	depth := 0
	for r.at < len(r.text) {
		switch c := r.text[r.at]; c {
		case '"':
			if !r.skipString() {
				return false
			}
			if depth == 0 {
				return true
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return true
			}
			depth--
			if depth == 0 {
				r.at++
				return true
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return true
			}
		}
		r.at++
	}
	return depth == 0
}

// pointer escapes a key for a JSON pointer (RFC 6901).
func pointer(key string) string {
	const longest = 200
	key = oneLine(key, longest)
	key = string(bytes.ReplaceAll([]byte(key), []byte("~"), []byte("~0")))
	return string(bytes.ReplaceAll([]byte(key), []byte("/"), []byte("~1")))
}
