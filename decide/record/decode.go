package record

import (
	"bytes"
	"encoding/binary"
	"math"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// payload is a decoded entry. Its columns are still bytes; a row's JSON is
// made when it is asked for.
type payload struct {
	at                                                    time.Time
	latency                                               int64
	cost                                                  float64
	version                                               int64
	pattern, endpoint, release, variant, model, run, call string
	ids, keys, errors                                     []string
	inputs, features, output                              *section
}

// section is the columns of one batch.
type section struct{ columns []column }

// opening is how a section of some payload began, and the columns that this
// means. Payloads of one release begin alike, so the names of thousands of
// rows are read once.
type opening struct {
	bytes   []byte
	columns []column // with the values of the last payload
}

// decoder reads payloads, one after the other; each is valid until the next.
// The zero value is ready.
type decoder struct {
	openings [3]opening // of inputs, features and output
	payload  payload    // the last one, whose memory the next one takes over
	sections [3]section
}

// column is one column of n values: those of fixed width in place, texts
// taken apart.
type column struct {
	name  string
	key   []byte // the name in JSON, with its colon
	kind  frame.Type
	nulls []byte // nil: none
	fixed []byte // little-endian values, width bytes each
	width int
	texts []string
}

func (c *column) null(row int) bool { return c.nulls != nil && c.nulls[row/8]>>(row%8)&1 == 1 }

// cursor reads a payload. The first thing that is not right ends it: what is
// read afterwards is zero, and bad says so.
type cursor struct {
	data []byte
	bad  bool
}

func (c *cursor) take(n int) []byte {
	if c.bad || n < 0 || n > len(c.data) {
		c.bad = true
		return nil
	}
	taken := c.data[:n:n]
	c.data = c.data[n:]
	return taken
}

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uint64() uint64 {
	if b := c.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// length reads a count of things that take at least one byte each of what is
// left, so that no memory is taken for a count that lies.
func (c *cursor) length() int {
	v, n := binary.Uvarint(c.data)
	if c.bad || n <= 0 || v > uint64(len(c.data)-n) {
		c.bad = true
		return 0
	}
	c.data = c.data[n:]
	return int(v)
}

func (c *cursor) text() string { return string(c.take(c.length())) }

// same reads a text that is often what the last payload had there.
func (c *cursor) same(last *string) {
	if text := c.take(c.length()); string(text) != *last {
		*last = string(text)
	}
}

// texts reads n texts into the room of others.
func (c *cursor) texts(room []string, n int) []string {
	texts := room[:0] // it grows with what is there, not with what n says
	for range n {
		if c.bad {
			break
		}
		texts = append(texts, c.text())
	}
	return texts
}

func (c *cursor) optional(n int) []string {
	switch c.byte() {
	case 0:
		return nil
	case 1:
		return c.texts(nil, n)
	}
	c.bad = true
	return nil
}

// decode reads a payload. A payload that is not one is a Corrupt fault.
func (d *decoder) decode(data []byte) (*payload, error) {
	c := &cursor{data: data}
	if v := c.byte(); v < oldestVersion || v > payloadVersion {
		return nil, fault.New(fault.Corrupt, "a decision record of version %d", v).
			Hint("a newer Leat wrote it; use that one to read it")
	}
	p := &d.payload
	p.at = time.UnixMicro(int64(c.uint64())).UTC()
	p.latency = int64(c.uint64())
	p.cost = math.Float64frombits(c.uint64())
	version, n := binary.Uvarint(c.data)
	c.take(n)
	c.bad = c.bad || n <= 0
	p.version = int64(version)
	for _, text := range [...]*string{&p.pattern, &p.endpoint, &p.release, &p.variant, &p.model, &p.call, &p.run} {
		c.same(text)
	}
	rows := c.length()
	p.ids, p.keys, p.errors = c.texts(p.ids, rows), c.optional(rows), c.optional(rows)
	p.inputs = c.section(rows, &d.openings[0], &d.sections[0], nil)
	p.features = c.section(rows, &d.openings[1], &d.sections[1], p.inputs)
	p.output = c.section(rows, &d.openings[2], &d.sections[2], nil)
	if p.features == p.inputs { // the model read them as they came: once is enough
		p.features = nil
	}
	if c.bad || len(c.data) > 0 {
		return nil, fault.New(fault.Corrupt, "a decision record does not read back")
	}
	return p, nil
}

// section reads a batch. It looks at o first, and leaves there how the batch
// began. inputs is what a mark stands for, nil where none may stand. The batch
// is put into room.
func (c *cursor) section(rows int, o *opening, room, inputs *section) *section {
	mark := c.byte()
	switch {
	case mark == batchNone:
		return nil
	case mark == batchInputs && inputs != nil:
		return inputs
	case mark != batchHere:
		c.bad = true
		return nil
	}
	if len(o.bytes) == 0 || !bytes.HasPrefix(c.data, o.bytes) {
		began := c.data
		columns := c.columns()
		if c.bad {
			return nil
		}
		*o = opening{bytes: began[:len(began)-len(c.data)], columns: columns}
	} else {
		c.take(len(o.bytes))
	}
	for i := range o.columns {
		c.values(&o.columns[i], rows)
	}
	room.columns = o.columns
	return room
}

// columns reads names and types.
func (c *cursor) columns() (columns []column) {
	for range c.length() {
		kind := typeOf(c.byte())
		if kind == "" {
			c.bad = true
			return nil
		}
		name := c.text()
		columns = append(columns, column{kind: kind, name: name, key: append(appendString(nil, name), ':')})
	}
	return columns
}

func (c *cursor) values(col *column, rows int) {
	if col.nulls = nil; c.byte() == 1 {
		col.nulls = c.take((rows + 7) / 8)
	}
	switch col.kind {
	case frame.String:
		col.texts = c.texts(col.texts, rows)
		return
	case frame.Bool:
		col.width = 1
	case frame.Date:
		col.width = 4
	default:
		col.width = 8
	}
	col.fixed = c.take(col.width * rows)
}
