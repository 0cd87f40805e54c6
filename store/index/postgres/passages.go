package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/index"
)

// Passages returns passages by id.
func (x *Index) Passages(ctx context.Context, name string, who index.Reader, ids []string) ([]index.Passage, error) {
	if len(ids) > index.MaxK {
		return nil, fault.New(fault.TooLarge, "%d passages are asked for, more than %d", len(ids), index.MaxK)
	}
	var found []index.Passage
	err := x.read(ctx, func(tx pgx.Tx) error {
		snapshot, err := readSnapshot(ctx, tx, name)
		if err != nil {
			return err
		}
		st := &statement{}
		st.add("SELECT p.pid, p.id FROM passages p")
		st.visible(snapshot.sid, who, nil, "p")
		st.add(" AND p.id = ANY(")
		st.bind(bytesOf(ids), "bytea[]")
		st.add(")")
		rows, err := tx.Query(ctx, st.text.String(), st.args...)
		if err != nil {
			return err
		}
		var (
			pid  int64
			id   []byte
			pids []int64
		)
		at := make(map[string]int64, len(ids))
		if _, err := pgx.ForEachRow(rows, []any{&pid, &id}, func() error {
			at[string(id)], pids = pid, append(pids, pid)
			return nil
		}); err != nil {
			return err
		}
		passages, err := readPassages(ctx, tx, pids)
		for _, id := range ids {
			if pid, ok := at[id]; ok {
				found = append(found, passages[pid])
			}
		}
		return err
	})
	return found, err
}

// readPassages reads passages by number, without their vectors.
func readPassages(ctx context.Context, tx pgx.Tx, pids []int64) (map[int64]index.Passage, error) {
	rows, err := tx.Query(ctx, `SELECT pid, d.document, id, version, begins, ends, title, heading, text, context, language, page, ordinal, parent
		FROM passages JOIN documents d USING (did) WHERE pid = ANY($1)`, pids)
	if err != nil {
		return nil, err
	}
	found := make(map[int64]index.Passage, len(pids))
	var (
		pid                                                                   int64
		p                                                                     index.Passage
		document, id, version, title, heading, text, around, language, parent []byte
	)
	if _, err := pgx.ForEachRow(rows, []any{&pid, &document, &id, &version, &p.Start, &p.End, &title, &heading, &text, &around, &language,
		&p.Page, &p.Ordinal, &parent}, func() error {
		p.Document, p.ID, p.Version, p.Title, p.Heading = string(document), string(id), string(version), string(title), string(heading)
		p.Text, p.Context, p.Language, p.Parent = string(text), string(around), string(language), string(parent)
		found[pid] = p
		return nil
	}); err != nil {
		return nil, err
	}
	return found, readFields(ctx, tx, pids, found)
}

func readFields(ctx context.Context, tx pgx.Tx, pids []int64, into map[int64]index.Passage) error {
	rows, err := tx.Query(ctx, `SELECT pid, name, kind, coalesce(text, ''), coalesce(whole, 0), coalesce(double, 0) FROM fields WHERE pid = ANY($1) ORDER BY pid, place`, pids)
	if err != nil {
		return err
	}
	var (
		pid        int64
		name, text []byte
		v          index.Value
	)
	_, err = pgx.ForEachRow(rows, []any{&pid, &name, &v.Kind, &text, &v.Int, &v.Double}, func() error {
		v.Text = string(text)
		p := into[pid]
		p.Fields = append(p.Fields, index.Field{Name: string(name), Value: v})
		into[pid] = p
		return nil
	})
	return err
}
