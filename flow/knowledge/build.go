package knowledge

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/work"
)

// built is a snapshot that lies in the index, and is not live.
type built struct {
	Name      string             `json:"name"`
	Documents int                `json:"documents"`
	Passages  int                `json:"passages"`
	Measures  map[string]float64 `json:"measures,omitempty"`
}

// build makes the snapshot beside those that are there. Its name is the digest
// of what is in it, so that a step that is done twice finds it.
func (j *job) build(ctx context.Context, pr *work.Progress, parts []done) (built, error) {
	s := j.store
	h, err := s.acquire(ctx, j.spec)
	if err != nil {
		return built{}, err
	}
	defer s.release(h)
	before, err := s.allDocuments(ctx, j.spec.Name)
	if err != nil {
		return built{}, err
	}
	rows, changed, err := j.outcome(ctx, before, parts)
	if err != nil {
		return built{}, err
	}
	name := contentName(j.plan.Recipe, rows)
	if err := j.rejectedBefore(ctx, name); err != nil {
		return built{}, err
	}
	there, err := h.index.Snapshots(ctx)
	if err != nil {
		return built{}, err
	}
	find := func(name string) (index.Snapshot, bool) {
		i := slices.IndexFunc(there, func(x index.Snapshot) bool { return x.Name == name })
		if i < 0 {
			return index.Snapshot{}, false
		}
		return there[i], true
	}
	if x, ok := find(name); ok {
		return built{Name: name, Documents: x.Documents, Passages: x.Passages}, nil
	}
	base := j.plan.Head
	if _, ok := find(base); !ok || j.plan.Fresh {
		base = ""
	}
	x, err := j.put(ctx, pr, h.index, base, name, rows, changed)
	return built{Name: name, Documents: x.Documents, Passages: x.Passages}, err
}

// outcome is what the documents are after the run: the rows, and which of them
// have other passages than before.
func (j *job) outcome(ctx context.Context, before map[string]Document, parts []done) (rows map[string]Document, changed map[string]bool, err error) {
	rows, changed = maps.Clone(before), map[string]bool{}
	for _, p := range parts {
		all, err := j.store.preparedOf(ctx, p.Blob)
		if err != nil {
			return nil, nil, err
		}
		for id, one := range all {
			before := rows[id]
			row, keep := j.rowOf(before, one, p.Blob)
			if !keep {
				delete(rows, id)
				continue
			}
			rows[id] = row
			if row.Version != "" && row.sum() != before.sum() && row.inIndex() {
				changed[id] = true
			}
		}
	}
	// What was withdrawn while the run went on keeps its row, so that the next
	// one takes it out of the index.
	maps.DeleteFunc(rows, func(_ string, d Document) bool { return d.State == stateWithdrawn && !d.Changed.After(j.plan.Began) })
	return rows, changed, nil
}

// rowOf is the row of a document that was read. keep is false where it is gone.
func (j *job) rowOf(before Document, p prepared, blobName string) (Document, bool) {
	now := j.plan.Began
	meanwhile := before.ID != "" && before.Changed.After(now) // somebody withdrew it, or closed it to some
	switch {
	case meanwhile && before.State == stateWithdrawn:
		return before, true
	case p.Gone:
		return before, false
	case p.Same:
		before.mark = cmp.Or(p.Mark, before.mark)
		switch {
		case p.Named && meanwhile:
			before.Readers = narrow(before.Readers, p.Readers)
		case p.Named: // the source says it, whether the document changed or not
			before.Readers = p.Readers
		}
		return before, before.ID != ""
	case p.Problem != nil:
		row := before
		if before.ID == "" || before.State == stateWithdrawn {
			row = Document{ID: p.ID, Changed: now}
		}
		row.Origin, row.State, row.Reason, row.Hint = p.Origin, stateFailed, p.Problem.Reason, p.Problem.Hint
		if row.mark = p.Mark; p.Retry {
			row.mark = ""
		}
		if row.Version == "" {
			row.Readers = p.Readers // nothing of it is indexed
		}
		return row, true
	}
	row := Document{ID: p.ID, Origin: p.Origin, State: stateIndexed, Version: p.Version, Readers: p.Readers, Title: p.Title, URL: p.URL,
		Bytes: p.Bytes, Passages: len(p.Chunks), Reason: p.Warning, Changed: before.Changed, mark: p.Mark, text: p.Text,
		prepared: blobName + ":" + p.Sum}
	switch {
	case meanwhile: // its time stays, so that a step that is done twice sees it twice
		row.Readers = narrow(before.Readers, row.Readers)
	case row.Version != before.Version || before.State == stateWithdrawn:
		row.Changed = now
	}
	return row, true
}

// inIndex tells whether a snapshot that is made now has passages of it.
func (d Document) inIndex() bool { return d.Version != "" && d.State != stateWithdrawn }

// sum is the digest of what a document became; blobOf the blob that has it.
func (d Document) sum() string {
	_, sum, _ := strings.Cut(d.prepared, ":")
	return sum
}

func (d Document) blobOf() string {
	name, _, _ := strings.Cut(d.prepared, ":")
	return name
}

// contentName names a snapshot by what is in it.
func contentName(recipe string, rows map[string]Document) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q\n", recipe)
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		if d := rows[id]; d.inIndex() {
			fmt.Fprintf(h, "%q %s\n", id, d.sum())
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:10])
}

// putBatch is how many passages go to the index at a time.
const putBatch = 512

// put builds a snapshot: on the base what changed, or all there is.
func (j *job) put(ctx context.Context, pr *work.Progress, idx index.Index, base, name string, rows map[string]Document, changed map[string]bool) (made index.Snapshot, err error) {
	b, err := idx.Build(ctx, index.Start{Base: base, Settings: indexSettings(j.spec)})
	if err != nil {
		return made, err
	}
	defer func() { err = errors.Join(err, b.Abort()) }()
	if base != "" {
		gone, err := j.goneFrom(ctx, rows)
		if err != nil {
			return made, err
		}
		if err := b.Delete(ctx, gone); err != nil {
			return made, err
		}
	}
	blobs := map[string][]string{}
	total := 0
	for id, d := range rows {
		if d.inIndex() && (base == "" || changed[id]) {
			blobs[d.blobOf()] = append(blobs[d.blobOf()], id)
			total += d.Passages
		}
	}
	pr.Total(int64(total), "passages")
	p := &putting{job: j, build: b, progress: pr}
	// In the order of ids, as the parts were cut: the same content gives the
	// same bytes of an index.
	order := slices.SortedFunc(maps.Keys(blobs), func(a, b string) int { return strings.Compare(slices.Min(blobs[a]), slices.Min(blobs[b])) })
	for _, name := range order {
		if err := p.documents(ctx, name, blobs[name]); err != nil {
			return made, err
		}
	}
	if err := p.flush(ctx); err != nil {
		return made, err
	}
	return b.Commit(ctx, name)
}

// goneFrom lists the documents that the rows before had and the rows after have
// not.
func (j *job) goneFrom(ctx context.Context, rows map[string]Document) ([]string, error) {
	before, err := j.store.allDocuments(ctx, j.spec.Name)
	if err != nil {
		return nil, err
	}
	var gone []string
	for id, d := range before {
		if now, ok := rows[id]; (!ok || !now.inIndex()) && d.Version != "" {
			gone = append(gone, id)
		}
	}
	slices.Sort(gone)
	return gone, nil
}

// putting gathers passages for the index.
type putting struct {
	job      *job
	build    index.Build
	progress *work.Progress
	batch    []index.Passage
}

// documents puts some documents of a blob.
func (p *putting) documents(ctx context.Context, blobName string, ids []string) error {
	all, err := p.job.store.preparedOf(ctx, blobName)
	if err != nil {
		return err
	}
	slices.Sort(ids)
	for _, id := range ids {
		one, ok := all[id]
		if !ok {
			return fault.New(fault.Corrupt, "what was read of %q is not where it was kept", id)
		}
		if err := p.document(ctx, &one); err != nil {
			return err
		}
	}
	return nil
}

func (p *putting) document(ctx context.Context, d *prepared) error {
	if len(d.Chunks) == 0 { // a document without text: what the base has of it goes
		return p.build.Delete(ctx, []string{d.ID})
	}
	text, err := p.job.store.deps.Blobs.ReadAll(ctx, blob.Digest(d.Text), maxText)
	if err != nil {
		return err
	}
	fields := indexFields(p.job.spec, d)
	for i, c := range d.Chunks {
		if c.Start < 0 || c.End > len(text) || c.Start > c.End {
			return fault.New(fault.Corrupt, "the stored text of %q is not what was cut", d.ID)
		}
		passage := index.Passage{ID: passageID(d.ID, c.Ordinal), Document: d.ID, Version: d.Version, Start: c.Start, End: c.End, Title: d.Title,
			Heading: headingOf(d.Title, c), Text: string(text[c.Start:c.End]), Context: c.Context, Language: d.Language, Page: c.Page,
			Ordinal: c.Ordinal, Fields: fields}
		if c.Parent >= 0 {
			passage.Parent = passageID(d.ID, c.Parent)
		}
		if i < len(d.Vectors) {
			passage.Vector = d.Vectors[i]
		}
		p.batch = append(p.batch, passage)
	}
	if len(p.batch) >= putBatch {
		return p.flush(ctx)
	}
	return nil
}

func (p *putting) flush(ctx context.Context) error {
	if len(p.batch) == 0 {
		return nil
	}
	if err := p.build.Put(ctx, p.batch); err != nil {
		return err
	}
	p.progress.Add(int64(len(p.batch)))
	p.batch = p.batch[:0]
	return nil
}

// rejectedBefore ends a run that has made again what the gate refused.
func (j *job) rejectedBefore(ctx context.Context, name string) error {
	key, err := j.gateKey(ctx)
	if err != nil {
		return err
	}
	return j.store.deps.DB.Read(ctx, func(tx catalog.Tx) error {
		st, err := j.store.named(ctx, tx, j.spec.Name, name)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err == nil && st.State == Rejected && st.content == key {
			err = fault.New(fault.Rejected, "the snapshot %s did not pass the gate before, and nothing has changed: %s", name, st.Reason).
				Hint("mend the documents, the questions or the gate")
		}
		return err
	})
}
