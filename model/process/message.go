package process

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/columns"
)

// The encodings of rows, of which a worker chooses one.
const (
	encodingArrow = "arrow" // an Arrow IPC stream of one schema and one record batch
	encodingJSON  = "json"  // {"rows": n, "columns": {name: [cell, …], …}}
)

// hello is what a worker says first.
type hello struct {
	Leat           string           `json:"leat"`     // "worker"
	Protocol       int              `json:"protocol"` // 1
	Encoding       string           `json:"encoding"`
	Inflight       int              `json:"inflight,omitempty"` // calls that it takes at once; 1 when 0
	MaxRows        int              `json:"max_rows,omitempty"` // of one call; 8,192 when 0 or more
	Library        string           `json:"library,omitempty"`
	LibraryVersion string           `json:"library_version,omitempty"`
	Signature      *model.Signature `json:"signature,omitempty"`
}

const maxInflight = 64

func parseHello(payload []byte) (h hello, err error) {
	if err := json.Unmarshal(payload, &h); err != nil {
		return h, fault.Wrap(err, fault.Corrupt, "the worker's first frame is not a hello")
	}
	switch {
	case h.Leat != "worker":
		return h, fault.New(fault.Corrupt, `the worker's first frame does not say {"leat": "worker"}`)
	case h.Protocol != 1:
		return h, fault.New(fault.Unsupported, "the worker speaks protocol %d, this server speaks 1", h.Protocol)
	case h.Encoding != encodingArrow && h.Encoding != encodingJSON:
		return h, fault.New(fault.Unsupported, "the worker wants rows as %.40q", h.Encoding).Hint("arrow and json are known")
	case h.Inflight < 0 || h.Inflight > maxInflight || h.MaxRows < 0:
		return h, fault.New(fault.Corrupt, "the worker takes %d calls of %d rows at once", h.Inflight, h.MaxRows)
	}
	h.Inflight = max(h.Inflight, 1)
	if h.MaxRows == 0 || h.MaxRows > chunkRows {
		h.MaxRows = chunkRows
	}
	return h, nil
}

// appendRows appends the payload of a predict frame.
func (h hello) appendRows(dst []byte, in frame.Batch, left time.Duration) ([]byte, error) {
	dst = binary.LittleEndian.AppendUint32(dst, milliseconds(left))
	if h.Encoding == encodingJSON {
		return appendJSONRows(dst, in), nil
	}
	out := bytes.NewBuffer(dst)
	w := ipc.NewWriter(out, ipc.WithSchema(in.Schema()))
	if err := w.Write(in); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "rows cannot be written as Arrow")
	}
	if err := w.Close(); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "rows cannot be written as Arrow")
	}
	return out.Bytes(), nil
}

// milliseconds is at least 1 for a time that is left; 0 says that there is no
// end.
func milliseconds(left time.Duration) uint32 {
	const most = 1<<32 - 1
	if left <= 0 {
		return 0
	}
	return uint32(min(max(left.Milliseconds(), 1), most))
}

func appendJSONRows(dst []byte, in frame.Batch) []byte {
	dst = fmt.Appendf(dst, `{"rows":%d,"columns":{`, in.NumRows())
	for i, f := range in.Schema().Fields() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(columns.AppendString(dst, f.Name), ':')
		dst = columns.AppendColumn(dst, in.Column(i), columns.Numbers)
	}
	return append(dst, "}}"...)
}

// readRows reads the payload of a result frame: the fields of a signature, as
// many rows as were asked.
func (h hello) readRows(payload []byte, fields []model.Field, rows int) (frame.Batch, error) {
	if h.Encoding == encodingJSON {
		return readJSONRows(payload, fields, rows)
	}
	return columns.ReadArrow(payload, fields, rows)
}

func readJSONRows(payload []byte, fields []model.Field, rows int) (frame.Batch, error) {
	b := columns.NewBuilder(fields)
	defer b.Release()
	at := make(map[string]int, len(fields))
	for i, f := range fields {
		at[f.Name] = i
	}
	d := jsontext.NewDecoder(bytes.NewReader(payload))
	err := eachMember(d, func(name string) error {
		if name != "columns" {
			return d.SkipValue()
		}
		return eachMember(d, func(name string) error {
			i, known := at[name]
			if !known {
				return d.SkipValue()
			}
			return eachElement(d, rows, func(cell jsontext.Value) error { return b.Cell(i, cell) })
		})
	})
	if err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "the worker's answer cannot be read")
	}
	return b.Batch(rows)
}

var errShape = fault.New(fault.Corrupt, `it is not {"columns": {name: [cell, …], …}}`)

// eachMember reads an object; f reads the value of each member.
func eachMember(d *jsontext.Decoder, f func(name string) error) error {
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return orShape(err)
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		if err := f(name.String()); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// eachElement reads an array of at most limit elements.
func eachElement(d *jsontext.Decoder, limit int, f func(jsontext.Value) error) error {
	if t, err := d.ReadToken(); err != nil || t.Kind() != '[' {
		return orShape(err)
	}
	for n := 0; d.PeekKind() != ']'; n++ {
		v, err := d.ReadValue()
		if err != nil {
			return err
		}
		if n >= limit {
			return fault.New(fault.Corrupt, "there are more than the %d rows that were asked", limit)
		}
		if err := f(v); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

func orShape(err error) error {
	if err != nil {
		return err
	}
	return errShape
}

// told is the JSON of an error frame.
type told struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

const maxTold = 2000 // bytes of a sentence

// parseError makes a fault of an error frame. Only kinds that a model may
// speak of are taken over.
func parseError(payload []byte) error {
	var t told
	if err := json.Unmarshal(payload, &t); err != nil || t.Message == "" {
		return fault.New(fault.Internal, "the worker could not score the rows, and does not say why")
	}
	k := fault.Internal
	switch fault.Kind(t.Kind) {
	case fault.Invalid, fault.Unsupported, fault.Unavailable, fault.Overloaded, fault.Timeout, fault.TooLarge:
		k = fault.Kind(t.Kind)
	}
	err := fault.New(k, "the model cannot score the rows: %s", cut(t.Message))
	if t.Hint != "" {
		err.Hint("%s", cut(t.Hint))
	}
	return err
}

func cut(s string) string {
	if len(s) > maxTold {
		return s[:maxTold] + "…"
	}
	return s
}
