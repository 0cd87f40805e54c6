package azuresearch

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/leat-ai/leat/store/index/analysis"
)

// scripted is a service that behaves as Azure AI Search is documented to, as
// far as this package uses it: definitions, batches with an answer for each
// document, queries with OData filters, pages. It shows changes late, and has
// no time now and then.
type scripted struct {
	t testing.TB

	mu       sync.Mutex
	indexes  map[string]*stored
	requests int
	seen     []string // method, path and body of each request, where it is to be kept
	keep     bool
	faults   bool // answer 503, 429 and partly, now and then
}

type stored struct {
	definition definition
	documents  map[string]map[string]any // as written
	shown      map[string]map[string]any // as queries see them
	due        int                       // the request from which on all is shown
}

func serve(t testing.TB) (*scripted, *httptest.Server) {
	s := &scripted{t: t, indexes: make(map[string]*stored)}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	s.requests++
	if s.keep {
		s.seen = append(s.seen, r.Method+" "+r.URL.RequestURI()+"\n"+string(body))
	}
	if r.URL.Query().Get("api-version") != version || r.Header.Get("Api-Key") != "secret" {
		s.refuse(w, http.StatusForbidden, "Forbidden")
		return
	}
	if s.faults && s.requests%11 == 0 {
		w.Header().Set("Retry-After", "0")
		s.refuse(w, []int{http.StatusServiceUnavailable, http.StatusTooManyRequests}[s.requests%2], "Busy")
		return
	}
	name, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/indexes/"), "/")
	ix := s.indexes[name]
	switch {
	case r.Method == http.MethodPut && rest == "":
		s.put(w, name, ix, body)
	case ix == nil:
		s.refuse(w, http.StatusNotFound, "IndexNotFound")
	case r.Method == http.MethodGet && rest == "":
		s.answer(w, http.StatusOK, ix.definition)
	case r.Method == http.MethodPost && rest == "docs/index":
		s.write(w, ix, body)
	case r.Method == http.MethodPost && rest == "docs/search":
		s.search(w, ix, body)
	default:
		s.refuse(w, http.StatusBadRequest, "Unknown")
	}
}

func (s *scripted) refuse(w http.ResponseWriter, status int, code string) {
	s.answer(w, status, map[string]any{"error": map[string]string{"code": code, "message": "no"}})
}

func (s *scripted) answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.t.Errorf("answer: %v", err)
	}
}

func (s *scripted) put(w http.ResponseWriter, name string, ix *stored, body []byte) {
	var d definition
	reader := json.NewDecoder(bytes.NewReader(body))
	reader.DisallowUnknownFields()
	if err := reader.Decode(&d); err != nil || d.Name != name {
		s.t.Errorf("definition of %s: %v", name, err)
	}
	if ix == nil {
		ix = &stored{documents: map[string]map[string]any{}, shown: map[string]map[string]any{}}
		s.indexes[name] = ix
	}
	if len(d.Fields) < len(ix.definition.Fields) {
		s.refuse(w, http.StatusBadRequest, "CannotDropFields")
		return
	}
	ix.definition = d
	s.answer(w, http.StatusCreated, d)
}

func (s *scripted) write(w http.ResponseWriter, ix *stored, body []byte) {
	var batch struct{ Value []map[string]any }
	if err := json.Unmarshal(body, &batch); err != nil || len(batch.Value) == 0 || len(batch.Value) > 1000 {
		s.t.Errorf("a batch of %d: %v", len(batch.Value), err)
	}
	type item struct {
		Key    string `json:"key"`
		Status bool   `json:"status"`
		Code   int    `json:"statusCode"`
	}
	var items []item
	for i, d := range batch.Value {
		action, key := d["@search.action"], d["key"].(string)
		delete(d, "@search.action")
		if s.faults && (s.requests+i)%17 == 0 {
			items = append(items, item{key, false, http.StatusServiceUnavailable})
			continue
		}
		old, there := ix.documents[key]
		switch {
		case action == "delete":
			delete(ix.documents, key)
		case action == "merge" && !there:
			items = append(items, item{key, false, http.StatusNotFound})
			continue
		case action == "merge" || action == "mergeOrUpload":
			whole := maps.Clone(old)
			if whole == nil {
				whole = map[string]any{}
			}
			maps.Copy(whole, d)
			ix.documents[key] = whole
		default:
			s.t.Errorf("action %v", action)
		}
		items = append(items, item{key, true, http.StatusOK})
	}
	ix.due = s.requests + 3 // shown three requests later
	s.answer(w, http.StatusMultiStatus, map[string]any{"value": items})
}

func (s *scripted) search(w http.ResponseWriter, ix *stored, body []byte) {
	if s.requests >= ix.due {
		ix.shown = maps.Clone(ix.documents)
	}
	var q question
	reader := json.NewDecoder(bytes.NewReader(body))
	reader.DisallowUnknownFields()
	if err := reader.Decode(&q); err != nil || q.Top > 1000 {
		s.t.Errorf("query %s: %v", body, err)
	}
	holds, err := parseFilter(q.Filter)
	if err != nil {
		s.t.Errorf("filter %s: %v", q.Filter, err)
		s.refuse(w, http.StatusBadRequest, "InvalidFilter")
		return
	}
	var found []map[string]any
	for _, key := range slices.Sorted(maps.Keys(ix.shown)) {
		if d := ix.shown[key]; holds(d, nil) {
			found = append(found, maps.Clone(d))
		}
	}
	if q.Search != "*" {
		found = s.rank(found, q)
	}
	answer := map[string]any{}
	if q.Count {
		answer["@odata.count"] = len(found)
	}
	found = found[min(q.Skip, len(found)):]
	if most := min(q.Top, 7); s.faults && len(found) > most && q.Top > most { // short pages, with where to go on
		next := q
		next.Skip += most
		answer["@search.nextPageParameters"] = next
		found = found[:most]
	}
	found = found[:min(q.Top, len(found))]
	for _, d := range found {
		delete(d, "vector")
		for name := range d {
			if !strings.HasPrefix(name, "@") && !slices.Contains(strings.Split(q.Select, ","), name) {
				delete(d, name)
			}
		}
	}
	answer["value"] = append([]map[string]any{}, found...)
	s.answer(w, http.StatusOK, answer)
}

// rank scores by words, by vectors, or by both through reciprocal ranks.
func (s *scripted) rank(found []map[string]any, q question) []map[string]any {
	scores := map[string]float64{}
	add := func(list []scoredKey, k int, reciprocal bool) {
		slices.SortStableFunc(list, func(a, b scoredKey) int { return cmp.Compare(b.score, a.score) })
		for i, e := range list[:min(k, len(list))] {
			if reciprocal {
				e.score = 1 / float64(60+i+1)
			}
			scores[e.key] += e.score
		}
	}
	both := q.Search != "" && len(q.VectorQueries) > 0
	if q.Search != "" {
		add(byWordsOf(found, q), len(found), both)
	}
	for _, v := range q.VectorQueries {
		var list []scoredKey
		for _, d := range found {
			if vector, ok := d["vector"].([]any); ok {
				list = append(list, scoredKey{d["key"].(string), 1 / (2 - cosineOf(v.Vector, vector))})
			}
		}
		add(list, v.K, both)
	}
	found = slices.DeleteFunc(found, func(d map[string]any) bool { _, ok := scores[d["key"].(string)]; return !ok })
	for _, d := range found {
		d["@search.score"] = scores[d["key"].(string)]
	}
	slices.SortStableFunc(found, func(a, b map[string]any) int {
		return cmp.Compare(b["@search.score"].(float64), a["@search.score"].(float64))
	})
	return found
}

type scoredKey struct {
	key   string
	score float64
}

func byWordsOf(found []map[string]any, q question) (list []scoredKey) {
	for _, d := range found {
		language, _ := d["language"].(string)
		if language == "" {
			language = "en"
		}
		a := analysis.New(language)
		words := a.Tokens(q.Search, nil)
		score := 0.0
		for _, field := range strings.Split(q.SearchFields, ",") {
			for _, t := range a.Tokens(d[field].(string), nil) {
				if slices.ContainsFunc(words, func(w analysis.Token) bool { return w.Term == t.Term }) {
					score++
				}
			}
		}
		if score > 0 {
			list = append(list, scoredKey{d["key"].(string), score})
		}
	}
	return list
}

func cosineOf(a []float32, b []any) float64 {
	var dot, aa, bb float64
	for i, x := range a {
		y := b[i].(float64)
		dot, aa, bb = dot+float64(x)*y, aa+float64(x)*float64(x), bb+y*y
	}
	return dot / math.Sqrt(aa*bb)
}

// holds tells whether a document meets a filter; vars are those of any(…).
type holds func(d map[string]any, vars map[string]any) bool

// filterParser reads the part of OData's filters that this package writes.
type filterParser struct {
	rest string
	err  error
}

func parseFilter(text string) (holds, error) {
	p := &filterParser{rest: text}
	h := p.or()
	if p.err == nil && strings.TrimSpace(p.rest) != "" {
		p.err = fmt.Errorf("%q is left", p.rest)
	}
	return h, p.err
}

func (p *filterParser) take(text string) bool {
	p.rest = strings.TrimLeft(p.rest, " ")
	if rest, ok := strings.CutPrefix(p.rest, text); ok {
		p.rest = rest
		return true
	}
	return false
}

func (p *filterParser) need(text string) {
	if !p.take(text) && p.err == nil {
		p.err = fmt.Errorf("%q is missing before %q", text, p.rest)
		p.rest = ""
	}
}

func (p *filterParser) or() holds {
	h := p.and()
	for p.take("or ") {
		left, right := h, p.and()
		h = func(d, v map[string]any) bool { return left(d, v) || right(d, v) }
	}
	return h
}

func (p *filterParser) and() holds {
	h := p.one()
	for p.take("and ") {
		left, right := h, p.one()
		h = func(d, v map[string]any) bool { return left(d, v) && right(d, v) }
	}
	return h
}

func (p *filterParser) one() holds {
	switch {
	case p.take("not "):
		h := p.one()
		return func(d, v map[string]any) bool { return !h(d, v) }
	case p.take("("):
		h := p.or()
		p.need(")")
		return h
	case p.take("search.in("):
		path := p.word()
		p.need(",")
		list := p.literal()
		p.need(",")
		divider := p.literal()
		p.need(")")
		return func(d, v map[string]any) bool {
			return slices.Contains(strings.Split(list.(string), divider.(string)), value(path, d, v).(string))
		}
	}
	path := p.word()
	if collection, ok := strings.CutSuffix(path, "/any"); ok {
		p.need("(")
		name := p.word()
		p.need(":")
		h := p.or()
		p.need(")")
		return func(d, _ map[string]any) bool {
			list, _ := d[collection].([]any)
			return slices.ContainsFunc(list, func(e any) bool { return h(d, map[string]any{name: e}) })
		}
	}
	operator, want := p.word(), p.literal()
	return func(d, v map[string]any) bool {
		order, ok := compareValues(value(path, d, v), want)
		return ok && map[string]bool{"eq": order == 0, "ne": order != 0, "lt": order < 0, "le": order <= 0, "gt": order > 0, "ge": order >= 0}[operator]
	}
}

func (p *filterParser) word() string {
	p.rest = strings.TrimLeft(p.rest, " ")
	n := strings.IndexFunc(p.rest, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/", r)
	})
	if n <= 0 {
		p.need("a word")
		return ""
	}
	word := p.rest[:n]
	p.rest = p.rest[n:]
	return word
}

func (p *filterParser) literal() any {
	p.rest = strings.TrimLeft(p.rest, " ")
	if !strings.HasPrefix(p.rest, "'") {
		n := strings.IndexAny(p.rest+")", " )")
		text := p.rest[:n]
		p.rest = p.rest[n:]
		switch text {
		case "true", "false":
			return text == "true"
		}
		var f float64
		if _, err := fmt.Sscan(text, &f); err != nil {
			p.need("a number")
		}
		return f
	}
	var b strings.Builder
	for rest := p.rest[1:]; ; {
		before, after, ok := strings.Cut(rest, "'")
		b.WriteString(before)
		if !ok {
			p.need("a quote")
			return ""
		}
		if !strings.HasPrefix(after, "'") {
			p.rest = after
			return b.String()
		}
		b.WriteByte('\'')
		rest = after[1:]
	}
}

// value is that of a path: a field, a variable, or a field of a variable.
func value(path string, d, vars map[string]any) any {
	first, rest, nested := strings.Cut(path, "/")
	v, ok := vars[first]
	if !ok {
		v = d[first]
	}
	if nested {
		fields, _ := v.(map[string]any)
		v = fields[rest]
	}
	return v
}

func compareValues(a, b any) (int, bool) {
	switch a := a.(type) {
	case string:
		b, ok := b.(string)
		return strings.Compare(a, b), ok
	case float64:
		b, ok := b.(float64)
		return cmp.Compare(a, b), ok
	case bool:
		b, ok := b.(bool)
		if a == b {
			return 0, ok
		}
		return 1, ok
	}
	return 0, false // null compares with nothing
}
