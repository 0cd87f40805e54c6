package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/analysis"
)

// build is one transaction, which nobody sees into before it is committed and
// of which a lost connection leaves nothing.
type build struct {
	x         *Index
	conn      *pgxpool.Conn
	tx        pgx.Tx
	sid       int64
	base      *snapshot // nil: from nothing
	settings  index.Settings
	counter   *counter
	dimension int
	put       map[string]*version // by document, what this build has put
	locked    bool
	over      bool
}

// version is a version of a document that is put.
type version struct {
	did      int64
	ordinals map[int]bool
}

// Build begins a snapshot. It holds a connection until it ends.
func (x *Index) Build(ctx context.Context, start index.Start) (index.Build, error) {
	settings := start.Settings.Default()
	if err := settings.Check(); err != nil {
		return nil, err
	}
	conn, err := x.pool.Acquire(ctx)
	if err != nil {
		return nil, wrap(ctx, err)
	}
	b := &build{x: x, conn: conn, settings: settings, counter: newCounter(settings), put: make(map[string]*version)}
	if err := b.begin(ctx, start.Base); err != nil {
		_ = b.Abort()
		return nil, wrap(ctx, err)
	}
	return b, nil
}

func (b *build) begin(ctx context.Context, base string) (err error) {
	// While a build runs nobody collects the documents of dropped snapshots.
	// The lock is older than the transaction, so that what it sees stays.
	if _, err := b.conn.Exec(ctx, `SELECT pg_advisory_lock_shared($1)`, b.x.lock); err != nil {
		return err
	}
	b.locked = true
	// Repeatable, so that the base is whole even when it is dropped meanwhile.
	// The transaction outlives the call that begins it.
	b.tx, err = b.conn.BeginTx(context.WithoutCancel(ctx), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		return err
	}
	for _, sql := range []string{`SET LOCAL statement_timeout = 0`, `SET LOCAL idle_in_transaction_session_timeout = 0`, `SET LOCAL synchronous_commit = on`} {
		if _, err := b.tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if err := b.tx.QueryRow(ctx, `SELECT nextval('numbers')`).Scan(&b.sid); err != nil || base == "" {
		return err
	}
	if b.base, err = readSnapshot(ctx, b.tx, base); err != nil {
		return err
	}
	was := b.base.Settings
	if analysis.Key(was.Language) != analysis.Key(b.settings.Language) || newCounter(was).units != b.counter.units {
		return fault.New(fault.Conflict, "the snapshot %.100q was built with another language or other weights", base).Hint("build from nothing")
	}
	b.dimension = b.base.Dimension
	_, err = b.tx.Exec(ctx, `INSERT INTO members (sid, did) SELECT $1, did FROM members WHERE sid = $2`, b.sid, b.base.sid)
	return err
}

// Put adds passages: all of them or, when one of them is wrong, none.
func (b *build) Put(ctx context.Context, passages []index.Passage) error {
	dimension, err := b.check(passages)
	if err != nil {
		return err
	}
	if err := b.replace(ctx, passages); err != nil {
		return b.broken(ctx, err)
	}
	for part := range slices.Chunk(passages, 256) {
		if err := b.insert(ctx, part); err != nil {
			return b.broken(ctx, err)
		}
	}
	for i := range passages {
		b.put[passages[i].Document].ordinals[passages[i].Ordinal] = true
	}
	b.dimension = dimension
	return nil
}

// broken ends a build whose transaction has failed.
func (b *build) broken(ctx context.Context, err error) error {
	_ = b.Abort()
	return wrap(ctx, err)
}

func (b *build) check(passages []index.Passage) (dimension int, err error) {
	if b.over {
		return 0, fault.New(fault.Conflict, "the build is over")
	}
	dimension = b.dimension
	type place struct {
		document string
		ordinal  int
	}
	seen := make(map[place]bool, len(passages))
	for i := range passages {
		p := &passages[i]
		if err := p.Check(); err != nil {
			return 0, err
		}
		if n := len(p.Vector); n > 0 && dimension > 0 && n != dimension {
			return 0, fault.New(fault.Invalid, "the vector of passage %.100q has %d numbers, others have %d", p.ID, n, dimension)
		}
		dimension = max(dimension, len(p.Vector))
		at := place{p.Document, p.Ordinal}
		if v := b.put[p.Document]; seen[at] || v != nil && v.ordinals[p.Ordinal] {
			return 0, fault.New(fault.Invalid, "the passage %.100q is put twice", p.ID)
		}
		seen[at] = true
	}
	return dimension, nil
}

// replace gives the documents that this build has not put yet a version of
// their own, in place of the base's.
func (b *build) replace(ctx context.Context, passages []index.Passage) error {
	var fresh []string
	for i := range passages {
		if d := passages[i].Document; b.put[d] == nil {
			b.put[d] = &version{ordinals: make(map[int]bool)}
			fresh = append(fresh, d)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	if err := b.leave(ctx, fresh); err != nil {
		return err
	}
	dids, err := b.numbers(ctx, len(fresh))
	if err != nil {
		return err
	}
	for i, d := range fresh {
		b.put[d].did = dids[i]
	}
	_, err = b.tx.Exec(ctx, `WITH fresh AS (SELECT * FROM unnest($1::bigint[], $2::bytea[]) AS f(did, document)),
		made AS (INSERT INTO documents (did, document) SELECT did, document FROM fresh)
		INSERT INTO members (sid, did) SELECT $3, did FROM fresh`, dids, bytesOf(fresh), b.sid)
	return err
}

// leave takes documents out of the snapshot.
func (b *build) leave(ctx context.Context, documents []string) error {
	_, err := b.tx.Exec(ctx, `DELETE FROM members m USING documents d WHERE m.sid = $1 AND m.did = d.did AND d.document = ANY($2)`, b.sid, bytesOf(documents))
	return err
}

// numbers returns n numbers that nothing else in the schema has.
func (b *build) numbers(ctx context.Context, n int) ([]int64, error) {
	rows, err := b.tx.Query(ctx, `SELECT nextval('numbers') FROM generate_series(1, $1)`, n)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// Delete takes documents out.
func (b *build) Delete(ctx context.Context, documents []string) error {
	if b.over {
		return fault.New(fault.Conflict, "the build is over")
	}
	if len(documents) == 0 {
		return nil
	}
	if err := b.leave(ctx, documents); err != nil {
		return b.broken(ctx, err)
	}
	for _, d := range documents {
		delete(b.put, d)
	}
	return nil
}

// insert writes passages with their terms and fields.
func (b *build) insert(ctx context.Context, passages []index.Passage) error {
	pids, err := b.numbers(ctx, len(passages))
	if err != nil {
		return err
	}
	rows := &columns{}
	var postings, fields [][]any
	for i := range passages {
		p := &passages[i]
		did := b.put[p.Document].did
		counts, length := b.counter.count(p)
		rows.add(p, did, b.counter.analyzer(p), length)
		for term, count := range counts {
			postings = append(postings, []any{[]byte(term), pids[i], did, count, length})
		}
		for place, f := range p.Fields {
			fields = append(fields, fieldRow(pids[i], place, f))
		}
	}
	if err := rows.insert(ctx, b.tx, pids); err != nil {
		return err
	}
	if _, err := b.tx.CopyFrom(ctx, pgx.Identifier{"postings"}, []string{"term", "pid", "did", "count", "length"}, pgx.CopyFromRows(postings)); err != nil {
		return err
	}
	return b.insertFields(ctx, fields)
}

// insertFields goes by a statement: numerics come as text.
func (b *build) insertFields(ctx context.Context, rows [][]any) error {
	batch := &pgx.Batch{}
	for _, r := range rows {
		batch.Queue(`INSERT INTO fields (pid, place, name, kind, text, whole, double, number) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::numeric)`, r...)
	}
	return b.tx.SendBatch(ctx, batch).Close()
}

func fieldRow(pid int64, place int, f index.Field) []any {
	row := []any{pid, place, []byte(f.Name), int16(f.Value.Kind), nil, nil, nil, nil}
	switch f.Value.Kind {
	case index.String:
		row[4] = []byte(f.Value.Text)
	case index.Int:
		row[5], row[7] = f.Value.Int, number(f.Value)
	case index.Double:
		row[6], row[7] = f.Value.Double, number(f.Value)
	default:
		row[5] = f.Value.Int
	}
	return row
}

// columns are passages on their way, an array for each column.
type columns struct {
	did, begins, ends                                                         []int64
	id, version, title, heading, text, context, language, parent, analyzerKey [][]byte
	page, ordinal, length                                                     []int32
	vector                                                                    []*string
}

func (c *columns) add(p *index.Passage, did int64, analyzer string, length int32) {
	c.did, c.begins, c.ends = append(c.did, did), append(c.begins, int64(p.Start)), append(c.ends, int64(p.End))
	c.page, c.ordinal, c.length = append(c.page, int32(p.Page)), append(c.ordinal, int32(p.Ordinal)), append(c.length, length)
	for column, text := range map[*[][]byte]string{
		&c.id: p.ID, &c.version: p.Version, &c.title: p.Title, &c.heading: p.Heading, &c.text: p.Text, &c.context: p.Context,
		&c.language: p.Language, &c.parent: p.Parent, &c.analyzerKey: analyzer,
	} {
		*column = append(*column, []byte(text))
	}
	c.vector = append(c.vector, vectorText(p.Vector))
}

func (c *columns) insert(ctx context.Context, tx pgx.Tx, pids []int64) error {
	_, err := tx.Exec(ctx, `INSERT INTO passages (pid, did, id, version, begins, ends, title, heading, text, context, language, page, ordinal, parent, analyzer, length, vector)
		SELECT pid, did, id, version, begins, ends, title, heading, text, context, language, page, ordinal, parent, analyzer, length, vector::vector
		FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[], $5::bigint[], $6::bigint[], $7::bytea[], $8::bytea[], $9::bytea[], $10::bytea[],
			$11::bytea[], $12::int[], $13::int[], $14::bytea[], $15::bytea[], $16::int[], $17::text[])
		AS p(pid, did, id, version, begins, ends, title, heading, text, context, language, page, ordinal, parent, analyzer, length, vector)`,
		pids, c.did, c.id, c.version, c.begins, c.ends, c.title, c.heading, c.text, c.context,
		c.language, c.page, c.ordinal, c.parent, c.analyzerKey, c.length, c.vector)
	return err
}

// vectorText writes a vector of length one as pgvector reads it, to the last
// digit; nil where there is none, or only zeros, which are near to nothing.
func vectorText(v []float32) *string {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		return nil
	}
	length := math.Sqrt(sum)
	b := make([]byte, 0, len(v)*12)
	for i, x := range v {
		b = append(b, "[,"[min(i, 1)])
		b = strconv.AppendFloat(b, float64(float32(float64(x)/length)), 'g', -1, 32)
	}
	text := string(append(b, ']'))
	return &text
}

// Commit makes the snapshot.
func (b *build) Commit(ctx context.Context, name string) (index.Snapshot, error) {
	if b.over {
		return index.Snapshot{}, fault.New(fault.Conflict, "the build is over")
	}
	if err := index.CheckName(name); err != nil {
		return index.Snapshot{}, err
	}
	s := index.Snapshot{Name: name, Made: time.Now().UTC().Truncate(time.Microsecond), Settings: b.settings}
	if b.base != nil {
		s.Base = b.base.Name
	}
	err := b.commit(ctx, &s)
	_ = b.Abort() // nothing, where it is committed
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == codeUnique {
		return index.Snapshot{}, fault.New(fault.Conflict, "the index has a snapshot %.100q already", name)
	}
	return s, wrap(ctx, err)
}

func (b *build) commit(ctx context.Context, s *index.Snapshot) error {
	settings, err := json.Marshal(b.settings)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "the settings of a snapshot cannot be written")
	}
	if err := b.countTerms(ctx); err != nil {
		return err
	}
	err = b.tx.QueryRow(ctx, `
		WITH analyzed AS (SELECT analyzer, count(*) AS n FROM members JOIN passages USING (did) WHERE sid = $1 GROUP BY analyzer)
		INSERT INTO snapshots (sid, name, base, made, settings, analyzers, analyzed, passages, documents, dimension, length, bytes)
		SELECT $1, $2, $3, $4, $5,
			(SELECT coalesce(array_agg(analyzer ORDER BY analyzer), '{}') FROM analyzed), (SELECT coalesce(array_agg(n ORDER BY analyzer), '{}') FROM analyzed),
			count(pid), count(DISTINCT did),
			coalesce(max(vector_dims(vector)), 0), coalesce(sum(length), 0),
			coalesce(sum(octet_length(text) + octet_length(title) + octet_length(heading) + octet_length(context) + 4 * coalesce(vector_dims(vector), 0)), 0)
		FROM members JOIN passages USING (did) WHERE sid = $1
		RETURNING passages, documents, dimension, bytes`,
		b.sid, []byte(s.Name), []byte(s.Base), s.Made, settings).Scan(&s.Passages, &s.Documents, &s.Dimension, &s.Bytes)
	if err != nil {
		return err
	}
	return b.tx.Commit(ctx)
}

// countTerms writes down in how many passages each term stands: those of the
// base, with what came and without what went.
func (b *build) countTerms(ctx context.Context) error {
	base := int64(-1)
	if b.base != nil {
		base = b.base.sid
	}
	_, err := b.tx.Exec(ctx, `INSERT INTO terms (sid, term, passages)
		SELECT $1, term, sum(passages) FROM (
			SELECT term, passages FROM terms WHERE sid = $2
			UNION ALL
			SELECT term, count(*) FROM postings WHERE did IN (SELECT did FROM members WHERE sid = $1 EXCEPT SELECT did FROM members WHERE sid = $2) GROUP BY term
			UNION ALL
			SELECT term, -count(*) FROM postings WHERE did IN (SELECT did FROM members WHERE sid = $2 EXCEPT SELECT did FROM members WHERE sid = $1) GROUP BY term
		) t GROUP BY term HAVING sum(passages) > 0`, b.sid, base)
	return err
}

// Abort forgets the build.
func (b *build) Abort() error {
	if b.over {
		return nil
	}
	b.over = true
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var err error
	if b.tx != nil {
		if err = b.tx.Rollback(ctx); errors.Is(err, pgx.ErrTxClosed) {
			err = nil
		}
	}
	if b.locked && err == nil {
		_, err = b.conn.Exec(ctx, `SELECT pg_advisory_unlock_shared($1)`, b.x.lock)
	}
	if err != nil {
		_ = b.conn.Conn().Close(ctx) // the server rolls back and unlocks by itself
	}
	b.conn.Release()
	return nil
}

// counter counts the words of passages. It is for one goroutine.
type counter struct {
	language  string // of passages that name none
	units     units
	analyzers map[string]*analysis.Analyzer
	tokens    []analysis.Token
}

// units are the weights of a passage's parts as whole numbers, so that sums do
// not depend on their order.
type units struct {
	title, heading, context, text int64
}

// finest is how many units the weight 1 has.
const finest = 64

func newCounter(s index.Settings) *counter {
	whole := func(weight float64) int64 { return int64(math.Round(weight * finest)) }
	return &counter{language: s.Language, analyzers: make(map[string]*analysis.Analyzer),
		units: units{whole(s.Weights.Title), whole(s.Weights.Heading), whole(s.Weights.Context), whole(s.Weights.Text)}}
}

// analyzer names the analyzer of a passage.
func (c *counter) analyzer(p *index.Passage) string {
	if p.Language != "" {
		return analysis.Key(p.Language)
	}
	return analysis.Key(c.language)
}

func (c *counter) get(name string) *analysis.Analyzer {
	if c.analyzers[name] == nil {
		c.analyzers[name] = analysis.New(name)
	}
	return c.analyzers[name]
}

// count returns the units of each term of a passage, and of all together.
func (c *counter) count(p *index.Passage) (counts map[string]int32, length int32) {
	name := c.analyzer(p)
	counts = make(map[string]int32)
	for _, part := range [...]struct {
		text  string
		units int64
	}{{p.Title, c.units.title}, {p.Heading, c.units.heading}, {p.Context, c.units.context}, {p.Text, c.units.text}} {
		if part.units == 0 {
			continue
		}
		c.tokens = c.get(name).Tokens(part.text, c.tokens[:0])
		for _, t := range c.tokens {
			key := termKey(name, t.Term)
			counts[key] = addUnits(counts[key], part.units)
			length = addUnits(length, part.units)
		}
	}
	return counts, length
}

// addUnits adds without running over.
func addUnits(sum int32, units int64) int32 { return int32(min(int64(sum)+units, math.MaxInt32)) }

// termKey names a term of an analyzer.
func termKey(analyzer, term string) string { return analyzer + "\x00" + term }

func cutKey(key string) (analyzer, term string) {
	analyzer, term, _ = strings.Cut(key, "\x00")
	return analyzer, term
}
