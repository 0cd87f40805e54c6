package knowledge

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/feature"
	store "github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/store/index"
)

// retrieval computes the features of a question: what it asks by itself, and
// the passages of the release's snapshots that the caller may read.
type retrieval struct {
	deps      Deps
	assistant *deploy.Assistant
	rewrite   *rewriter
}

func (r *retrieval) Inputs() []model.Field {
	return []model.Field{required(columnQuestion), text(columnConversation), text(columnFilter)}
}

func (r *retrieval) Outputs() []frame.Column {
	return []frame.Column{{Name: columnQuery, Type: frame.String}, {Name: columnPassages, Type: frame.String}, {Name: columnRewrite, Type: frame.String}}
}

func (r *retrieval) Compute(ctx context.Context, in frame.Batch, _ feature.Asked) (frame.Batch, []error, error) {
	questions, conversations, filters := texts(in, columnQuestion), texts(in, columnConversation), texts(in, columnFilter)
	columns := newColumns(r.Outputs())
	var errs []error
	for i, question := range questions {
		query, passages, spent, err := r.of(ctx, question, conversations[i], filters[i])
		if err != nil {
			if errs == nil {
				errs = make([]error, len(questions))
			}
			errs[i] = err
			for _, c := range columns {
				c.null()
			}
			continue
		}
		columns[0].text(query)
		columns[1].text(written(passages))
		if spent == (spending{}) {
			columns[2].null()
		} else {
			columns[2].text(written(spent))
		}
	}
	return batch(columns, len(questions)), errs, nil
}

// of finds the passages of one question.
func (r *retrieval) of(ctx context.Context, question, conversation, filter string) (query string, passages []Passage, spent spending, err error) {
	if most := int(r.assistant.Question); most > 0 && len(question)+len(conversation) > most {
		return "", nil, spent, tooLong(len(question)+len(conversation), most)
	}
	if strings.TrimSpace(question) == "" {
		return "", nil, spent, fault.New(fault.Invalid, "the question is empty")
	}
	turns, err := read[[]Turn](conversation, "conversation")
	if err != nil {
		return "", nil, spent, err
	}
	var narrow index.Filter
	if filter != "" {
		if narrow, err = index.ParseFilter([]byte(filter)); err != nil {
			return "", nil, spent, err
		}
	}
	query, spent = r.rewrite.query(ctx, question, turns)
	passages, err = r.search(ctx, clip(query, maxQuery), narrow)
	return query, passages, spent, err
}

// maxQuery is how much of a question is searched for, in bytes: what is beyond
// is context more than question, and every word costs.
const maxQuery = 4 << 10

// search asks every knowledge of the assistant.
func (r *retrieval) search(ctx context.Context, query string, filter index.Filter) ([]Passage, error) {
	k := r.assistant.Passages
	var all []Passage
	for _, ref := range r.assistant.Knowledge {
		found, err := r.deps.Retriever.Search(ctx, store.Search{Knowledge: ref.Name, Snapshot: ref.Snapshot, Text: query, K: k, Filter: filter})
		if err != nil {
			return nil, err
		}
		passages := passagesOf(found)
		if len(r.assistant.Knowledge) > 1 {
			relative(passages)
		}
		all = append(all, passages...)
	}
	slices.SortStableFunc(all, func(a, b Passage) int { return cmp.Compare(b.Score, a.Score) })
	return all[:min(len(all), k)], nil
}

// relative brings the scores of one index to 0 to 1, so that they compare with
// those of another.
func relative(passages []Passage) {
	if len(passages) == 0 || passages[0].Score <= 0 {
		return
	}
	best := passages[0].Score
	for i := range passages {
		passages[i].Score /= best
	}
}

func passagesOf(found store.Found) []Passage {
	passages := make([]Passage, 0, len(found.Passages))
	for _, p := range found.Passages {
		passages = append(passages, Passage{
			ID: p.ID, Knowledge: found.Knowledge, Snapshot: found.Snapshot, Source: p.Document, Version: p.Version,
			Start: p.Start, End: p.End, Title: p.Title, Heading: p.Heading, Context: p.Context, Page: p.Page, URL: p.URL,
			Score: p.Score, Text: p.Text,
		})
	}
	return passages
}

// clip is the beginning of a text, whole characters of at most n bytes.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "")
}
