package deploy

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// stored is a row of the table releases. Its body is a header in JSON.
type stored struct {
	Number    int
	ID        string
	Body      string
	CreatedAt int64
}

// header is what a body holds: the bytes that the id is the hash of, as they
// were hashed, and who made the release.
type header struct {
	Content json.RawMessage `json:"release"`
	By      string          `json:"by"`
}

// release reads a row, and refuses one whose bytes are not what its id says.
func (s stored) release() (Release, error) {
	var h header
	if err := json.Unmarshal([]byte(s.Body), &h); err != nil {
		return Release{}, fault.Wrap(err, fault.Corrupt, "release %s", s.ID)
	}
	sum := sha256.Sum256(h.Content)
	if hex.EncodeToString(sum[:]) != s.ID {
		return Release{}, fault.New(fault.Corrupt, "release %s is not what was stored", s.ID).
			Hint("restore the catalog from a backup, or deploy again")
	}
	var hashed struct {
		Endpoint string  `json:"endpoint"`
		Content  Content `json:"content"`
	}
	if err := json.Unmarshal(h.Content, &hashed); err != nil {
		return Release{}, fault.Wrap(err, fault.Corrupt, "release %s", s.ID)
	}
	return Release{
		ID: s.ID, Endpoint: hashed.Endpoint, Number: s.Number, Content: hashed.Content,
		CreatedAt: catalog.Time(s.CreatedAt), CreatedBy: h.By,
	}, nil
}

const selectRelease = `SELECT number, id, body, created_at FROM releases WHERE `

func find(ctx context.Context, tx catalog.Tx, where string, args ...any) (Release, error) {
	var s stored
	if err := tx.Row(ctx, selectRelease+where, args, &s.Number, &s.ID, &s.Body, &s.CreatedAt); err != nil {
		return Release{}, err
	}
	return s.release()
}

func collect(ctx context.Context, tx catalog.Tx, where string, args ...any) ([]Release, error) {
	return catalog.Collect(ctx, tx, func(rows *sql.Rows) (Release, error) {
		var s stored
		if err := rows.Scan(&s.Number, &s.ID, &s.Body, &s.CreatedAt); err != nil {
			return Release{}, err
		}
		return s.release()
	}, selectRelease+where, args...)
}

// history returns the changes of an endpoint, oldest first.
func history(ctx context.Context, tx catalog.Tx, endpoint string) ([]Change, error) {
	return catalog.Collect(ctx, tx, func(rows *sql.Rows) (Change, error) {
		c := Change{Endpoint: endpoint}
		var at int64
		err := rows.Scan(&c.Release, &c.Number, &at, &c.By, &c.Why)
		c.At = catalog.Time(at)
		return c, err
	}, `SELECT release, number, at, by, why FROM endpoint_history WHERE endpoint = ? ORDER BY seq`, endpoint)
}
