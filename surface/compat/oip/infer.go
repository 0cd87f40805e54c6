package oip

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/pattern/realtime"
	"github.com/leat-ai/leat/surface/compat"
)

// request is an inference, whatever wire it came by.
type request struct {
	id      string
	inputs  []tensor
	outputs []wanted
	binary  bool          // outputs that are not asked for by name come as bytes
	timeout time.Duration // 0: the endpoint's own
}

// headerLength is how many bytes of a body are JSON; bytes of tensors follow.
const headerLength = "Inference-Header-Content-Length"

// parameters are those of a request or tensor that mean something here.
type parameters struct {
	BinaryDataSize   *int64 `json:"binary_data_size"`
	BinaryData       *bool  `json:"binary_data"`
	BinaryDataOutput bool   `json:"binary_data_output"`
	Classification   int64  `json:"classification"`
	SharedMemory     string `json:"shared_memory_region"`
	Sequence         any    `json:"sequence_id"` // a number or a text
	Timeout          int64  `json:"timeout"`     // microseconds
}

// check refuses what would change the answer and is not done.
func (p *parameters) check() error {
	switch {
	case p.Classification != 0:
		return unsupported("classification")
	case p.SharedMemory != "":
		return unsupported("shared_memory_region")
	case p.Sequence != nil && p.Sequence != float64(0) && p.Sequence != "":
		return unsupported("sequence_id")
	case p.Timeout < 0:
		return fault.New(fault.Invalid, "a timeout of %d µs", p.Timeout)
	}
	return nil
}

func unsupported(parameter string) error {
	return fault.New(fault.Invalid, "the parameter %q is not supported", parameter)
}

// jsonRequest is the body of an inference.
type jsonRequest struct {
	ID         string     `json:"id"`
	Parameters parameters `json:"parameters"`
	Inputs     []struct {
		Name       string         `json:"name"`
		Shape      []int64        `json:"shape"`
		Datatype   datatype       `json:"datatype"`
		Parameters parameters     `json:"parameters"`
		Data       jsontext.Value `json:"data"`
	} `json:"inputs"`
	Outputs []struct {
		Name       string     `json:"name"`
		Parameters parameters `json:"parameters"`
	} `json:"outputs"`
}

// parse reads a body, which is JSON up to a length and the bytes of tensors
// from there.
func parse(body []byte, length string) (*request, error) {
	text, blob, err := split(body, length)
	if err != nil {
		return nil, err
	}
	if q, ok := parsePlain(text, blob); ok {
		return q, nil
	}
	return parseAny(text, blob)
}

// parseAny is parse for whatever is allowed.
func parseAny(text, blob []byte) (*request, error) {
	var j jsonRequest
	if err := json.Unmarshal(text, &j); err != nil {
		return nil, fault.New(fault.Invalid, "the request is not understood").Because(err)
	}
	if err := j.Parameters.check(); err != nil {
		return nil, err
	}
	q := &request{
		id: j.ID, binary: j.Parameters.BinaryDataOutput, timeout: time.Duration(min(j.Parameters.Timeout, 1e12)) * time.Microsecond,
		inputs: make([]tensor, len(j.Inputs)), outputs: make([]wanted, len(j.Outputs)),
	}
	for i := range j.Inputs {
		in := &j.Inputs[i]
		t := tensor{name: in.Name, datatype: in.Datatype, shape: in.Shape, content: jsonContent{in.Data, len(in.Shape)}}
		if err := in.Parameters.check(); err != nil {
			return nil, err
		}
		if size := in.Parameters.BinaryDataSize; size != nil {
			if len(in.Data) > 0 || *size < 0 || *size > int64(len(blob)) {
				return nil, fault.New(fault.Invalid, "input %q: %d bytes of binary data, and %d are there", in.Name, *size, len(blob)).
					Hint("a tensor has data or a binary_data_size that the body holds")
			}
			t.content, blob = rawContent{in.Datatype, blob[:*size]}, blob[*size:]
		}
		if _, isJSON := t.content.(jsonContent); !isJSON || in.Datatype != "" {
			if err := in.Datatype.known(); err != nil {
				return nil, fault.Wrap(err, fault.Invalid, "input %q", in.Name)
			}
		}
		q.inputs[i] = t
	}
	if len(blob) > 0 {
		return nil, fault.New(fault.Invalid, "%d bytes of binary data belong to no input", len(blob))
	}
	for i := range j.Outputs {
		out := &j.Outputs[i]
		if err := out.Parameters.check(); err != nil {
			return nil, err
		}
		q.outputs[i] = wanted{out.Name, q.binary}
		if out.Parameters.BinaryData != nil {
			q.outputs[i].binary = *out.Parameters.BinaryData
		}
	}
	return q, nil
}

// split divides a body at the length of its JSON.
func split(body []byte, length string) (text, blob []byte, err error) {
	if length == "" {
		return body, nil, nil
	}
	n, err := strconv.ParseUint(strings.TrimSpace(length), 10, 63)
	if err != nil || n > uint64(len(body)) {
		return nil, nil, fault.New(fault.Invalid, "%s is %.20q, and the body has %d bytes", headerLength, length, len(body))
	}
	return body[:n], body[n:], nil
}

func (o surface) infer(w http.ResponseWriter, r *http.Request) error {
	call := compat.Call{Protocol: "oip " + r.Header.Get(headerLength), Endpoint: r.PathValue("model"), Version: r.PathValue("version")}
	reply, known, err := o.Front.Serve(w, r, call, func(ctx context.Context, x *compat.Exchange, body []byte) ([]byte, error) {
		q, err := parse(body, r.Header.Get(headerLength))
		if err != nil {
			return nil, err
		}
		reply, text, err := answerOf(ctx, x, q)
		if text < len(reply) {
			w.Header().Set(headerLength, strconv.Itoa(text))
		}
		return reply, err
	})
	if err != nil {
		w.Header().Del(headerLength)
		return err
	}
	if known { // the header is not stored, but the end of the JSON shows
		if text := textLength(reply); text < len(reply) {
			w.Header().Set(headerLength, strconv.Itoa(text))
		}
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if h.Get(headerLength) != "" {
		h.Set("Content-Type", "application/octet-stream")
	}
	h.Set("Content-Length", strconv.Itoa(len(reply)))
	_, _ = w.Write(reply) // a client that is gone has nobody to tell
	return nil
}

// score has a request decided, within the time that it gives itself.
func (q *request) score(ctx context.Context, x *compat.Exchange, write func(*decide.Answer, []output) error) error {
	if q.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, q.timeout)
		defer cancel()
	}
	return x.Score(ctx, func() (realtime.Rows, error) { return rowsOf(x, q.inputs) }, func(a *decide.Answer) error {
		outputs, err := outputsOf(a, q.outputs, q.binary)
		if err != nil {
			return err
		}
		return write(a, outputs)
	})
}

// answerOf answers a request as a body whose first bytes, as many as are
// returned, are JSON.
func answerOf(ctx context.Context, x *compat.Exchange, q *request) (body []byte, text int, err error) {
	err = q.score(ctx, x, func(a *decide.Answer, outputs []output) error {
		body = appendHeader(make([]byte, 0, 512), x, a, q.id)
		var raw []byte
		for i, o := range outputs {
			if i > 0 {
				body = append(body, ',')
			}
			before := len(raw)
			if o.binary {
				if raw, err = o.appendRaw(raw); err != nil {
					return err
				}
			}
			body = appendOutput(body, o, len(raw)-before)
		}
		body = append(body, "]}"...)
		text = len(body)
		body = append(body, raw...)
		return nil
	})
	return body, text, err
}

func appendHeader(dst []byte, x *compat.Exchange, a *decide.Answer, id string) []byte {
	dst = compat.AppendString(append(dst, `{"model_name":`...), x.Endpoint)
	dst = compat.AppendString(append(dst, `,"model_version":`...), compat.Version(x.Path().Release()))
	if id != "" {
		dst = compat.AppendString(append(dst, `,"id":`...), id)
	}
	dst = compat.AppendString(append(dst, `,"parameters":{"release":`...), a.Release)
	dst = compat.AppendString(append(dst, `,"variant":`...), a.Variant)
	if a.ServedBy != "" {
		dst = compat.AppendString(append(dst, `,"served_by":`...), a.ServedBy)
	}
	return append(dst, `},"outputs":[`...)
}

func appendOutput(dst []byte, o output, raw int) []byte {
	dst = compat.AppendString(append(dst, `{"name":`...), o.name)
	dst = strconv.AppendInt(append(dst, `,"shape":[`...), int64(o.rows), 10)
	dst = append(dst, `],"datatype":"`...)
	dst = append(dst, o.datatype...)
	if o.binary {
		dst = strconv.AppendInt(append(dst, `","parameters":{"binary_data_size":`...), int64(raw), 10)
		return append(dst, "}}"...)
	}
	return append(o.appendJSON(append(dst, `","data":`...)), '}')
}

// textLength is where the JSON at the beginning of an answer ends.
func textLength(body []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(body)
}
