// Package ingest brings outside data into the lake: CSV, JSON lines and
// Parquet, compressed or not, from files, buckets and databases.
//
// It is the first stage of the lifecycle. An Ingester reads a spec.Source and
// fills the lake table of the same name; what it needs of the lake it says in
// the interfaces of sink.go, because a stage imports only stages to its left.
//
// What is promised:
//
//   - Every row of the input is in the table or in the quarantine table
//     <source>__quarantine, with the reason, the file and the line. None is
//     lost, and the result counts both.
//   - A run is one snapshot of each of the two tables, or nothing. A run that
//     was killed is repeated from its beginning and gives the same content; a
//     file that is in the table already is not read again.
//   - Types are what the schema declares, or found out from a sample. A later
//     value that needs a wider type starts the reading anew with that type,
//     instead of bending or dropping the value.
//   - Memory is bounded whatever the input says of itself.
//
// # How text is read
//
// A CSV file is UTF-8 (or latin1, by the option encoding) with rows that end
// in LF or CRLF. Its delimiter is found out among comma, semicolon, tab and
// bar. Quotes open only at the beginning of a cell and are doubled inside; a
// row whose quotes or number of cells do not fit is quarantined. Spaces around
// a cell without quotes are no part of it. An empty cell without quotes is
// missing, or what the source's null: lists; in columns of numbers, times and
// bools also "NA", "N/A", "NaN", "null", "None", "?", "-", "." and \N.
//
// A type is chosen when all values of the sample have it but a hundredth,
// from a hundred values on: dirt is put aside, a mixture is text. Whole
// numbers with leading zeros or more than 64 bits are text, because they are
// names. Dates are written 2011-01-31, 1/31/2011, 31/1/2011 or 31.1.2011; of
// the two orders with slashes the first is meant until a value speaks against
// it. Times are ISO 8601 or such a date with a time of day; without a zone
// they are UTC.
//
// A JSON line is an object; nested values become JSON text. Empty lines are
// no rows.
package ingest

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/spec"
)

// Result says what a run did.
type Result struct {
	Rows        int64            `json:"rows"`                 // taken into the table
	Quarantined int64            `json:"quarantined"`          // put aside
	Reasons     map[string]int64 `json:"reasons,omitempty"`    // quarantined rows by reason
	Files       int              `json:"files"`                // read
	Skipped     int              `json:"skipped,omitempty"`    // not read, because they are in the table already
	Snapshot    int64            `json:"snapshot,string"`      // of the table; unchanged when nothing was read
	Columns     []frame.Column   `json:"columns"`              // of the rows read, or of the table
	Bytes       int64            `json:"bytes"`                // of the files read, as stored
	Seconds     float64          `json:"seconds"`              //
	Widened     []string         `json:"widened,omitempty"`    // columns that the sample had guessed too narrow
	Quarantine  int64            `json:"quarantine_id,string"` // snapshot of the quarantine table, 0 without quarantined rows
}

// Progress is how far a run has come. Total is 0 where the size is unknown.
type Progress struct {
	File        string
	Done, Total int64 // bytes
	Rows        int64 // so far, quarantined ones included
	Pass        int   // 1, or more after a column was widened
}

// Limits bound what a run takes on. The zero value means the defaults.
type Limits struct {
	// MaxRow is the size of the longest row of text, in bytes; longer ones
	// are quarantined. Default 8 MiB.
	MaxRow int
	// MaxRatio is by how much compressed input may grow. Default 250.
	MaxRatio int64
	// MaxBytes is the most that one file may unpack to. Default 1 TiB.
	MaxBytes int64
	// MaxColumns bounds the width of a table. Default 4096.
	MaxColumns int
	// Workers is how many goroutines parse. Default: one a processor.
	Workers int
}

// Ingester fills the lake from sources. Its fields are set before its first
// use; then it is safe for many goroutines, as long as no two run the same
// source at the same time.
type Ingester struct {
	Sink   Sink
	Ledger Ledger // nil: nothing is remembered
	// Openers open addresses by scheme ("s3", "azblob", "https"); local files
	// need none.
	Openers map[string]Opener
	// Databases run queries by scheme ("postgres").
	Databases map[string]Database
	// Secret resolves a secret reference; nil: sources have none.
	Secret func(ctx context.Context, reference string) (string, error)
	// Root is the folder that relative paths of sources begin at.
	Root    string
	Scratch string // folder for files on their way; the system's when empty
	Limits  Limits
	Clock   clock.Clock
}

// QuarantineTable is the name of the table that holds a source's bad rows.
func QuarantineTable(source string) string { return source + "__quarantine" }

// Run ingests a source once, under the id of a run. The same id again, after
// a kill, commits nothing twice. progress may be nil; it is called from one
// goroutine at a time, a few times a second.
func (in *Ingester) Run(ctx context.Context, src spec.Source, run string, progress func(Progress)) (Result, error) {
	began := time.Now()
	result, more, err := in.once(ctx, src, run, progress)
	if err == nil && more {
		// That was the rest of a run that had been killed; now the files that
		// came since.
		var rest Result
		rest, _, err = in.once(ctx, src, run, progress)
		result.add(rest)
	}
	if err != nil {
		return Result{}, err
	}
	result.Seconds = time.Since(began).Seconds()
	return result, nil
}

// once does one run. more tells that there may be files left.
func (in *Ingester) once(ctx context.Context, src spec.Source, run string, progress func(Progress)) (_ Result, more bool, err error) {
	j, err := in.newJob(ctx, src, run, progress)
	if err != nil {
		return Result{}, false, err
	}
	result, err := j.run(ctx)
	return result, j.input.resumed, err
}

// add adds what a second run of the same source did.
func (r *Result) add(o Result) {
	r.Rows += o.Rows
	r.Quarantined += o.Quarantined
	r.Bytes += o.Bytes
	r.Files += o.Files
	r.Snapshot, r.Columns = o.Snapshot, o.Columns
	r.Quarantine = max(r.Quarantine, o.Quarantine)
	for reason, n := range o.Reasons {
		if r.Reasons == nil {
			r.Reasons = map[string]int64{}
		}
		r.Reasons[reason] += n
	}
}

// job is one run of one source.
type job struct {
	in       *Ingester
	src      spec.Source
	id       string
	progress func(Progress)
	limits   Limits
	existing []frame.Column // of the table; nil when there is none
	input    input
}

func (in *Ingester) newJob(ctx context.Context, src spec.Source, run string, progress func(Progress)) (*job, error) {
	if src.Name == "" || src.From == "" {
		return nil, fault.New(fault.Invalid, "a source needs a name and a place to read from")
	}
	if progress == nil {
		progress = func(Progress) {}
	}
	existing, err := in.Sink.Columns(ctx, src.Name)
	if err != nil {
		return nil, err
	}
	j := &job{in: in, src: src, id: run, progress: progress, limits: in.Limits.withDefaults(), existing: existing}
	j.input, err = j.findInput(ctx)
	return j, err
}

func (j *job) replaces() bool { return j.src.Mode == "replace" || j.input.database != nil }

// run reads the input, again with wider columns as often as it must, and
// commits.
func (j *job) run(ctx context.Context) (Result, error) {
	if len(j.input.files) == 0 && j.input.database == nil {
		return j.nothingNew(ctx)
	}
	plan, err := j.plan(ctx)
	if err != nil {
		return Result{}, err
	}
	var widened []string
	for pass := 1; ; pass++ {
		l, err := j.load(ctx, plan, pass)
		if err != nil {
			return Result{}, err
		}
		wider := l.wider
		if wider == nil {
			result, err := j.commit(ctx, l)
			result.Widened = widened
			return result, err
		}
		l.abort()
		if pass > maxPasses {
			return Result{}, fault.New(fault.Invalid, "the columns of source %q change their types all the time", j.src.Name).
				Hint("declare a schema: with the types that the columns shall have")
		}
		for _, c := range wider.changed(plan) {
			if !slices.Contains(widened, c) {
				widened = append(widened, c)
			}
		}
		plan = wider
	}
}

// maxPasses bounds how often an input is read anew. A column can be widened
// from int to double to text, so more passes than that are a defect.
const maxPasses = 4

func (j *job) nothingNew(ctx context.Context) (Result, error) {
	snapshot, err := j.in.Sink.Snapshot(ctx, j.src.Name)
	return Result{Snapshot: snapshot, Skipped: j.input.skipped, Columns: j.existing}, err
}

// commitID names the commit. Where files are appended it depends on them and
// not on the run, so that they are taken once even when the kill came between
// the commit and the ledger and the next run has another id.
func (j *job) commitID() string {
	if j.replaces() {
		return j.id
	}
	return commitOfFiles(j.src.Name, j.input.files)
}

func (j *job) commit(ctx context.Context, l *load) (Result, error) {
	if err := j.unchanged(ctx); err != nil {
		l.abort()
		return Result{}, err
	}
	id := j.commitID()
	if err := j.begin(ctx); err != nil {
		l.abort()
		return Result{}, err
	}
	summary := map[string]string{
		"leat.run": j.id, "leat.source": j.src.Name,
		"leat.rows": fmt.Sprint(l.rows), "leat.quarantined": fmt.Sprint(l.bad.rows),
	}
	result := Result{
		Rows: l.rows, Quarantined: l.bad.rows, Reasons: l.bad.reasons, Files: len(j.input.files),
		Skipped: j.input.skipped, Columns: l.plan.columns(), Bytes: l.bytes,
	}
	var err error
	// The quarantine goes first: a kill in between leaves reasons without
	// rows for the repeated run to find, never rows without reasons.
	if l.bad.target != nil {
		result.Quarantine, err = l.bad.target.Commit(ctx, l.bad.paths, Commit{ID: id, Replace: j.replaces(), Summary: summary})
		if err != nil {
			return Result{}, err
		}
	}
	result.Snapshot, err = l.target.Commit(ctx, l.paths, Commit{ID: id, Replace: j.replaces(), Summary: summary})
	if err != nil || j.in.Ledger == nil {
		return result, err
	}
	return result, j.in.Ledger.Record(ctx, j.src.Name, j.input.entries(result, j.now()))
}

// begin notes the files before anything of them is committed.
func (j *job) begin(ctx context.Context) error {
	if j.in.Ledger == nil || j.replaces() {
		return nil
	}
	entries := j.input.entries(Result{}, j.now())
	for i := range entries {
		entries[i].Snapshot = 0
	}
	return j.in.Ledger.Begin(ctx, j.src.Name, entries)
}

func (j *job) now() time.Time {
	if j.in.Clock == nil {
		return clock.System{}.Now()
	}
	return j.in.Clock.Now()
}

func (l Limits) withDefaults() Limits {
	if l.MaxRow <= 0 {
		l.MaxRow = 8 << 20
	}
	if l.MaxRatio <= 0 {
		l.MaxRatio = 250
	}
	if l.MaxBytes <= 0 {
		l.MaxBytes = 1 << 40
	}
	if l.MaxColumns <= 0 {
		l.MaxColumns = 4096
	}
	return l
}

// formatOf finds the format of a file: declared, or by its name.
func (j *job) formatOf(name string) (string, error) {
	if j.src.Format != "" {
		return j.src.Format, nil
	}
	if strings.Contains(name, "://") {
		name, _, _ = strings.Cut(name, "?") // the query of a web server
	}
	base := strings.ToLower(filepath.Base(name))
	for _, packed := range []string{".gz", ".zst", ".zstd"} {
		base = strings.TrimSuffix(base, packed)
	}
	switch filepath.Ext(base) {
	case ".csv", ".tsv", ".txt", ".data":
		return "csv", nil
	case ".jsonl", ".ndjson", ".json":
		return "jsonl", nil
	case ".parquet", ".pq":
		return "parquet", nil
	}
	return "", fault.New(fault.Invalid, "the format of %q is not known by its name", filepath.Base(name)).
		Hint("set format: to csv, jsonl or parquet")
}
