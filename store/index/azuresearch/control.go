package azuresearch

import (
	"context"
	"encoding/json"
	"slices"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/index"
)

// access is the body of a record about a document.
type access struct {
	Document  string   `json:"document"`
	Readers   []string `json:"readers"`
	Withdrawn bool     `json:"withdrawn"`
	stamp     string
}

const (
	accessKind   = "access"
	snapshotKind = "snapshot"
)

// keysAtOnce is how many keys stand in one filter.
const keysAtOnce = 200

// Grant sets the readers of documents.
func (x *Index) Grant(ctx context.Context, all []index.Access) error {
	readers := make(map[string][]string, len(all)) // the last of two grants holds
	var names []string
	for _, a := range all {
		if err := a.Check(); err != nil {
			return err
		}
		if _, seen := readers[a.Document]; !seen {
			names = append(names, a.Document)
		}
		readers[a.Document] = a.Readers
	}
	return x.change(ctx, names, func(a *access) { a.Readers = slices.Clone(readers[a.Document]) })
}

// Withdraw takes documents away from every reader.
func (x *Index) Withdraw(ctx context.Context, documents []string) error {
	return x.change(ctx, documents, func(a *access) { a.Withdrawn = true })
}

// Restore gives withdrawn documents back to their readers.
func (x *Index) Restore(ctx context.Context, documents []string) error {
	return x.change(ctx, documents, func(a *access) { a.Withdrawn = false })
}

// change writes down who may read documents, then marks their passages, and
// returns when queries see it.
func (x *Index) change(ctx context.Context, documents []string, apply func(*access)) error {
	for _, d := range documents {
		if err := (index.Access{Document: d}).Check(); err != nil {
			return err
		}
		if !utf8.ValidString(d) {
			return fault.New(fault.Unsupported, "the document %.100q has a name that is no UTF-8", d)
		}
	}
	for part := range slices.Chunk(slices.Compact(slices.Sorted(slices.Values(documents))), keysAtOnce) {
		now, err := x.accessOf(ctx, part)
		if err != nil {
			return err
		}
		records := make([]record, 0, len(part))
		mark := stamp()
		for _, d := range part {
			a := now[d]
			a.Document, a.stamp = d, mark
			apply(&a)
			now[d] = a
			body, err := json.Marshal(a)
			if err != nil {
				return fault.Wrap(err, fault.Internal, "access cannot be written as JSON")
			}
			records = append(records, record{"mergeOrUpload", "r" + hashed(d), accessKind, mark, string(body)})
		}
		if err := send(ctx, x.service, x.control, records); err != nil {
			return err
		}
		if err := x.await(ctx, x.control, "stamp eq "+quote(mark), len(records)); err != nil {
			return err
		}
		if err := x.mark(ctx, now); err != nil {
			return err
		}
	}
	return nil
}

// accessOf reads who may read some documents, at most keysAtOnce.
func (x *Index) accessOf(ctx context.Context, documents []string) (map[string]access, error) {
	keys := make([]string, len(documents))
	for i, d := range documents {
		keys[i] = "r" + hashed(d)
	}
	records, _, err := ask[record](ctx, x.service, x.control, question{Search: "*", Filter: among("key", keys), Select: "key,kind,stamp,body"}, len(keys))
	if err != nil {
		return nil, err
	}
	now := make(map[string]access, len(records))
	for _, r := range records {
		a := access{stamp: r.Stamp}
		if err := json.Unmarshal([]byte(r.Body), &a); err != nil {
			return nil, fault.New(fault.Corrupt, "Azure AI Search has a record of access that cannot be read")
		}
		now[a.Document] = a
	}
	return now, nil
}

// mark brings the passages of documents to what is written down about them.
func (x *Index) mark(ctx context.Context, now map[string]access) error {
	keys := make([]string, 0, len(now))
	byKey := make(map[string]access, len(now))
	for name, a := range now {
		key := hashed(name)
		keys = append(keys, key)
		byKey[key] = a
	}
	slices.Sort(keys)
	some := among("documentKey", keys)
	err := every(ctx, x.service, x.passages, some, "key,documentKey,stamp", func(d document) string { return d.Key }, func(found []document) error {
		var changes []change
		for _, d := range found {
			if a := byKey[d.DocumentKey]; d.Stamp != a.stamp {
				readers := append([]string{}, a.Readers...)
				changes = append(changes, change{Action: "merge", Key: d.Key, Readers: &readers, Withdrawn: &a.Withdrawn, Stamp: a.stamp})
			}
		}
		return send(ctx, x.service, x.passages, changes)
	})
	if err != nil {
		return err
	}
	for key, a := range byKey {
		if err := x.await(ctx, x.passages, "documentKey eq "+quote(key)+" and stamp ne "+quote(a.stamp), 0); err != nil {
			return err
		}
	}
	return nil
}

// Readable tells for each document whether who may read it now.
func (x *Index) Readable(ctx context.Context, who index.Reader, documents []string) ([]bool, error) {
	readable := make([]bool, 0, len(documents))
	for part := range slices.Chunk(documents, keysAtOnce) {
		now, err := x.accessOf(ctx, part)
		if err != nil {
			return nil, err
		}
		for _, d := range part {
			a, known := now[d]
			readable = append(readable, known && !a.Withdrawn && who.May(a.Readers))
		}
	}
	return readable, nil
}
