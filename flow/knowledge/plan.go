package knowledge

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge/document"
	"github.com/leat-ai/leat/flow/knowledge/source"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/work"
)

// plan is what a run found to do. What there is of every document lies in a
// blob: the database keeps steps, not listings.
type plan struct {
	Head     string            `json:"head"`    // snapshot that the rows of documents describe; "" without
	Fresh    bool              `json:"fresh"`   // the new snapshot begins with nothing
	Recipe   string            `json:"recipe"`  // how documents become passages
	Todo     string            `json:"todo"`    // digest of the blob
	Parts    []part            `json:"parts"`   // ranges of the todo
	Gone     int               `json:"gone"`    // documents that the new snapshot has not any more
	Listed   int               `json:"listed"`  // documents that there are
	States   map[string]string `json:"states"`  // by origin: where its listing came to
	Origins  []string          `json:"origins"` // that were listed
	Problems []Problem         `json:"problems,omitempty"`
	Rebuild  bool              `json:"rebuild,omitempty"` // the recipe is another one
	Redo     bool              `json:"redo,omitempty"`    // and gives other passages
	Began    time.Time         `json:"began"`
}

// part is a range of the todo that one step reads.
type part struct{ From, To int }

func (p plan) nothing() bool { return len(p.Parts) == 0 && p.Gone == 0 && p.Head != "" && !p.Rebuild }

// todo is one document to read.
type todo struct {
	Item   source.Item
	Origin string
	Known  string // its mark when it was last read
	// Readers that it is to have; nil where the document itself says.
	Readers []string
	Named   bool // Readers is what the source says
	// Before is the version that it had when it was last read.
	Before string
	// Again says that Before is to be read again, because what is made of it has
	// changed, and it has not.
	Again bool
}

// origin is a source of the resource with its name among the rows.
type origin struct {
	spec.KnowledgeSource
	name string
}

// origins names the sources of a knowledge: two of one address are told apart.
func origins(k spec.Knowledge) []origin {
	seen := map[string]int{}
	var all []origin
	for _, s := range k.All() {
		name := s.From
		if s.Path != "" {
			name += " " + s.Path
		}
		seen[name]++
		if n := seen[name]; n > 1 {
			name += " (" + strconv.Itoa(n) + ")"
		}
		all = append(all, origin{s, name})
	}
	return all
}

// key changes with what the resource says of a source.
func (o origin) key() string {
	text, err := json.Marshal(o.KnowledgeSource)
	if err != nil {
		return "" // of text: it can be written
	}
	return string(blob.DigestOf(text))[:16]
}

// recipe is all that decides what becomes of a document's bytes.
type recipe struct {
	Rendering int            `json:"rendering"`
	Chunk     spec.Chunking  `json:"chunk"`
	Embed     string         `json:"embed,omitempty"`
	Language  string         `json:"language,omitempty"`
	Fields    spec.Columns   `json:"fields,omitempty"`
	Index     index.Settings `json:"index"`
	At        string         `json:"at"`
}

func (j *job) recipe() recipe {
	return recipe{Rendering: document.Rendering, Chunk: j.spec.Chunk, Embed: j.spec.Embed, Language: j.spec.Language, Fields: j.spec.Fields,
		Index: indexSettings(j.spec), At: j.spec.Index}
}

func (r recipe) text() string {
	text, err := json.Marshal(r)
	if err != nil {
		return "" // of text and numbers: it can be written
	}
	return string(text)
}

// otherPassages tells whether two recipes make other passages of the same
// bytes, and not only another index of the same passages.
func otherPassages(before, after string) bool {
	var a, b recipe
	if json.Unmarshal([]byte(before), &a) != nil || json.Unmarshal([]byte(after), &b) != nil {
		return true
	}
	a.Index, a.At, b.Index, b.At = index.Settings{}, "", index.Settings{}, ""
	return a.text() != b.text()
}

// list finds out what there is and what has to be done. What is gone is
// withdrawn, and what fewer may read is closed, before it returns.
func (j *job) list(ctx context.Context, pr *work.Progress) (plan, error) {
	s := j.store
	l := &listing{job: j, plan: plan{Began: s.deps.Clock.Now(), States: map[string]string{}, Recipe: j.recipe().text()}, seen: map[string]bool{}, progress: pr}
	var err error
	if l.known, err = s.allDocuments(ctx, j.spec.Name); err != nil {
		return plan{}, err
	}
	before, err := l.head(ctx)
	if err != nil {
		return plan{}, err
	}
	if l.unopened {
		if err := j.openLeft(ctx); err != nil {
			return plan{}, err
		}
	}
	for _, o := range origins(j.spec) {
		if err := l.origin(ctx, o); err != nil {
			if ctx.Err() != nil || !ofSource(err) {
				return plan{}, err
			}
			l.problem("", o.name, err)
			continue
		}
		l.plan.Origins = append(l.plan.Origins, o.name)
	}
	if len(l.plan.Origins) == 0 {
		return plan{}, l.noOrigin(ctx)
	}
	l.missing()
	if before != "" && before != l.plan.Recipe {
		l.plan.Rebuild = true
		if otherPassages(before, l.plan.Recipe) {
			l.plan.Redo = true
			l.again()
		}
	}
	if err := l.lost(ctx); err != nil {
		return plan{}, err
	}
	if err := l.close(ctx); err != nil {
		return plan{}, err
	}
	return l.finish(ctx)
}

// lost finds out whether the index has the snapshot that the catalog knows: one
// that was wiped, or is another one now, is built anew.
func (l *listing) lost(ctx context.Context) error {
	s := l.job.store
	if l.plan.Head == "" {
		return nil
	}
	h, err := s.acquire(ctx, l.job.spec)
	if err != nil {
		return err
	}
	defer s.release(h)
	there, err := h.index.Snapshots(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(there, func(x index.Snapshot) bool { return x.Name == l.plan.Head }) {
		l.plan.Fresh, l.plan.Rebuild = true, true
	}
	return nil
}

// listing is what list gathers.
type listing struct {
	job      *job
	plan     plan
	known    map[string]Document
	seen     map[string]bool
	todo     []todo
	gone     []string
	narrowed []Document // with the readers that they keep for now
	changed  []Document // whose readers changed and nothing else
	progress *work.Progress
	stated   map[string]string // where listings came to before
	unopened bool              // the run before did not come to open what it swapped
}

// head finds what the rows of documents describe.
func (l *listing) head(ctx context.Context) (recipe string, err error) {
	s, name := l.job.store, l.job.spec.Name
	err = s.deps.DB.Read(ctx, func(tx catalog.Tx) error {
		l.plan.Head, recipe, l.unopened = "", "", false
		all, err := s.snapshots(ctx, tx, name)
		if err != nil {
			return err
		}
		for _, st := range all {
			if st.State == Ready {
				l.plan.Head, recipe = st.Name, st.settings
				break
			}
		}
		l.stated, err = s.originStates(ctx, tx, name)
		_, l.unopened = l.stated[unopened]
		return err
	})
	l.plan.Fresh = l.plan.Head == ""
	if err == nil && recipe != "" && l.plan.Recipe != recipe {
		l.plan.Fresh = true
		clear(l.stated)
	}
	return recipe, err
}

// fromSource marks an error as one of a source, which the others survive.
type fromSource struct{ error }

func (e fromSource) Unwrap() error { return e.error }

func ofSource(err error) bool {
	_, ok := errors.AsType[fromSource](err)
	return ok
}

// origin lists one source. What is listed is counted only once the whole
// listing is there.
func (l *listing) origin(ctx context.Context, o origin) error {
	src, err := l.job.store.deps.Sources.Source(ctx, l.job.spec.Name, o.KnowledgeSource)
	if err != nil {
		return fromSource{err}
	}
	defer src.Close()
	var own error // an error of ours, which is not the source's
	mine := []todo{}
	seen := map[string]bool{}
	l.progress.Note(o.name)
	since, _ := strings.CutPrefix(l.stated[o.name], o.key()+" ")
	if since == l.stated[o.name] {
		since = "" // the resource says something else of the source now
	}
	next, err := src.List(ctx, since, func(it source.Item) error {
		l.progress.Add(1)
		if why := badID(it.ID); why != nil {
			l.problem(it.ID, o.name, why)
			return nil
		}
		if l.seen[it.ID] || seen[it.ID] {
			l.problem(it.ID, o.name, fault.New(fault.Conflict, "another document has the same id").
				Hint("leave one of them out with exclude, or make ids of rows differ"))
			return nil
		}
		seen[it.ID] = true
		t, ok, err := l.consider(o, it)
		if err == nil && ok {
			mine = append(mine, t)
			if len(mine)%keepTogether == 0 {
				err = l.keep(ctx, mine[len(mine)-keepTogether:])
			}
		}
		own = err
		return err
	})
	if own == nil && err == nil {
		own = l.keep(ctx, mine[len(mine)/keepTogether*keepTogether:])
	}
	switch {
	case errors.Is(own, errUnknown) && since != "" || err == source.ErrSame && !l.still(o, seen):
		delete(l.stated, o.name)
		return l.origin(ctx, o)
	case err == source.ErrSame:
		next, err = since, nil
	case own != nil:
		return own
	}
	if err != nil {
		return fromSource{err}
	}
	l.plan.States[o.name] = o.key() + " " + next
	l.plan.Listed += len(seen)
	for id := range seen {
		l.seen[id] = true
	}
	l.todo = append(l.todo, mine...)
	return nil
}

// still takes the documents of a source, of which nothing has changed, as they
// are known; false where one of them has to be looked at.
func (l *listing) still(o origin, seen map[string]bool) bool {
	for id, d := range l.known {
		if d.Origin != o.name {
			continue
		}
		if d.mark == "" {
			return false
		}
		seen[id] = true
		if o.ReadersFrom == "" {
			l.readers(d, todo{Readers: o.Readers, Named: true}, false)
		}
	}
	return true
}

// keepTogether is how many texts that a listing has at hand go to the blobs at
// the same time: each waits for the disk.
const keepTogether = 64

// keep puts the texts among the blobs that the listing has at hand.
func (l *listing) keep(ctx context.Context, some []todo) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxWorkers)
	for i := range some {
		it := &some[i].Item
		if it.Text == nil {
			continue
		}
		group.Go(func() error {
			digest, err := l.job.store.deps.Blobs.PutBytes(ctx, it.Text)
			it.Version, it.Text = string(digest), nil
			return err
		})
	}
	return group.Wait()
}

// errUnknown is of a source that says a document has not changed which is not
// known: it is listed again from its beginning.
var errUnknown = fault.New(fault.Conflict, "a document is said to be unchanged that is not known")

// consider compares a document with what is known of it.
func (l *listing) consider(o origin, it source.Item) (todo, bool, error) {
	known, there := l.known[it.ID]
	switch {
	case it.Same && !there:
		return todo{}, false, errUnknown
	case it.Same && known.State == stateWithdrawn:
		return todo{Item: source.Item{ID: it.ID, Title: known.Title, URL: known.URL}, Origin: o.name, Readers: known.Readers, Named: true,
			Before: known.Version, Again: true}, known.Version != "", nil
	case it.Same:
		return todo{}, false, nil
	}
	t := todo{Item: it, Origin: o.name, Known: known.mark, Before: known.Version}
	switch {
	case it.Readers != nil:
		t.Readers, t.Named = readerMarks(it.Readers), true
	case o.ReadersFrom == "":
		t.Readers, t.Named = o.Readers, true
	}
	same := there && known.State == stateIndexed && it.Mark != "" && it.Mark == known.mark && known.Origin == o.name
	if same || there && known.State == stateFailed && it.Mark != "" && it.Mark == known.mark {
		l.readers(known, t, false)
		return todo{}, false, nil
	}
	if there && known.State != stateWithdrawn {
		l.readers(known, t, true)
	}
	return t, true, nil
}

// readers notes a change of who may read: what becomes less counts at once,
// what becomes more only with what is to be read.
func (l *listing) readers(known Document, t todo, content bool) {
	if !t.Named || slices.Equal(known.Readers, t.Readers) {
		return
	}
	if !content {
		known.Readers = t.Readers
		l.known[known.ID] = known // what is read again is read for them
		l.changed = append(l.changed, known)
		return
	}
	if fewer := narrow(known.Readers, t.Readers); !slices.Equal(fewer, known.Readers) {
		known.Readers = fewer
		l.narrowed = append(l.narrowed, known)
	}
}

// narrow returns those who may read before and after.
func narrow(before, after []string) []string {
	switch {
	case slices.Contains(before, spec.ReaderAll):
		return after
	case slices.Contains(after, spec.ReaderAll):
		return before
	}
	return slices.DeleteFunc(slices.Clone(before), func(r string) bool { return !slices.Contains(after, r) })
}

// missing finds what is gone: documents of sources that were listed, or that
// are not of the resource any more.
func (l *listing) missing() {
	failed := map[string]bool{}
	for _, o := range origins(l.job.spec) {
		failed[o.name] = !slices.Contains(l.plan.Origins, o.name)
	}
	for id, d := range l.known {
		if !l.seen[id] && !failed[d.Origin] {
			if d.State != stateWithdrawn {
				l.gone = append(l.gone, id)
			}
			l.plan.Gone++
		}
	}
	slices.Sort(l.gone)
}

// again adds all documents whose bytes have not changed, because what is made
// of them has.
func (l *listing) again() {
	listed := map[string]bool{}
	for _, t := range l.todo {
		listed[t.Item.ID] = true
	}
	gone := map[string]bool{}
	for _, id := range l.gone {
		gone[id] = true
	}
	for id, d := range l.known {
		if listed[id] || gone[id] || d.State == stateWithdrawn || d.Version == "" {
			continue
		}
		l.todo = append(l.todo, todo{Item: source.Item{ID: id, Name: id, Mark: d.mark, Title: d.Title, URL: d.URL}, Origin: d.Origin,
			Readers: d.Readers, Named: true, Before: d.Version, Again: true})
	}
}

// close makes effective what may not wait for a snapshot.
func (l *listing) close(ctx context.Context) error {
	if len(l.gone)+len(l.narrowed)+len(l.changed) == 0 {
		return nil
	}
	s, name := l.job.store, l.job.spec.Name
	h, err := s.acquire(ctx, l.job.spec)
	if err != nil {
		return err
	}
	defer s.release(h)
	if err := h.index.Withdraw(ctx, l.gone); err != nil {
		return err
	}
	s.access.Lock()
	defer s.access.Unlock()
	rows, err := l.asThey(ctx)
	if err != nil {
		return err
	}
	if err := h.index.Grant(ctx, accessOf(rows)); err != nil {
		return err
	}
	return s.deps.DB.Write(ctx, func(tx catalog.Tx) error {
		for _, id := range l.gone {
			d := l.known[id]
			d.State, d.Changed, d.mark = stateWithdrawn, l.plan.Began, ""
			if err := s.putDocument(ctx, tx, name, d); err != nil {
				return err
			}
		}
		for _, d := range rows {
			if err := s.putDocument(ctx, tx, name, d); err != nil {
				return err
			}
		}
		return nil
	})
}

// asThey are the rows whose readers are set, without those that somebody closed
// while the listing went on: the next run sees to them.
func (l *listing) asThey(ctx context.Context) ([]Document, error) {
	now, err := l.job.store.allDocuments(ctx, l.job.spec.Name)
	if err != nil {
		return nil, err
	}
	rows := append(slices.Clone(l.narrowed), l.changed...)
	return slices.DeleteFunc(rows, func(d Document) bool {
		current, ok := now[d.ID]
		return !ok || !current.Changed.Equal(d.Changed) || current.State != d.State
	}), nil
}

func accessOf(rows []Document) []index.Access {
	access := make([]index.Access, len(rows))
	for i, d := range rows {
		access[i] = index.Access{Document: d.ID, Readers: d.Readers}
	}
	return access
}

// Bounds of a part: what one step reads, and does again after a kill.
const (
	partDocuments = 128
	partBytes     = 32 << 20
	guessedSize   = 64 << 10
)

// finish keeps the todo and cuts it into parts.
func (l *listing) finish(ctx context.Context) (plan, error) {
	slices.SortFunc(l.todo, func(a, b todo) int { return strings.Compare(a.Item.ID, b.Item.ID) })
	bytesOf := int64(0)
	for i, t := range l.todo {
		last := len(l.plan.Parts) - 1
		size := t.Item.Size
		if size <= 0 {
			size = guessedSize
		}
		if last < 0 || i-l.plan.Parts[last].From >= partDocuments || bytesOf+size > partBytes {
			l.plan.Parts = append(l.plan.Parts, part{i, i})
			last, bytesOf = last+1, 0
		}
		l.plan.Parts[last].To = i + 1
		bytesOf += size
	}
	if len(l.todo) == 0 {
		return l.plan, nil
	}
	digest, err := l.job.store.putGob(ctx, l.todo)
	l.plan.Todo = digest
	return l.plan, err
}

func (l *listing) problem(id, origin string, err error) {
	if len(l.plan.Problems) < maxProblems {
		l.plan.Problems = append(l.plan.Problems, problemOf(id, origin, err))
	}
}

func problemOf(id, origin string, err error) Problem {
	p := Problem{Document: id, Source: origin, Reason: err.Error()}
	if f := faultOf(err); f != nil {
		p.Reason, p.Hint = sentence(f), f.Advice
	}
	return p
}

// noOrigin is the fault of a knowledge none of whose sources can be listed. The
// reasons are kept for whoever asks how it is.
func (l *listing) noOrigin(ctx context.Context) error {
	p := l.plan.Problems[0]
	l.job.plan = l.plan
	if err := l.job.store.deps.DB.Write(ctx, func(tx catalog.Tx) error { return l.job.putOrigins(ctx, tx) }); err != nil {
		return err
	}
	return fault.New(fault.Unavailable, "no source of %q can be read: %s: %s", l.job.spec.Name, p.Source, p.Reason).Hint("%s", p.Hint)
}

// badID tells what is wrong with the id of a document; nil: nothing.
func badID(id string) error {
	if id == "" || len(id) > index.MaxName-16 || !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl) {
		return fault.New(fault.Invalid, "%.60q cannot be the id of a document", id).
			Hint("an id is text of at most %d bytes without control characters", index.MaxName-16)
	}
	return nil
}

// readerMarks completes names alone to those of groups.
func readerMarks(names []string) []string {
	marks := []string{}
	for _, n := range names {
		n = strings.TrimSpace(n)
		switch {
		case n == "":
			continue
		case n == index.Anyone, strings.HasPrefix(n, index.UserPrefix), strings.HasPrefix(n, index.GroupPrefix):
		default:
			n = index.GroupPrefix + n
		}
		if !slices.Contains(marks, n) {
			marks = append(marks, n)
		}
	}
	slices.Sort(marks)
	return marks
}

// onceTodo loads the todo once in each life of a run.
type onceTodo struct {
	mu   sync.Mutex
	list []todo
}

func (j *job) todos(ctx context.Context) ([]todo, error) {
	j.todo.mu.Lock()
	defer j.todo.mu.Unlock()
	if j.todo.list != nil {
		return j.todo.list, nil
	}
	var list []todo
	if err := j.store.getGob(ctx, j.plan.Todo, &list); err != nil {
		return nil, err
	}
	j.todo.list = list
	return list, nil
}

// maxGob bounds what the store reads of its own at once.
const maxGob = 1 << 30

func (s *Store) putGob(ctx context.Context, v any) (string, error) {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(v); err != nil {
		return "", fault.Wrap(err, fault.Internal, "what a run made cannot be written")
	}
	digest, err := s.deps.Blobs.PutBytes(ctx, b.Bytes())
	return string(digest), err
}

func (s *Store) getGob(ctx context.Context, digest string, into any) error {
	content, err := s.deps.Blobs.ReadAll(ctx, blob.Digest(digest), maxGob)
	if err != nil {
		return err
	}
	return fault.Wrap(gob.NewDecoder(bytes.NewReader(content)).Decode(into), fault.Corrupt, "what a run kept cannot be read")
}
