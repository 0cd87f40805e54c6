package app

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/decide/record"
)

// The features of an assistant's question, as pattern/knowledge names them.
const (
	featureQuery    = "query"
	featurePassages = "passages"
	featureRewrite  = "rewrite"
)

// assistantRecorder keeps the texts of passages out of the decision log: who
// may read decisions is not for that reason among the readers of a document.
// Which passages were found stays; Citation shows the texts to who may read
// them.
type assistantRecorder struct{ next decide.Recorder }

// recordedPassage is what is kept of a passage. What is not listed here is not
// kept, whatever a passage gets in addition: titles and headings are words of
// a document, too.
type recordedPassage struct {
	ID        string  `json:"id"`
	Knowledge string  `json:"knowledge"`
	Snapshot  string  `json:"snapshot,omitempty"`
	Source    string  `json:"source"`
	Version   string  `json:"version"`
	Start     int     `json:"start"` // bytes of the version's text, half open
	End       int     `json:"end"`
	Page      int     `json:"page,omitempty"`
	Score     float64 `json:"score"`
}

// Record meets decide.Recorder.
func (r assistantRecorder) Record(ctx context.Context, e *record.Entry) error {
	at := passagesIn(e)
	if at < 0 {
		return r.next.Record(ctx, e)
	}
	kept := *e
	kept.Features = withoutTexts(e.Features, at)
	defer kept.Features.Release()
	return r.next.Record(ctx, &kept)
}

// passagesIn is the index of an assistant's passages among the features of an
// entry, negative where there are none. An assistant may be scored with or be
// at a stream's end, too: its features are known by their columns.
func passagesIn(e *record.Entry) int {
	if e.Features == nil {
		return -1
	}
	s := e.Features.Schema()
	if e.Pattern != string(decide.Knowledge) &&
		(s.NumFields() != 3 || frame.Index(s, featureQuery) < 0 || frame.Index(s, featureRewrite) < 0) {
		return -1
	}
	return frame.Index(s, featurePassages)
}

// withoutTexts is a batch whose passages, in the column at, have no texts. It
// is smaller than the batch that it is made of. The caller releases it.
func withoutTexts(b frame.Batch, at int) frame.Batch {
	rows := int(b.NumRows())
	cells := frame.NewCells(frame.String, rows)
	found, _ := b.Column(at).(*array.String)
	for row := range rows {
		if text, ok := passagesAt(found, row); !ok || !cells.Text(text) {
			cells.Null()
		}
	}
	column := cells.Array()
	defer column.Release()
	columns := slices.Clone(b.Columns())
	columns[at] = column
	fields := slices.Clone(b.Schema().Fields())
	fields[at] = arrow.Field{Name: featurePassages, Type: frame.String.Arrow(), Nullable: true}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, int64(rows))
}

// passagesAt is what is kept of a row's passages; nothing of what cannot be
// read as such.
func passagesAt(found *array.String, row int) (text []byte, ok bool) {
	if found == nil || found.IsNull(row) {
		return nil, false
	}
	var kept []recordedPassage
	if err := json.Unmarshal([]byte(found.Value(row)), &kept); err != nil {
		return nil, false
	}
	text, err := json.Marshal(kept)
	return text, err == nil
}
