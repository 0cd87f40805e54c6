package openai

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	store "github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/surface/compat"
)

func (x *exchange) listStores() error {
	all, err := x.Stores.Stores(x.r.Context())
	if err != nil {
		return err
	}
	seen := slices.DeleteFunc(all, func(s Store) bool { return !x.seesStore(s.Name) })
	for i := range seen {
		x.uncounted(&seen[i])
	}
	x.out = append(x.out, `{"object":"list","data":[`...)
	for i, s := range seen {
		if i > 0 {
			x.out = append(x.out, ',')
		}
		x.out = s.appendTo(x.out)
	}
	first, last := "", ""
	if len(seen) > 0 {
		first, last = seen[0].Name, seen[len(seen)-1].Name
	}
	x.out = appendOrNull(append(x.out, `],"first_id":`...), first)
	x.out = appendOrNull(append(x.out, `,"last_id":`...), last)
	x.out = append(x.out, `,"has_more":false}`+"\n"...)
	x.reply()
	return nil
}

func (x *exchange) seesStore(name string) bool {
	return x.who.May(verbSearch, name) || x.who.May(verbRead, name)
}

// uncounted takes the counts out of a store for who may search it and no more:
// they may not read every document that is counted.
func (x *exchange) uncounted(s *Store) {
	if !x.who.May(verbRead, s.Name) {
		s.Documents, s.Failed, s.Bytes = 0, 0, 0
	}
}

func (x *exchange) showStore() error {
	name := x.r.PathValue("store")
	if !x.seesStore(name) {
		return x.permit(verbSearch, name)
	}
	all, err := x.Stores.Stores(x.r.Context())
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.Name == name {
			x.uncounted(&s)
			x.out = append(s.appendTo(x.out), '\n')
			x.reply()
			return nil
		}
	}
	return fault.New(fault.NotFound, "no knowledge is called %.80q", name).Hint("GET /v1/vector_stores lists them")
}

func (s *Store) appendTo(dst []byte) []byte {
	dst = compat.AppendString(append(dst, `{"id":`...), s.Name)
	dst = compat.AppendString(append(dst, `,"object":"vector_store","name":`...), s.Name)
	dst = appendInt(append(dst, `,"created_at":`...), max(s.Since.Unix(), 0))
	dst = appendInt(append(dst, `,"usage_bytes":`...), s.Bytes)
	status := "completed"
	if !s.Ready {
		status = "in_progress"
	}
	dst = compat.AppendString(append(dst, `,"status":`...), status)
	dst = appendInt(append(dst, `,"file_counts":{"in_progress":0,"cancelled":0,"completed":`...), s.Documents)
	dst = appendInt(append(dst, `,"failed":`...), s.Failed)
	dst = appendInt(append(dst, `,"total":`...), s.Documents+s.Failed)
	return append(dst, `},"metadata":{},"expires_after":null,"expires_at":null,"last_active_at":null}`...)
}

// searchRequest is the body of a search.
type searchRequest struct {
	Query   texts          `json:"query"`
	Most    *int           `json:"max_num_results"`
	Filters jsontext.Value `json:"filters"`
	Ranking struct {
		Threshold float64 `json:"score_threshold"`
	} `json:"ranking_options"`
}

// The bounds of a search.
const (
	defaultResults = 10
	maxResults     = 50
	maxQueries     = 16
)

func readSearch(body []byte) (q searchRequest, filter index.Filter, err error) {
	if err := json.Unmarshal(body, &q); err != nil {
		return q, nil, unread(err)
	}
	if q.Most == nil {
		most := defaultResults
		q.Most = &most
	}
	switch {
	case len(q.Query) == 0 || slices.Contains(q.Query, ""):
		return q, nil, bad("query", "there is nothing to search for")
	case len(q.Query) > maxQueries:
		return q, nil, bad("query", "a search has at most %d queries", maxQueries)
	case *q.Most < 1 || *q.Most > maxResults:
		return q, nil, bad("max_num_results", "%d results are asked for, not 1 to %d", *q.Most, maxResults)
	}
	filter, err = readFilter(present(q.Filters), 0)
	return q, filter, err
}

func (x *exchange) searchStore() error {
	name := x.r.PathValue("store")
	if err := x.permit(verbSearch, name); err != nil { // before a body is read for them
		return err
	}
	body, err := x.read()
	if err != nil {
		return err
	}
	q, filter, err := readSearch(body)
	if err != nil {
		return err
	}
	var hits []store.Scored
	snapshot := ""
	for _, text := range q.Query {
		found, err := x.Searcher.Search(x.r.Context(), store.Search{Knowledge: name, Text: text, K: *q.Most, Filter: filter, Snapshot: snapshot})
		if err != nil {
			return err
		}
		snapshot = found.Snapshot // all queries ask the same one
		hits = merge(hits, found.Passages)
	}
	hits = hits[:min(len(hits), *q.Most)]
	hits = slices.DeleteFunc(hits, func(s store.Scored) bool { return s.Score < q.Ranking.Threshold })
	x.out = append(x.out, `{"object":"vector_store.search_results.page","search_query":[`...)
	for i, text := range q.Query {
		if i > 0 {
			x.out = append(x.out, ',')
		}
		x.out = compat.AppendString(x.out, text)
	}
	x.out = append(x.out, `],"data":[`...)
	for i := range hits {
		if i > 0 {
			x.out = append(x.out, ',')
		}
		x.out = appendHit(x.out, &hits[i], name, snapshot)
	}
	x.out = append(x.out, `],"has_more":false,"next_page":null}`+"\n"...)
	x.reply()
	return nil
}

// merge joins what several queries found: each passage once, with its best
// score.
func merge(a, b []store.Scored) []store.Scored {
	if len(a) == 0 {
		return b
	}
	for _, s := range b {
		i := slices.IndexFunc(a, func(t store.Scored) bool { return t.ID == s.ID })
		if i < 0 {
			a = append(a, s)
		} else if s.Score > a[i].Score {
			a[i] = s
		}
	}
	slices.SortStableFunc(a, func(s, t store.Scored) int { return cmp.Compare(t.Score, s.Score) })
	return a
}

func appendHit(dst []byte, s *store.Scored, knowledge, snapshot string) []byte {
	dst = appendFile(append(dst, '{'), s.Document, s.Score)
	dst = appendAttributes(append(dst, `,"attributes":`...), s)
	dst = compat.AppendString(append(dst, `,"content":[{"type":"text","text":`...), s.Text)
	dst = compat.AppendString(append(dst, `}],"leat":{"passage":`...), s.ID)
	dst = compat.AppendString(append(dst, `,"knowledge":`...), knowledge)
	dst = compat.AppendString(append(dst, `,"snapshot":`...), snapshot)
	dst = compat.AppendString(append(dst, `,"source":`...), s.Document)
	dst = compat.AppendString(append(dst, `,"source_version":`...), s.Version)
	dst = appendInt(append(dst, `,"byte_start":`...), s.Start)
	dst = appendInt(append(dst, `,"byte_end":`...), s.End)
	dst = compat.AppendString(append(dst, `,"title":`...), s.Title)
	dst = compat.AppendString(append(dst, `,"heading":`...), s.Heading)
	if s.Page > 0 {
		dst = appendInt(append(dst, `,"page":`...), s.Page)
	}
	if s.URL != "" {
		dst = compat.AppendString(append(dst, `,"url":`...), s.URL)
	}
	return append(dst, "}}"...)
}

// appendFile writes the members by which the protocol names a document.
func appendFile(dst []byte, source string, score float64) []byte {
	dst = compat.AppendString(append(dst, `"file_id":`...), source)
	dst = compat.AppendString(append(dst, `,"filename":`...), fileName(source))
	return strconv.AppendFloat(append(dst, `,"score":`...), score, 'g', -1, 64)
}

// appendAttributes writes the fields of a passage: the first value of each,
// because the protocol has no lists there.
func appendAttributes(dst []byte, s *store.Scored) []byte {
	dst = append(dst, '{')
	seen := make([]string, 0, len(s.Fields))
	for _, f := range s.Fields {
		if slices.Contains(seen, f.Name) {
			continue
		}
		if len(seen) > 0 {
			dst = append(dst, ',')
		}
		seen = append(seen, f.Name)
		dst = appendValue(append(compat.AppendString(dst, f.Name), ':'), f.Value)
	}
	return append(dst, '}')
}

func appendValue(dst []byte, v index.Value) []byte {
	switch v.Kind {
	case index.Bool:
		return appendBool(dst, v.Int == 1)
	case index.Int:
		return appendInt(dst, v.Int)
	case index.Double:
		return strconv.AppendFloat(dst, v.Double, 'g', -1, 64)
	case index.Timestamp:
		return compat.AppendString(dst, time.UnixMicro(v.Int).UTC().Format(time.RFC3339Nano))
	}
	return compat.AppendString(dst, v.Text)
}

// readFilter reads a filter of the protocol: a comparison of one attribute, or
// and / or of several.
func readFilter(raw jsontext.Value, depth int) (index.Filter, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	if depth > index.MaxDepth {
		return nil, bad("filters", "a filter is deeper than %d", index.MaxDepth)
	}
	var wire struct {
		Type    string           `json:"type"`
		Key     string           `json:"key"`
		Value   jsontext.Value   `json:"value"`
		Filters []jsontext.Value `json:"filters"`
	}
	if err := json.Unmarshal(raw, &wire); err != nil {
		return nil, bad("filters", "the filter is not understood: %v", err)
	}
	if wire.Type == "and" || wire.Type == "or" {
		parts := make([]index.Filter, len(wire.Filters))
		for i, part := range wire.Filters {
			var err error
			if parts[i], err = readFilter(part, depth+1); err != nil {
				return nil, err
			}
			if parts[i] == nil {
				return nil, bad("filters", "a part of a filter is empty")
			}
		}
		if wire.Type == "and" {
			return index.And(parts), nil
		}
		return index.Or(parts), nil
	}
	if wire.Key == "" {
		return nil, bad("filters", "a comparison names no attribute").hint(`write {"type": "eq", "key": "team", "value": "sales"}`)
	}
	values, err := readValues(wire.Value)
	if err != nil {
		return nil, err
	}
	return comparison(wire.Type, wire.Key, values)
}

func comparison(operator, key string, values []index.Value) (index.Filter, error) {
	single := strings.HasPrefix(operator, "g") || strings.HasPrefix(operator, "l") || operator == "eq" || operator == "ne"
	if single && len(values) != 1 {
		return nil, bad("filters", "%.20s compares with one value", operator)
	}
	switch operator {
	case "eq", "in":
		return index.In{Field: key, Values: values}, nil
	case "ne", "nin":
		return index.Not{Filter: index.In{Field: key, Values: values}}, nil
	case "gt", "gte":
		return index.Range{Field: key, From: &values[0], Above: operator == "gt"}, nil
	case "lt", "lte":
		return index.Range{Field: key, To: &values[0], Below: operator == "lt"}, nil
	}
	return nil, bad("filters", "no comparison is called %.20q", operator).hint("use eq, ne, gt, gte, lt, lte, in, nin, and, or")
}

// readValues reads a value or a list of them. A text that is a time is one:
// the protocol has no other way to write it.
func readValues(raw jsontext.Value) ([]index.Value, error) {
	list := []jsontext.Value{raw}
	if raw.Kind() == '[' {
		list = nil
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, bad("filters", "the values of a comparison are not understood: %v", err)
		}
	}
	values := make([]index.Value, 0, len(list))
	for _, r := range list {
		v, ok := readValue(r)
		if !ok {
			return nil, bad("filters", "an attribute is compared with a text, a number or a truth value, not with %.40s", string(r))
		}
		values = append(values, v)
	}
	return values, nil
}

func readValue(raw jsontext.Value) (index.Value, bool) {
	switch raw.Kind() {
	case '"':
		var text string
		if json.Unmarshal(raw, &text) != nil {
			return index.Value{}, false
		}
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			return index.Time(at), true
		}
		return index.Text(text), true
	case 't', 'f':
		return index.Truth(raw.Kind() == 't'), true
	case '0':
		if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
			return index.Integer(n), true
		}
		f, err := strconv.ParseFloat(string(raw), 64)
		return index.Number(f), err == nil
	}
	return index.Value{}, false
}

// fileName is the last part of a source's name.
func fileName(source string) string { return path.Base(source) }
