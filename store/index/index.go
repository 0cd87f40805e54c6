// Package index is the contract of what finds passages: by their words, by
// their vectors, and only those that the asker may read.
//
// An index belongs to one Knowledge. It holds snapshots: immutable sets of
// passages, each named by whoever committed it. A Build makes a new one beside
// those that are there, from nothing or from a base, and nobody sees it before
// Commit. Which snapshot is live is not known here; a query names its own, so
// that going back and asking "as of" a date are the same query with another
// name.
//
// Who may read a document is not part of a snapshot. Grant, Withdraw and
// Restore hold for every snapshot, from the moment that they return, and a
// document that was never granted is read by nobody. Access and filters are
// applied before anything is ranked: the best K passages are the best K of
// those that the asker may read, and nothing that a caller sees (an order, a
// score, a count) needs a passage that he may not read, but for the statistics
// of words (in how many passages a word stands), which are those of the whole
// snapshot.
//
// Two equal queries on one snapshot get equal answers while access stays as it
// is: passages of equal score are ordered by their id.
//
// Backends are folders below: embedded, postgres, azuresearch. indextest is
// their conformance suite. analysis, vector and fuse are the parts that they
// are made of.
package index

import (
	"context"
	"io"
	"time"
)

// Passage is what is found: a range of a document's text, with what is indexed
// beside it.
type Passage struct {
	// ID names the passage within a snapshot: "<document>#<ordinal>", as
	// PassageID makes it.
	ID string
	// Document is the id of the source, such as "docs/travel.md" or a URL. It
	// is what access and withdrawal go by.
	Document string
	// Version is the SHA-256 of the source, in hex.
	Version string
	// Start and End are the byte range within the version's text, half open.
	Start, End int
	Title      string
	Heading    string // the path of headings: "Travel > Hotels"
	Text       string // the bytes from Start to End
	// Context is indexed with the passage and no part of its text: the header
	// of the table that the passage is a piece of, say.
	Context string
	// Language is the analyzer of the passage: "en", "de"; that of the
	// snapshot's settings when empty.
	Language string
	Page     int    // from 1; 0 where there are no pages
	Ordinal  int    // place among the document's passages; neighbours are one away
	Parent   string // id of the passage of the enclosing section, or ""
	// Fields are what filters ask for. A name may stand several times.
	Fields []Field
	// Vector is the embedding; nil where there is none. All vectors of a
	// snapshot have the same length.
	Vector []float32
}

// Field is a typed attribute of a passage.
type Field struct {
	Name  string
	Value Value
}

// Settings are what a snapshot is built with. They stay with it.
type Settings struct {
	// Language is the analyzer of passages that name none: "en", "de", "es" and
	// so on (package analysis lists them); "" cuts into words and folds case
	// and accents, without stems and stop words.
	Language string
	// K1 and B are the parameters of BM25: how soon repetition of a word stops
	// to count, and how much long passages are held back. Both zero: the
	// defaults of Default.
	K1, B float64
	// Weights say how much an occurrence in each part of a passage counts. All
	// zero: the defaults.
	Weights Weights
}

// Weights say how much one occurrence of a word counts, by where it stands.
type Weights struct {
	Title, Heading, Context, Text float64
}

// Query asks one snapshot. At least one of Text and Vector is there.
type Query struct {
	Snapshot string
	Text     string
	Vector   []float32
	K        int // how many hits at most, 1 to MaxK
	Filter   Filter
	Who      Reader
	Fusion   Fusion // how ranks by text and by vector become one
	Explain  bool
}

// Fusion says how the ranking by text and the ranking by vector become one.
// The zero Fusion is the default: Weighted, with equal weights.
type Fusion struct {
	Method Method
	// Text and Vector are the weights of the two; both zero: equal.
	Text, Vector float64
	// Depth is how many candidates of each ranking are fused; 0: the larger of
	// 100 and 2·K.
	Depth int
	// Rank is the constant of RRF; 0: 60.
	Rank int
}

// Method is a way to fuse.
type Method string

// The methods. Weighted averages scores that were brought to 0..1 within each
// list; RRF sums 1/(Rank+place).
const (
	Weighted Method = "weighted"
	RRF      Method = "rrf"
)

// Hit is a passage that was found, without its vector. Scores fall from hit to
// hit; they compare within one answer only.
type Hit struct {
	Passage Passage
	Score   float64
	Explain *Explain // nil unless asked for
}

// Explain says how a hit came by its score.
type Explain struct {
	Text   *TextScore   // nil: not among the candidates by text
	Vector *VectorScore // nil: not among the candidates by vector
	Fused  float64      // 0 where there was one ranking only
}

// TextScore is the BM25 part of a score: the sum of its terms.
type TextScore struct {
	Rank  int // from 1, among the candidates by text
	Score float64
	Terms []TermScore
}

// TermScore is what one word of the query added.
type TermScore struct {
	Term      string  // as the analyzer left it
	Language  string  // whose analyzer
	Passages  int     // how many passages of the snapshot have it, whoever may read them
	IDF       float64 // weight of a rare word
	Frequency float64 // weighted occurrences in this passage
	Length    float64 // weighted length of this passage over the average one
	Score     float64
}

// VectorScore is the vector part of a score.
type VectorScore struct {
	Rank   int     // from 1, among the candidates by vector
	Cosine float64 // similarity, -1 to 1
}

// Snapshot describes an immutable set of passages.
type Snapshot struct {
	Name      string
	Base      string // the snapshot that it was built from, or ""
	Made      time.Time
	Settings  Settings
	Passages  int
	Documents int
	Dimension int // of its vectors; 0 without
	Bytes     int64
}

// Access says who may read a document.
type Access struct {
	Document string
	Readers  []string // "*", "user:NAME", "group:NAME"; empty: nobody
}

// Bounds of what an index takes.
const (
	MaxK          = 10_000
	MaxName       = 2_048   // bytes of an id, a document, a field's name or a snapshot
	MaxText       = 1 << 20 // bytes of a passage's text, title, heading and context together
	MaxFields     = 256     // of a passage
	MaxQuery      = 32 << 10
	MaxDimension  = 8_192
	MaxReaders    = 1_024 // of a document
	MaxConditions = 1_024 // nodes and values of a filter
	MaxDepth      = 16    // of a filter
)

// Index is one Knowledge's index. It is safe for many goroutines.
//
// Faults: Invalid for what is beyond the bounds, NotFound for a snapshot that
// is not there, Corrupt for stored bytes that are not what was stored,
// Unavailable for a server that does not answer.
type Index interface {
	Searcher
	Snapshots
	Control
	io.Closer
}

// Searcher reads snapshots.
type Searcher interface {
	// Search returns the best K passages that q.Who may read and q.Filter lets
	// through, best first, ties by id. A passage without any word of the query
	// is no hit by text. Fewer than K means that there are no more.
	Search(ctx context.Context, q Query) ([]Hit, error)
	// Passages returns passages by id, in the order of ids; one that is not
	// there, or that who may not read, is left out. At most MaxK at once. The
	// passages have no vectors.
	Passages(ctx context.Context, snapshot string, who Reader, ids []string) ([]Passage, error)
	// Readable tells for each document whether who may read it now. A
	// document of which nothing is known is not readable.
	Readable(ctx context.Context, who Reader, documents []string) ([]bool, error)
}

// Snapshots makes, lists and drops snapshots.
type Snapshots interface {
	// Build begins a snapshot beside those that are there. Builds may run side
	// by side; each becomes its own snapshot.
	Build(ctx context.Context, s Start) (Build, error)
	// Snapshots lists what was committed, the oldest first.
	Snapshots(ctx context.Context) ([]Snapshot, error)
	// Drop forgets a snapshot. Queries that run on it end well; what other
	// snapshots share with it stays. One that is not there is no error.
	Drop(ctx context.Context, name string) error
}

// Start says what a build begins from.
type Start struct {
	// Base is the snapshot whose passages the build begins with; "" begins
	// with none.
	Base string
	// Settings of the new snapshot. With a base, a Language other than the
	// base's, or other Weights, are a Conflict fault: all of its passages would
	// have to be read again. K1 and B may differ.
	Settings Settings
}

// Build makes one snapshot. It is for one goroutine. It ends with Commit or
// Abort; until then nothing of it is seen, and after a kill nothing of it is
// left. A long run that is to go on after a kill commits in between, under a
// name of its own, and builds on from there: what snapshots share is stored
// once.
type Build interface {
	// Put adds passages. The first passage of a document that is put in this
	// build replaces all passages that the base has of that document. An id
	// that was put twice is Invalid.
	Put(ctx context.Context, passages []Passage) error
	// Delete takes documents out, those that were put before included.
	Delete(ctx context.Context, documents []string) error
	// Finisher ends the build.
	Finisher
}

// Finisher ends a build. After either call the build is over.
type Finisher interface {
	// Commit makes the snapshot, whole or not at all: when it returns nil the
	// snapshot survives the loss of power. A name that is taken is a Conflict.
	Commit(ctx context.Context, name string) (Snapshot, error)
	// Abort forgets the build. After Commit it does nothing, so that it may be
	// deferred.
	Abort() error
}

// Control says who may read what. A call that returned nil is durable and
// holds for every query that begins afterwards, on every snapshot, those
// committed later included.
type Control interface {
	// Grant sets the readers of documents, in place of those before.
	Grant(ctx context.Context, access []Access) error
	// Withdraw takes documents away from every reader, Everything included,
	// until Restore. Grant does not bring them back.
	Withdraw(ctx context.Context, documents []string) error
	// Restore gives withdrawn documents back to their readers.
	Restore(ctx context.Context, documents []string) error
}
