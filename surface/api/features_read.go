package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/base/plain"
	"github.com/leat-ai/leat/flow/feature/online"
	"github.com/leat-ai/leat/pattern/realtime"
	"github.com/leat-ai/leat/surface/server"
)

// Reading features has a handler of its own, because somebody waits: the
// request is scanned in place, and the answer is written from what the store
// gave, without a value of its own for each feature.

// The bounds of a reading request.
const (
	maxReadBody   = 4 << 20
	maxReadTime   = 30 * time.Second
	maxReadRows   = 10_000
	maxReadNames  = 10_000
	maxReadValues = 2_000_000 // rows times features
)

// featureScratch is what one request needs and the next can use again.
type featureScratch struct {
	body    bytes.Buffer
	reply   []byte
	answer  online.Answer
	request featureRequest
}

// featureRequest is the body of a request; its texts are parts of the body.
type featureRequest struct {
	features []string
	entities []entityColumn
	at       time.Time
}

type entityColumn struct {
	name   string
	values []byte // a JSON array
}

func (a *API) featureReading(s *server.Server) {
	pool := &sync.Pool{New: func() any { return new(featureScratch) }}
	s.Handle("POST /v1/features/read", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buf := pool.Get().(*featureScratch)
		if err := a.readFeatures(w, r, buf); err != nil {
			server.WriteProblem(w, err)
		}
		if buf.body.Cap() <= maxKept && cap(buf.reply) <= maxKept && buf.answer.Rows <= 1000 {
			pool.Put(buf)
		}
	}))
	a.huma.OpenAPI().AddOperation(readFeaturesOperation())
}

func (a *API) readFeatures(w http.ResponseWriter, r *http.Request, buf *featureScratch) error {
	ctx := r.Context()
	if err := server.ReadBody(w, r, maxReadBody, maxReadTime, &buf.body); err != nil {
		return err
	}
	req := &buf.request
	if err := req.read(buf.body.Bytes()); err != nil {
		return err
	}
	if len(req.features) == 0 {
		return fault.New(fault.Invalid, "no feature is asked for").Hint(`name some, as in "features": ["view:feature"]`)
	}
	if len(req.features) > maxReadNames {
		return fault.New(fault.TooLarge, "%d features are asked for", len(req.features)).Hint("ask for at most %d at once", maxReadNames)
	}
	for _, name := range req.features {
		if strings.ContainsRune(name, 0) { // it would not be one name to whoever joins names
			return fault.New(fault.Invalid, "%q is no feature", name)
		}
		view, _, _ := strings.Cut(name, ":")
		if _, err := allowed(ctx, verbRead, view); err != nil {
			return err
		}
	}
	selection, err := a.services.Features.Select(ctx, req.features)
	if err != nil {
		return err
	}
	entities, err := req.batch(selection)
	if err != nil {
		return err
	}
	defer entities.Release()
	at := req.at
	if at.IsZero() {
		at = time.Now()
	}
	if err := selection.Read(ctx, entities, at, &buf.answer); err != nil {
		return err
	}
	buf.reply = appendFeatures(buf.reply[:0], &buf.answer, at)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(buf.reply))) // else it goes in chunks
	_, _ = w.Write(buf.reply)                                      // a client that is gone has nobody to tell
	return nil
}

// read takes a body apart. The plain part of JSON is scanned; what is not
// plain is left to the whole parser, which says what is wrong with it.
func (q *featureRequest) read(body []byte) error {
	if q.scan(body) {
		return nil
	}
	return q.parse(body)
}

// parse is the whole parser.
func (q *featureRequest) parse(body []byte) error {
	var whole struct {
		Features []string                   `json:"features"`
		Entities map[string]json.RawMessage `json:"entities"`
		At       time.Time                  `json:"at"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(&whole)
	if _, more := d.Token(); err == nil && more != io.EOF {
		err = errors.New("something follows the request")
	}
	if err != nil {
		return fault.New(fault.Invalid, "the request is not understood").Because(err).
			Hint(`write {"features": ["view:feature"], "entities": {"customer_id": ["c1"]}}`)
	}
	q.features, q.at, q.entities = whole.Features, whole.At, q.entities[:0]
	for name, values := range whole.Entities {
		q.entities = append(q.entities, entityColumn{name, values})
	}
	return nil
}

func (q *featureRequest) scan(body []byte) bool {
	q.features, q.entities, q.at = q.features[:0], q.entities[:0], time.Time{}
	s := plain.Scanner{Text: body}
	s.Space()
	if !s.Take('{') {
		return false
	}
	for {
		s.Space()
		name, ok := s.Name()
		if !ok {
			return false
		}
		s.Space()
		switch name {
		case "features":
			ok = q.scanFeatures(&s)
		case "entities":
			ok = q.scanEntities(&s)
		case "at":
			var text []byte
			if text, ok = s.String(); ok {
				ok = q.at.UnmarshalText(text) == nil // as the whole parser does
			}
		default:
			return false
		}
		if !ok {
			return false
		}
		if s.TakeAfterSpace('}') {
			return s.End()
		}
		if !s.Take(',') {
			return false
		}
	}
}

func (q *featureRequest) scanFeatures(s *plain.Scanner) bool {
	if !s.Take('[') || len(q.features) > 0 {
		return false
	}
	for {
		s.Space()
		text, ok := s.String()
		if !ok {
			return false
		}
		q.features = append(q.features, string(text))
		if s.TakeAfterSpace(']') {
			return true
		}
		if !s.Take(',') {
			return false
		}
	}
}

func (q *featureRequest) scanEntities(s *plain.Scanner) bool {
	if !s.Take('{') || len(q.entities) > 0 {
		return false
	}
	for {
		s.Space()
		name, ok := s.Name()
		if !ok || slices.ContainsFunc(q.entities, func(c entityColumn) bool { return c.name == name }) {
			return false
		}
		s.Space()
		values, ok := s.Skip()
		if !ok {
			return false
		}
		q.entities = append(q.entities, entityColumn{name, values})
		if s.TakeAfterSpace('}') {
			return true
		}
		if !s.Take(',') {
			return false
		}
	}
}

// batch makes the columns that a selection reads.
func (q *featureRequest) batch(s *online.Selection) (frame.Batch, error) {
	keys := s.Keys()
	cells, rows := make([]*frame.Cells, len(keys)), -1
	for i, k := range keys {
		at := slices.IndexFunc(q.entities, func(c entityColumn) bool { return c.name == k.Name })
		if at < 0 {
			return nil, fault.New(fault.Invalid, "the column %q of entities is missing", k.Name).
				Hint(`write "entities": {"%s": […]}, %s for each entity`, k.Name, k.Type)
		}
		cells[i] = frame.NewCells(k.Type, 8)
		if err := readColumn(q.entities[at].values, cells[i]); err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "the column %q of entities", k.Name)
		}
		if n := cells[i].Len(); rows < 0 {
			rows = n
		} else if n != rows {
			return nil, fault.New(fault.Invalid, "the columns of entities have %d and %d values", rows, n)
		}
	}
	width := 0
	for _, a := range s.Asks() {
		if a.Features == nil {
			width += len(a.View.Features())
		}
		width += len(a.Features)
	}
	if rows > maxReadRows || rows*width > maxReadValues {
		return nil, fault.New(fault.TooLarge, "%d features of %d entities are asked for", width, rows).
			Hint("ask for at most %d entities, and %d values, at once", maxReadRows, maxReadValues)
	}
	return frame.BatchOf(frame.SchemaOf(keys), cells, rows), nil
}

// readColumn reads a JSON array of values of one type.
func readColumn(text []byte, into *frame.Cells) error {
	s := plain.Scanner{Text: text}
	if !s.Take('[') {
		return fault.New(fault.Invalid, "it is no list").Hint("write a list of values, one for each entity")
	}
	if s.TakeAfterSpace(']') {
		return nil
	}
	for {
		s.Space()
		if into.Len() == maxReadRows {
			return fault.New(fault.TooLarge, "it has more than %d values", maxReadRows)
		}
		if !readValue(&s, into) {
			return fault.New(fault.Invalid, "its value %d is no %s", into.Len(), into.Type())
		}
		if s.TakeAfterSpace(']') {
			return nil
		}
		if !s.Take(',') {
			return fault.New(fault.Invalid, "it is no list of %s", into.Type())
		}
	}
}

func readValue(s *plain.Scanner, into *frame.Cells) bool {
	if s.Next() == 'n' {
		into.Null()
		return s.Word("null")
	}
	switch into.Type() {
	case frame.String:
		text, simple, ok := s.Quoted()
		if !ok {
			return false
		}
		if simple {
			return into.Text(text[1 : len(text)-1])
		}
		value, err := jsontext.AppendUnquote(nil, text)
		return err == nil && into.Text(value)
	case frame.Bool:
		yes := s.Next() == 't'
		into.Bool(yes)
		return yes && s.Word("true") || !yes && s.Word("false")
	case frame.Timestamp, frame.Date:
		text, ok := s.String()
		if !ok {
			return false
		}
		v, ok := realtime.ParseTime(string(text), into.Type())
		into.Int(v)
		return ok
	}
	text, ok := s.Number()
	if !ok {
		return false
	}
	if into.Type() == frame.Double {
		v, err := strconv.ParseFloat(text, 64)
		into.Double(v)
		return err == nil
	}
	v, err := strconv.ParseInt(text, 10, 64)
	into.Int(v)
	return err == nil
}

// appendFeatures writes an answer.
func appendFeatures(dst []byte, a *online.Answer, at time.Time) []byte {
	dst = append(dst, `{"at":"`...)
	dst = at.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, `","rows":`...)
	dst = strconv.AppendInt(dst, int64(a.Rows), 10)
	dst = append(dst, `,"views":[`...)
	for i := range a.Parts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendPart(dst, &a.Parts[i])
	}
	return append(dst, "]}\n"...)
}

func appendPart(dst []byte, p *online.Part) []byte {
	dst = append(dst, `{"view":`...)
	dst = realtime.AppendText(dst, p.View.Name())
	dst = append(dst, `,"status":[`...)
	for row, s := range p.Status {
		if row > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), s.String()...), '"')
	}
	dst = append(dst, `],"time":[`...)
	for row, s := range p.Status {
		if row > 0 {
			dst = append(dst, ',')
		}
		if s == online.NotFound {
			dst = append(dst, "null"...)
			continue
		}
		dst = append(time.UnixMicro(p.Times[row]).UTC().AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
	}
	dst = append(dst, `],"features":{`...)
	for i := range p.Width() {
		if i > 0 {
			dst = append(dst, ',')
		}
		c := p.Feature(i)
		dst = append(realtime.AppendText(dst, c.Name), ":["...)
		for row := range p.Status {
			if row > 0 {
				dst = append(dst, ',')
			}
			dst = appendCell(dst, p.Cell(row, i), c.Type)
		}
		dst = append(dst, ']')
	}
	return append(dst, "}}"...)
}

func appendCell(dst []byte, c *online.Cell, t frame.Type) []byte {
	if !c.OK {
		return append(dst, "null"...)
	}
	switch t {
	case frame.Double:
		return realtime.AppendDouble(dst, c.Double())
	case frame.Bool:
		return strconv.AppendBool(dst, c.Bool())
	case frame.String:
		return realtime.AppendText(dst, c.Text)
	case frame.Timestamp:
		return append(time.UnixMicro(c.Int()).UTC().AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
	case frame.Date:
		return append(time.Unix(c.Int()*86400, 0).UTC().AppendFormat(append(dst, '"'), time.DateOnly), '"')
	}
	return strconv.AppendInt(dst, c.Int(), 10)
}

// readFeaturesOperation describes the route in the OpenAPI document.
func readFeaturesOperation() *huma.Operation {
	text := &huma.Schema{Type: "string"}
	values := &huma.Schema{Type: "array", Items: &huma.Schema{}, Description: "One value for each entity."}
	part := &huma.Schema{Type: "object", Required: []string{"view", "status", "time", "features"}, Properties: map[string]*huma.Schema{
		"view":     text,
		"status":   {Type: "array", Items: &huma.Schema{Type: "string", Enum: []any{"present", "stale", "not_found"}}},
		"time":     {Type: "array", Items: &huma.Schema{Type: "string", Nullable: true}, Description: "Of the newest event of each entity."},
		"features": {Type: "object", AdditionalProperties: values},
	}}
	return &huma.Operation{
		Method: http.MethodPost, Path: "/v1/features/read", OperationID: "read-features",
		Summary: "Read features of entities from the online store", Tags: []string{"features"}, Security: needs(verbRead),
		RequestBody: &huma.RequestBody{Required: true, Content: jsonOf(&huma.Schema{
			Type: "object", Required: []string{"features", "entities"},
			Properties: map[string]*huma.Schema{
				"features": {Type: "array", Items: text, Description: "view for all features of a view, view:feature for one."},
				"entities": {Type: "object", AdditionalProperties: values, Description: "The entities by column, and what views on demand read."},
				"at":       {Type: "string", Description: "The time that windows are read as of, RFC 3339; the present when absent."},
			},
		})},
		Responses: map[string]*huma.Response{
			"200": {Description: "The features by view and by column.", Content: jsonOf(&huma.Schema{
				Type: "object", Required: []string{"at", "rows", "views"},
				Properties: map[string]*huma.Schema{"at": text, "rows": {Type: "integer"}, "views": {Type: "array", Items: part}},
			})},
			"default": {Description: "A problem document (RFC 9457)."},
		},
	}
}
