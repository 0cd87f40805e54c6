package mcp

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/leat-ai/leat/base/fault"
	store "github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/store/index"
)

// Bounds of a search.
const (
	defaultTop = 10
	maxTop     = 100
	maxQuery   = 16 << 10 // bytes
	parallel   = 4        // knowledge asked at once
)

type searchIn struct {
	Query string `json:"query" jsonschema:"what to look for: a question or a few words"`
}

type searchOut struct {
	Results []result `json:"results" jsonschema:"the best documents first"`
	Notes   []string `json:"notes,omitempty" jsonschema:"what could not be done, such as a knowledge that could not be searched"`
}

type result struct {
	ID    string `json:"id" jsonschema:"what to give to fetch"`
	Title string `json:"title"`
	URL   string `json:"url" jsonschema:"where a person reads it"`
	Text  string `json:"text" jsonschema:"the passage that was found"`
}

// search finds documents, each by its best passage.
func (x *exchange) search(ctx context.Context, in searchIn) (searchOut, error) {
	out := searchOut{Results: []result{}}
	found, err := x.passages(ctx, store.Search{Text: in.Query, K: 2 * defaultTop}, x.knowledge)
	if err != nil {
		return out, err
	}
	out.Notes = found.Notes
	seen := map[string]bool{}
	for _, p := range found.Passages {
		if seen[p.ID] || len(out.Results) == defaultTop {
			continue
		}
		seen[p.ID] = true
		out.Results = append(out.Results, result{ID: p.ID, Title: p.Title, URL: p.URL, Text: p.Text})
	}
	return out, nil
}

type documentsIn struct {
	Query      string         `json:"query" jsonschema:"what to look for: a question or a few words"`
	Knowledge  string         `json:"knowledge,omitempty" jsonschema:"where to look; everywhere when absent"`
	Filter     map[string]any `json:"filter,omitempty" jsonschema:"narrows the documents by their fields: {\"field\":NAME,\"eq\":VALUE}, also in, gt, gte, lt, lte, exists; combined by {\"and\":[...]}, {\"or\":[...]}, {\"not\":...}; a time is {\"time\":\"2026-11-22T10:00:00Z\"}"`
	TopK       int            `json:"top_k,omitempty" jsonschema:"how many passages; 10 when absent, 100 at most"`
	AsOf       string         `json:"as_of,omitempty" jsonschema:"answer as of then: a date or a time of RFC 3339"`
	Neighbours int            `json:"neighbours,omitempty" jsonschema:"how many passages around each are given too; 10 at most"`
}

type documentsOut struct {
	Passages  []passage         `json:"passages" jsonschema:"the best first"`
	Snapshots map[string]string `json:"snapshots" jsonschema:"what was searched, by knowledge"`
	Notes     []string          `json:"notes,omitempty" jsonschema:"what could not be done"`
}

type passage struct {
	ID        string   `json:"id" jsonschema:"of the version of the document"`
	Knowledge string   `json:"knowledge"`
	Source    string   `json:"source" jsonschema:"the document"`
	Version   string   `json:"version" jsonschema:"SHA-256 of the document"`
	Start     int      `json:"start" jsonschema:"where it begins in the document's text, in bytes"`
	End       int      `json:"end"`
	Title     string   `json:"title"`
	Heading   string   `json:"heading,omitempty"`
	Page      int      `json:"page,omitempty"`
	URL       string   `json:"url" jsonschema:"where a person reads it"`
	Score     float64  `json:"score" jsonschema:"comparable within one knowledge only"`
	Text      string   `json:"text"`
	Before    []beside `json:"before,omitempty"`
	After     []beside `json:"after,omitempty"`
}

// beside is a passage beside one that was found.
type beside struct {
	Start int    `json:"start"`
	End   int    `json:"end"`
	Text  string `json:"text"`
}

// searchDocuments finds passages, with all that can be asked for.
func (x *exchange) searchDocuments(ctx context.Context, in documentsIn) (documentsOut, error) {
	names, err := chosen("knowledge", in.Knowledge, x.knowledge)
	if err != nil {
		return documentsOut{Passages: []passage{}}, err
	}
	s := store.Search{Text: in.Query, K: cmp.Or(in.TopK, defaultTop), Neighbours: in.Neighbours}
	if s.K < 1 || s.K > maxTop {
		return documentsOut{Passages: []passage{}}, fault.New(fault.Invalid, "top_k is %d; it must be between 1 and %d", s.K, maxTop)
	}
	if len(in.Filter) > 0 {
		if s.Filter, err = filterOf(in.Filter); err != nil {
			return documentsOut{Passages: []passage{}}, err
		}
	}
	if s.AsOf, err = timeOf(in.AsOf); err != nil {
		return documentsOut{Passages: []passage{}}, err
	}
	return x.passages(ctx, s, names)
}

// filterOf reads a filter out of the object that the protocol made of it.
func filterOf(object map[string]any) (index.Filter, error) {
	text, err := json.Marshal(object)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the filter is not JSON")
	}
	return index.ParseFilter(text)
}

// timeOf reads a time, or the end of a day.
func timeOf(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, 1).Add(-time.Microsecond), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fault.New(fault.Invalid, "%.100q is no time", text).Hint("write 2026-11-22 or 2026-11-22T10:00:00Z")
	}
	return at, nil
}

// passages searches several knowledge at once. What is found in several is
// merged by its place: scores of different indexes cannot be compared. It
// fails only where all fail; where some do, the notes say which and why.
func (x *exchange) passages(ctx context.Context, s store.Search, names []string) (documentsOut, error) {
	out := documentsOut{Passages: []passage{}, Snapshots: map[string]string{}}
	switch {
	case strings.TrimSpace(s.Text) == "":
		return out, fault.New(fault.Invalid, "there is nothing to look for: the query is empty")
	case len(s.Text) > maxQuery:
		return out, fault.New(fault.TooLarge, "the query has %d bytes; %d are taken", len(s.Text), maxQuery)
	}
	found, failed := make([]store.Found, len(names)), make([]error, len(names))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, name := range names {
		group.Go(func() error {
			s := s
			s.Knowledge = name
			failed[i] = x.guarded("search of "+name, func() (err error) {
				found[i], err = x.Searcher.Search(ctx, s)
				return err
			})
			return nil
		})
	}
	_ = group.Wait() // each has its own error
	for i, name := range names {
		if failed[i] != nil {
			out.Notes = append(out.Notes, name+": "+told(failed[i]).Error())
			continue
		}
		out.Snapshots[name] = found[i].Snapshot
		for _, note := range found[i].Notes {
			out.Notes = append(out.Notes, name+": "+note)
		}
	}
	if len(out.Snapshots) == 0 && len(names) > 0 {
		return out, failed[0]
	}
	out.Passages = merged(found, s.K)
	return out, nil
}

// merged takes the first of each, then the second of each, and so on.
func merged(found []store.Found, most int) []passage {
	all := []passage{}
	for place := 0; len(all) < most; place++ {
		more := false
		for _, f := range found {
			if place < len(f.Passages) {
				more = true
				all = append(all, passageOf(f.Knowledge, f.Passages[place]))
			}
		}
		if !more {
			break
		}
	}
	return all[:min(most, len(all))]
}

func passageOf(knowledge string, p store.Scored) passage {
	i := id{knowledge, p.Document, p.Version}
	return passage{
		ID: i.String(), Knowledge: knowledge, Source: p.Document, Version: p.Version, Start: p.Start, End: p.End,
		Title: cmp.Or(p.Title, p.Document), Heading: p.Heading, Page: p.Page, URL: cmp.Or(p.URL, i.uri()), Score: p.Score, Text: p.Text,
		Before: neighbours(p.Before), After: neighbours(p.After),
	}
}

func neighbours(list []index.Passage) []beside {
	return slices.Collect(func(yield func(beside) bool) {
		for _, p := range list {
			if !yield(beside{p.Start, p.End, p.Text}) {
				return
			}
		}
	})
}
