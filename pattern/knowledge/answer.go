package knowledge

import (
	"context"
	"log/slog"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/model"
)

// answerer makes an answer from passages. It calls emit with each part once it
// is checked; after an error what was emitted is no answer.
type answerer interface {
	answer(ctx context.Context, q asked, emit func(Part) error) (said, error)
}

// asked is a question with what was found for it.
type asked struct {
	question     string
	query        string // the question by itself
	conversation []Turn
	passages     []Passage
}

// said is an answer.
type said struct {
	text      string
	sentences []Sentence
	citations []Citation
	abstained bool
	spent     spending
	servedBy  string // who stood in, or ""
	finish    llm.Finish
}

// answers is an answerer as the model of a release.
type answers struct{ answerer answerer }

// Signature names the columns of an answer.
func (m *answers) Signature() model.Signature {
	return model.Signature{
		Task:   model.Custom,
		Inputs: []model.Field{required(columnQuestion), text(columnConversation), text(columnQuery), text(columnPassages), text(columnRewrite)},
		Outputs: []model.Field{
			text(columnAnswer), text(columnCitations), text(columnSentences), {Name: columnAbstained, Type: frame.Bool}, text(columnModel),
			{Name: columnInput, Type: frame.Int}, {Name: columnOutput, Type: frame.Int}, {Name: columnCost, Type: frame.Double},
			text(columnFinish),
		},
	}
}

// Predict answers every row. A question that cannot be answered fails alone.
func (m *answers) Predict(ctx context.Context, in frame.Batch) (frame.Batch, error) {
	fields := m.Signature().Outputs
	names := make([]frame.Column, len(fields))
	for i, f := range fields {
		names[i] = frame.Column{Name: f.Name, Type: f.Type}
	}
	rows := int(in.NumRows())
	columns := newColumns(names)
	errs, failed, servedBy := make([]error, rows), false, ""
	emit := emitterOf(ctx)
	if rows != 1 {
		emit = func(Part) error { return nil }
	}
	for i := range rows {
		s, err := m.row(ctx, in, i, emit)
		if err != nil {
			errs[i], failed = err, true
			for _, c := range columns {
				c.null()
			}
			continue
		}
		if s.servedBy != "" {
			servedBy = s.servedBy
		}
		s.append(columns)
	}
	out := model.WithServedBy(batch(columns, rows), servedBy)
	switch {
	case !failed:
		return out, nil
	case rows == 1:
		out.Release()
		return nil, errs[0]
	}
	return nil, &model.Partial{Out: out, Errs: errs}
}

func (m *answers) row(ctx context.Context, in frame.Batch, i int, emit func(Part) error) (said, error) {
	q := asked{question: texts(in, columnQuestion)[i], query: texts(in, columnQuery)[i]}
	var err error
	if q.conversation, err = read[[]Turn](texts(in, columnConversation)[i], "conversation"); err != nil {
		return said{}, err
	}
	if q.passages, err = read[[]Passage](texts(in, columnPassages)[i], "passages"); err != nil {
		return said{}, err
	}
	rewriting, err := read[spending](texts(in, columnRewrite)[i], "rewriting")
	if err != nil {
		return said{}, err
	}
	if q.query == "" {
		q.query = q.question
	}
	if err := emit(Part{Passages: q.passages}); err != nil {
		return said{}, err
	}
	s, err := m.answerer.answer(ctx, q, emit)
	s.spent.Input += rewriting.Input
	s.spent.Output += rewriting.Output
	s.spent.Cost += rewriting.Cost
	return s, err
}

// append adds an answer to the columns of the signature.
func (s said) append(columns []column) {
	columns[0].text(s.text)
	columns[1].text(written(orEmpty(s.citations)))
	columns[2].text(written(orEmpty(s.sentences)))
	columns[3].builder.(*array.BooleanBuilder).Append(s.abstained)
	columns[4].text(s.spent.Model)
	columns[5].builder.(*array.Int64Builder).Append(int64(s.spent.Input))
	columns[6].builder.(*array.Int64Builder).Append(int64(s.spent.Output))
	columns[7].builder.(*array.Float64Builder).Append(s.spent.Cost)
	columns[8].text(string(finished(s.finish)))
}

// finished is how an answer ended for who reads it. Of all ends only two cut it
// short: a model that calls tools, of which it has none, is at its end.
func finished(f llm.Finish) llm.Finish {
	if f == llm.FinishLength || f == llm.FinishFilter {
		return f
	}
	return llm.FinishStop
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// fallback answers with second where first fails before it has said anything.
type fallback struct {
	first, second answerer
	log           *slog.Logger
	assistant     string
}

func (f *fallback) answer(ctx context.Context, q asked, emit func(Part) error) (said, error) {
	begun := false
	early, cancel := leaveTime(ctx)
	defer cancel()
	s, err := f.first.answer(early, q, func(p Part) error {
		begun = begun || p.Text != ""
		return emit(p)
	})
	if err == nil || begun || ctx.Err() != nil || !standsIn(err) {
		return s, err
	}
	f.log.WarnContext(ctx, "the language model did not answer; the sources are quoted", "assistant", f.assistant, "error", err)
	s, err = f.second.answer(ctx, q, emit)
	s.servedBy = decide.Extractive
	return s, err
}

// standsIn tells whether another answerer may do what failed so. Who may not
// ask, and who went away, gets no other answer.
func standsIn(err error) bool {
	switch fault.KindOf(err) {
	case fault.Forbidden, fault.Unauthenticated, fault.Canceled:
		return false
	}
	return true
}

// quoting is how long quoting may take at most, so that a model that hangs
// leaves time for it.
const quoting = 2 * time.Second

// leaveTime is a context that ends early enough for quotes.
func leaveTime(ctx context.Context) (context.Context, func()) {
	at, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}
	}
	left := time.Until(at)
	return context.WithDeadline(ctx, at.Add(-min(quoting, left/5)))
}
