package ingest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/leat-ai/leat/base/fault"
)

// input is what a run reads: files, or the query of a database.
type input struct {
	files    []source
	skipped  int  // files that are in the table already
	resumed  bool // files are those of a run that did not end; there may be more
	total    int64
	database Database
	address  string
	secret   string
}

// source is a file of the input.
type source struct {
	Object
	format   string
	local    string // path; "" for an object of a bucket
	modified time.Time
}

// findInput lists the files of the source, without those taken before.
func (j *job) findInput(ctx context.Context) (input, error) {
	var in input
	var err error
	if in.secret, err = j.secret(ctx); err != nil {
		return in, err
	}
	in.address = j.src.From
	scheme := schemeOf(j.src.From)
	if db := j.in.Databases[scheme]; db != nil {
		in.database = db
		return in, nil
	}
	if scheme == "" || scheme == "file" {
		in.files, err = j.localFiles(ctx)
	} else {
		in.files, err = j.objects(ctx, scheme, in.secret)
	}
	if err != nil {
		return in, err
	}
	if err := j.skipDone(ctx, &in); err != nil {
		return in, err
	}
	for i := range in.files {
		f := &in.files[i]
		if f.format, err = j.formatOf(f.Name); err != nil {
			return in, err
		}
		in.total += max(0, f.Size)
	}
	return in, nil
}

func (j *job) secret(ctx context.Context) (string, error) {
	if j.src.Secret == "" {
		return "", nil
	}
	if j.in.Secret == nil {
		return "", fault.New(fault.Unsupported, "source %q has a secret, and there is nothing that resolves it", j.src.Name)
	}
	return j.in.Secret(ctx, j.src.Secret)
}

// schemeOf returns the scheme of an address, or "" of a path.
func schemeOf(address string) string {
	scheme, _, found := strings.Cut(address, "://")
	if !found {
		return ""
	}
	scheme = strings.ToLower(scheme)
	if scheme == "postgresql" {
		return "postgres"
	}
	return scheme
}

func (j *job) objects(ctx context.Context, scheme, secret string) ([]source, error) {
	opener := j.in.Openers[scheme]
	if opener == nil {
		return nil, fault.New(fault.Unsupported, "source %q reads from %s://, which is not configured", j.src.Name, scheme)
	}
	found, err := opener.List(ctx, j.src.From, secret, j.src.Options)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, j.nothingThere()
	}
	files := make([]source, len(found))
	for i, o := range found {
		if o.Digest == "" {
			if o.Digest, err = j.digestObject(ctx, opener, o, secret); err != nil {
				return nil, err
			}
		}
		files[i] = source{Object: o}
	}
	return files, nil
}

func (j *job) digestObject(ctx context.Context, opener Opener, o Object, secret string) (string, error) {
	r, err := opener.Open(ctx, o, secret, j.src.Options)
	if err != nil {
		return "", err
	}
	digest, err := digestOf(ctx, r)
	return digest, errors.Join(err, r.Close())
}

func (j *job) nothingThere() error {
	return fault.New(fault.NotFound, "source %q finds nothing at %q", j.src.Name, j.src.From).
		Hint("check the path; relative ones begin at the project's folder")
}

// localFiles expands the path of the source. Folders are walked for **.
func (j *job) localFiles(ctx context.Context) ([]source, error) {
	pattern, err := j.localPattern()
	if err != nil {
		return nil, err
	}
	paths, err := expand(pattern)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "source %q cannot list %q", j.src.Name, j.src.From)
	}
	if len(paths) == 0 {
		return nil, j.nothingThere()
	}
	slices.Sort(paths)
	files := make([]source, 0, len(paths))
	for _, p := range paths {
		f, err := j.localFile(ctx, p)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// localPattern is the path of the source, relative ones from the project's
// folder on.
func (j *job) localPattern() (string, error) {
	pattern := j.src.From
	if schemeOf(pattern) == "file" {
		u, err := url.Parse(pattern)
		if err != nil {
			return "", fault.Wrap(err, fault.Invalid, "source %q", j.src.Name)
		}
		pattern = u.Path
	}
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(j.in.Root, filepath.FromSlash(pattern))
	}
	return pattern, nil
}

func (j *job) localFile(ctx context.Context, p string) (source, error) {
	f, err := os.Open(p)
	if err != nil {
		return source{}, openFault(err, p)
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return source{}, openFault(err, p)
	}
	if !info.Mode().IsRegular() {
		return source{}, fault.New(fault.Invalid, "%q is not a file", p).Hint("to read the files of a folder, write %q", p+"/*")
	}
	s := source{Object: Object{Name: j.nameOf(p), Size: info.Size()}, local: p, modified: info.ModTime()}
	s.Digest, err = digestOf(ctx, f)
	return s, err
}

// nameOf is a path as the ledger has it: from the project's folder on, so
// that a project which moves still knows its files.
func (j *job) nameOf(p string) string {
	if rel, err := filepath.Rel(j.in.Root, p); err == nil && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel)
	}
	return p
}

func openFault(err error, p string) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.NotFound, "there is no file %q", p).Hint("relative paths begin at the project's folder")
	case errors.Is(err, fs.ErrPermission):
		return fault.New(fault.Forbidden, "the file %q may not be read", p)
	}
	return fault.Wrap(err, fault.Unavailable, "the file %q cannot be read", p)
}

// expand returns the files that a pattern means: the path itself, or those
// that match its *, ?, [..] and **, which stands for any number of folders.
func expand(pattern string) ([]string, error) {
	if !strings.ContainsAny(pattern, "*?[") {
		if _, err := os.Lstat(pattern); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return []string{pattern}, nil
	}
	before, after, deep := strings.Cut(filepath.ToSlash(pattern), "**/")
	if !deep {
		return filepath.Glob(pattern)
	}
	var found []string
	err := filepath.WalkDir(filepath.Clean(before), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		ok, err := path.Match(after, path.Base(filepath.ToSlash(p)))
		if ok {
			found = append(found, p)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return found, err
}

// digestOf hashes a whole file. That is several times faster than parsing it,
// and the only name of content that a copy or a touch does not change.
func digestOf(ctx context.Context, r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, cancelable{ctx, r}); err != nil {
		return "", readFault(err, "input")
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// cancelable stops a long read when its context ends.
type cancelable struct {
	ctx context.Context
	r   io.Reader
}

func (c cancelable) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// skipDone leaves out files that the table has. A file that was taken with
// other content would double its old rows, so it is refused.
func (j *job) skipDone(ctx context.Context, in *input) error {
	if j.src.Mode == "replace" || j.in.Ledger == nil {
		return nil
	}
	known, err := j.in.Ledger.Files(ctx, j.src.Name)
	if err != nil {
		return err
	}
	if j.existing == nil { // the table was dropped, and what it had with it
		maps.DeleteFunc(known, func(_ string, e Entry) bool { return e.Snapshot != 0 })
	}
	begun := unfinished(in.files, known)
	if begun != nil {
		taken, err := j.settle(ctx, begun)
		if err != nil {
			return err
		}
		for _, f := range begun {
			e := known[f.Name]
			e.Snapshot = taken
			known[f.Name] = e
		}
		in.resumed = taken == 0
	}
	var changed fault.List
	fresh := in.files[:0]
	for _, f := range in.files {
		switch e, there := known[f.Name]; {
		case !there || e.Snapshot == 0:
			fresh = append(fresh, f)
		case e.Digest == f.Digest:
			in.skipped++
		default:
			changed.Add(fault.New(fault.Conflict, "%q has changed since source %q took it in", f.Name, j.src.Name).
				Hint("set mode: replace to take everything anew, or give new rows a file of their own"))
		}
	}
	in.files = fresh
	if in.resumed {
		in.files = begun
	}
	return changed.Err()
}

// unfinished returns the files of an earlier run that did not end, when all of
// them are still there as they were.
func unfinished(files []source, known map[string]Entry) []source {
	pending := 0
	for _, e := range known {
		if e.Snapshot == 0 {
			pending++
		}
	}
	var begun []source
	for _, f := range files {
		if e, there := known[f.Name]; there && e.Snapshot == 0 && e.Digest == f.Digest {
			begun = append(begun, f)
		}
	}
	if pending == 0 || len(begun) != pending {
		return nil
	}
	return begun
}

// settle finds out whether the run that began with these files committed
// before it was killed, and completes the ledger. It returns the snapshot, or
// 0 when the run has to be done again: with the same files, so that what it
// may have put into the quarantine is recognised.
func (j *job) settle(ctx context.Context, begun []source) (int64, error) {
	sink, ok := j.in.Sink.(Committer)
	if !ok {
		return 0, nil
	}
	snapshot, err := sink.Committed(ctx, j.src.Name, commitOfFiles(j.src.Name, begun))
	if err != nil || snapshot == 0 {
		return 0, err
	}
	entries := (&input{files: begun}).entries(Result{Snapshot: snapshot}, j.now())
	return snapshot, j.in.Ledger.Record(ctx, j.src.Name, entries)
}

// unchanged makes sure that local files are still what was hashed.
func (j *job) unchanged(ctx context.Context) error {
	for _, f := range j.input.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if f.local == "" {
			continue
		}
		info, err := os.Stat(f.local)
		if err != nil || info.Size() != f.Size || !info.ModTime().Equal(f.modified) {
			return fault.New(fault.Conflict, "%q changed while it was being read", f.Name).
				Hint("nothing was taken in; run the ingest again when its writer is done")
		}
	}
	return nil
}

func (in *input) entries(r Result, at time.Time) []Entry {
	entries := make([]Entry, len(in.files))
	for i, f := range in.files {
		entries[i] = Entry{Name: f.Name, Digest: f.Digest, Rows: r.Rows, Quarantined: r.Quarantined, Snapshot: cmp.Or(r.Snapshot, noRows), At: at}
	}
	return entries
}

// commitOfFiles names the commit that takes files into a table.
func commitOfFiles(table string, files []source) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q", table)
	for _, f := range files {
		fmt.Fprintf(h, "%q%q", f.Name, f.Digest)
	}
	return "ingest:" + hex.EncodeToString(h.Sum(nil)[:16])
}

// stream opens the content of a file, unpacked. read counts its bytes as they
// are stored.
func (j *job) stream(ctx context.Context, f source, read *atomic.Int64) (io.ReadCloser, error) {
	raw, err := j.raw(ctx, f)
	if err != nil {
		return nil, err
	}
	content, err := unpack(cancelable{ctx, raw}, f.Name, j.limits, read)
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return &stacked{content, raw}, nil
}

func (j *job) raw(ctx context.Context, f source) (io.ReadCloser, error) {
	if f.local == "" {
		return j.in.Openers[schemeOf(f.Name)].Open(ctx, f.Object, j.input.secret, j.src.Options)
	}
	opened, err := os.Open(f.local)
	if err != nil {
		return nil, openFault(err, f.local)
	}
	return opened, nil
}

// stacked closes what it reads from and what that reads from.
type stacked struct {
	io.ReadCloser
	below io.Closer
}

func (s *stacked) Close() error { return errors.Join(s.ReadCloser.Close(), s.below.Close()) }
