package decide

import (
	"context"
	"database/sql"
	"strings"

	"github.com/leat-ai/leat/store/catalog"
)

// askAtOnce is how many keys one statement asks for.
const askAtOnce = 200

// Answered tells which keys were answered at an endpoint, whoever asked, so
// that another pattern does not decide the same again. At an endpoint where
// nobody uses keys it costs one look at an index.
func (l *Ledger) Answered(ctx context.Context, endpoint string, keys []string) (map[string]bool, error) {
	found := map[string]bool{}
	now := catalog.Micros(l.clock.Now())
	from, to := endpoint+"\x1f", endpoint+"\x20" // the scopes of an endpoint
	err := l.db.Read(ctx, func(tx catalog.Tx) error {
		used, err := catalog.Collect(ctx, tx, scanText, `SELECT scope FROM ledger WHERE scope >= ? AND scope < ? LIMIT 1`, from, to)
		if err != nil || len(used) == 0 {
			return err
		}
		for len(keys) > 0 {
			part := keys[:min(askAtOnce, len(keys))]
			keys = keys[len(part):]
			args := []any{from, to, now}
			for _, k := range part {
				args = append(args, k)
			}
			marks := strings.TrimSuffix(strings.Repeat("?,", len(part)), ",")
			names, err := catalog.Collect(ctx, tx, scanText, `SELECT key FROM ledger WHERE scope >= ? AND scope < ? AND expires_at > ?
				AND decision NOT LIKE '`+pending+`%' AND key IN (`+marks+`)`, args...)
			if err != nil {
				return err
			}
			for _, name := range names {
				found[name] = true
			}
		}
		return nil
	})
	return found, err
}

func scanText(rows *sql.Rows) (text string, err error) { return text, rows.Scan(&text) }
