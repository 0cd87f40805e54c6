package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/pattern/knowledge"
	"github.com/leat-ai/leat/surface/compat"
)

// dataSource is Azure's way to have a model answer from an index ("On Your
// Data"). The index is a knowledge here, or the assistant over it; how to
// reach and to open it is not read: that is the knowledge's own business.
type dataSource struct {
	Type       string `json:"type"`
	Parameters struct {
		IndexName       string         `json:"index_name"`
		IndexName2023   string         `json:"indexName"`
		Filter          jsontext.Value `json:"filter"`
		IncludeContexts []string       `json:"include_contexts"`
	} `json:"parameters"`
}

// dataAsked is what a request asked of its data source, and how it wants the
// answer.
type dataAsked struct {
	citations, intent, all bool
}

// askWithData answers a request that brings its data source.
func (x *exchange) askWithData(ctx context.Context, name string, q *chatRequest) error {
	if len(q.DataSources) != 1 {
		return bad("data_sources", "a request has one data source, not %d", len(q.DataSources))
	}
	p := q.DataSources[0].Parameters
	index := p.IndexName + p.IndexName2023
	switch {
	case index == "":
		return bad("data_sources", "the data source names no index").hint("set parameters.index_name to the name of a knowledge or of an assistant")
	case len(present(p.Filter)) > 0 && string(p.Filter) != `""`:
		return bad("data_sources", "the filter of a data source is in a language that is not spoken here").
			hint(`send "filter" beside "messages", as the native API has it`)
	}
	m, err := x.assistantOver(ctx, name, index, "data_sources")
	if err != nil {
		return err
	}
	if q.Model == "" {
		q.Model = name
	}
	include := p.IncludeContexts
	if len(include) == 0 {
		include = []string{"citations", "intent"}
	}
	asked := &dataAsked{slices.Contains(include, "citations"), slices.Contains(include, "intent"), slices.Contains(include, "all_retrieved_documents")}
	return x.askAssistant(ctx, m, q, asked)
}

// assistantOver finds who answers with what a knowledge holds: the assistant
// that the request names as its model, if it answers from it; the assistant of
// the knowledge's own name; or the one there is, the one there is with the
// model that the request names.
func (x *exchange) assistantOver(ctx context.Context, name, store, param string) (Model, error) {
	over := func(m Model) bool { return m.Kind == Assistant && slices.Contains(m.Knowledge, store) }
	var found []Model
	for _, m := range x.Names.All(ctx) {
		switch {
		case m.Kind == Assistant && m.Name == bareName(name) && (over(m) || m.Name == store):
			return m, x.permit(verbAsk, m.Name)
		case over(m) || m.Kind == Assistant && m.Name == store:
			found = append(found, m)
		}
	}
	if len(found) > 1 {
		for _, better := range []func(Model) bool{
			func(m Model) bool { return m.LLM == name },
			func(m Model) bool { return m.Name == store },
		} {
			if i := slices.IndexFunc(found, better); i >= 0 {
				found = found[i : i+1]
				break
			}
		}
	}
	found = slices.DeleteFunc(found, func(m Model) bool { return !x.who.May(verbAsk, m.Name) })
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if err := x.permit(verbAsk, store); err != nil { // before they learn whether it is there
			return Model{}, err
		}
		return Model{}, &wrong{param, fault.New(fault.NotFound, "no assistant answers from %.80q", store).
			Hint("declare one: kind: Assistant, knowledge: %.80s", store)}
	}
	names := make([]string, len(found))
	for i, m := range found {
		names[i] = m.Name
	}
	return Model{}, bad(param, "several assistants answer from %.80q: %s", store, strings.Join(names, ", ")).
		hint("name one of them as the model")
}

// markers turns the marks of citations in a text into those of Azure's
// protocol, which count the documents in the context.
func (d *dataAsked) markers(text string, citations []knowledge.Citation, passages []knowledge.Passage) string {
	for _, c := range citations {
		doc := slices.IndexFunc(passages, func(p knowledge.Passage) bool { return p.ID == c.Passage })
		mark := ""
		if doc >= 0 {
			mark = "[doc" + strconv.Itoa(doc+1) + "]"
		}
		text = strings.ReplaceAll(text, fmt.Sprintf("[%d]", c.Number), mark)
	}
	return text
}

// appendContext writes what was found.
func (d *dataAsked) appendContext(dst []byte, passages []knowledge.Passage, query string) []byte {
	dst = append(dst, '{')
	if d.citations {
		dst = append(appendDocuments(append(dst, `"citations":[`...), passages, ""), "],"...)
	}
	if d.intent && query != "" {
		queries, _ := json.Marshal([]string{query}) // a text
		dst = append(compat.AppendString(append(dst, `"intent":`...), string(queries)), ',')
	}
	if d.all {
		dst = append(appendDocuments(append(dst, `"all_retrieved_documents":[`...), passages, query), "],"...)
	}
	return append(bytes.TrimSuffix(dst, []byte{','}), '}')
}

// appendDocuments writes passages as documents; with the query that found
// them, where there is one.
func appendDocuments(dst []byte, passages []knowledge.Passage, query string) []byte {
	for i, p := range passages {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = compat.AppendString(append(dst, `{"content":`...), p.Text)
		dst = compat.AppendString(append(dst, `,"title":`...), titleOf(p.Title, p.Source))
		dst = appendOrNull(append(dst, `,"url":`...), p.URL)
		dst = compat.AppendString(append(dst, `,"filepath":`...), p.Source)
		dst = compat.AppendString(append(dst, `,"chunk_id":`...), p.ID)
		if query != "" {
			queries, _ := json.Marshal([]string{query})
			dst = append(append(dst, `,"search_queries":`...), queries...)
			dst = append(dst, `,"data_source_index":0,"original_search_score":`...)
			dst = strconv.AppendFloat(dst, p.Score, 'g', -1, 64)
		}
		dst = append(dst, '}')
	}
	return dst
}
