package mlflow

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/surface/server"
)

// integer is a 64-bit integer of the protocol: a number or a string on the
// way in, a number on the way out.
type integer int64

func (i *integer) UnmarshalJSON(text []byte) error {
	s := strings.Trim(string(text), `"`)
	if s == "null" || s == "" {
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(s, 64) // 3.0 and 1e3 are integers too
		if ferr != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<63 {
			return fault.New(fault.Invalid, "%.80s is not a 64-bit integer", text)
		}
		n = int64(f)
	}
	*i = integer(n)
	return nil
}

// number is a double of the protocol, which may be "NaN", "Infinity" and
// "-Infinity" as well.
type number float64

func (n *number) UnmarshalJSON(text []byte) error {
	f, err := strconv.ParseFloat(strings.Trim(string(text), `"`), 64)
	if err != nil {
		return fault.New(fault.Invalid, "%.80s is not a number", text)
	}
	*n = number(f)
	return nil
}

func (n number) MarshalJSON() ([]byte, error) {
	switch f := float64(n); {
	case math.IsNaN(f):
		return []byte(`"NaN"`), nil
	case math.IsInf(f, 1):
		return []byte(`"Infinity"`), nil
	case math.IsInf(f, -1):
		return []byte(`"-Infinity"`), nil
	default:
		return json.Marshal(f)
	}
}

// id is a string that some clients send as a number: an experiment's id, a
// version.
type id string

func (i *id) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] != '"' {
		if string(text) != "null" {
			*i = id(text)
		}
		return nil
	}
	return json.Unmarshal(text, (*string)(i))
}

// flag is a boolean, which a query has as text.
type flag bool

func (f *flag) UnmarshalJSON(text []byte) error {
	switch strings.ToLower(strings.Trim(string(text), `"`)) {
	case "true":
		*f = true
	case "false", "null", "":
		*f = false
	default:
		return fault.New(fault.Invalid, "Invalid boolean value: %.60s, must be 'true' or 'false'", text)
	}
	return nil
}

// tag is a key with a value.
type tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// shape says of each parameter of a GET whether it may stand more than once.
type shape map[string]bool

// shapeOf is asked once for each operation, not for each request.
func shapeOf[Q any]() shape {
	s := shape{}
	t := reflect.TypeFor[Q]()
	for f := range fields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		s[name] = f.Type.Kind() == reflect.Slice
	}
	return s
}

func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for _, f := range reflect.VisibleFields(t) {
			if !f.Anonymous && !yield(f) {
				return
			}
		}
	}
}

// decode reads the message of a request.
func decode(w http.ResponseWriter, r *http.Request, s shape, into any) error {
	var text []byte
	if r.Method == http.MethodGet {
		text = s.object(r.URL.Query())
	} else {
		var body bytes.Buffer
		if err := server.ReadBody(w, r, maxMessage, maxWait, &body); err != nil {
			return err
		}
		text = bytes.TrimSpace(body.Bytes())
	}
	if len(text) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return malformed(err)
	}
	return nil
}

// object makes a JSON object of the parameters of a GET. Every value is a
// string: the fields of messages read those too.
func (s shape) object(q url.Values) []byte {
	o := map[string]any{}
	for name, values := range q {
		if many, ok := s[name]; many {
			o[name] = values
		} else if ok && len(values) > 0 {
			o[name] = values[len(values)-1]
		}
	}
	text, _ := json.Marshal(o) // strings alone
	return text
}

func malformed(err error) error {
	if fault.Is(err, fault.Invalid) {
		return err
	}
	return fault.New(fault.Invalid, "the message is not what the operation takes").Because(err)
}
