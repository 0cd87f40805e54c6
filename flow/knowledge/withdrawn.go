package knowledge

import (
	"context"
	"database/sql"
	"strings"

	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/index"
)

// closeVersions sets apart the versions from before a document was withdrawn,
// as it comes back: the readers of what is there now were not let in to what
// was there then. A version that comes back itself is what is there now. It is
// called before the row of the document is put.
func (s *Store) closeVersions(ctx context.Context, tx catalog.Tx, knowledge string, d Document) error {
	if d.State == stateWithdrawn {
		return nil // nobody reads any of it
	}
	_, err := tx.Exec(ctx, `UPDATE knowledge_versions SET withdrawn = CASE
			WHEN version = ? AND text = ? THEN 0
			WHEN EXISTS (SELECT 1 FROM knowledge_documents d WHERE d.space = knowledge_versions.space AND d.knowledge = knowledge_versions.knowledge
				AND d.document = knowledge_versions.document AND d.state <> 'withdrawn') THEN withdrawn
			ELSE 1 END
		WHERE space = ? AND knowledge = ? AND document = ?`, d.Version, d.text, s.deps.Space, knowledge, d.ID)
	return err
}

// stateOf is a document as it was once.
type stateOf struct{ document, version string }

// withoutWithdrawn are the hits that are not of versions from before a withdrawal, which
// earlier snapshots still have.
func (s *Store) withoutWithdrawn(ctx context.Context, knowledge string, hits []index.Hit) ([]index.Hit, error) {
	if len(hits) == 0 {
		return hits, nil
	}
	args := []any{s.deps.Space, knowledge}
	seen := map[string]bool{}
	for _, h := range hits {
		if d := h.Passage.Document; !seen[d] {
			seen[d] = true
			args = append(args, d)
		}
	}
	closed := map[stateOf]bool{}
	err := s.deps.DB.Read(ctx, func(tx catalog.Tx) error {
		clear(closed)
		_, err := catalog.Collect(ctx, tx, func(rows *sql.Rows) (struct{}, error) {
			var of stateOf
			err := rows.Scan(&of.document, &of.version)
			closed[of] = true
			return struct{}{}, err
		}, `SELECT document, version FROM knowledge_versions WHERE space = ? AND knowledge = ? AND document IN (?`+strings.Repeat(", ?", len(seen)-1)+`)
			GROUP BY document, version HAVING MIN(withdrawn) = 1`, args...)
		return err
	})
	if err != nil || len(closed) == 0 {
		return hits, err
	}
	open := make([]index.Hit, 0, len(hits))
	for _, h := range hits {
		if !closed[stateOf{h.Passage.Document, h.Passage.Version}] {
			open = append(open, h)
		}
	}
	return open, nil
}
