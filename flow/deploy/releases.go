package deploy

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// Releases keeps releases and the live one of each endpoint. It is safe for
// many goroutines, and for many replicas on one catalog.
type Releases struct {
	db    catalog.Database
	clock clock.Clock

	mu       sync.Mutex
	watchers map[chan struct{}]bool
	listener Listener
}

// Listener is told of changes of what is live.
type Listener interface {
	// Live is called in the transaction of a change, before its commit, with
	// the number of the change: what it writes happens with the change or not
	// at all. It may be called again.
	Live(ctx context.Context, tx catalog.Tx, seq int64, c Change) error
}

// Announce makes a listener hear of changes. It is called once, before the
// releases are used.
func (r *Releases) Announce(to Listener) { r.listener = to }

// New returns the releases of a catalog.
func New(db catalog.Database, clock clock.Clock) *Releases {
	return &Releases{db: db, clock: clock, watchers: map[chan struct{}]bool{}}
}

// Hash returns the id that content has as a release of an endpoint, and the
// bytes that it is the SHA-256 of.
func Hash(endpoint string, c Content) (id string, body []byte, err error) {
	if len(c.Features) == 0 { // an empty list is the same content as none
		c.Features = nil
	}
	body, err = json.Marshal(struct {
		Endpoint string  `json:"endpoint"`
		Content  Content `json:"content"`
	}{endpoint, c})
	if err != nil {
		return "", nil, fault.Wrap(err, fault.Invalid, "the content of a release of %s cannot be written", endpoint)
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:]), body, nil
}

func check(endpoint, why string, c Content) error {
	var l fault.List
	if endpoint == "" {
		l.Add(fault.New(fault.Invalid, "a release needs an endpoint"))
	}
	if why == WhyRollback {
		l.Add(fault.New(fault.Invalid, "the reason %q is that of Rollback", why))
	}
	if a := c.Assistant; a != nil {
		l.Add(a.check(endpoint, len(c.Variants)))
	} else if len(c.Variants) == 0 {
		l.Add(fault.New(fault.Invalid, "a release of %s needs a variant", endpoint))
	}
	for _, v := range c.Variants {
		if v.Model == "" || v.Version < 1 || v.ID == "" {
			l.Add(fault.New(fault.Invalid, "variant %q of %s does not name a model version", v.Name, endpoint))
		}
	}
	return l.Err()
}

func (a *Assistant) check(name string, variants int) error {
	switch {
	case variants > 0:
		return fault.New(fault.Invalid, "a release of %s is an assistant's and has variants of a model", name)
	case len(a.Knowledge) == 0:
		return fault.New(fault.Invalid, "a release of the assistant %s needs something to know", name)
	}
	for _, k := range a.Knowledge {
		if k.Name == "" || k.Snapshot == "" {
			return fault.New(fault.Invalid, "a release of the assistant %s names knowledge without a snapshot: %q", name, k.Name)
		}
	}
	return nil
}

// Deploy makes a release of content and makes it live. Content that is live
// already changes nothing; content released before goes live again under the
// number it has. why is kept with the change.
func (r *Releases) Deploy(ctx context.Context, endpoint string, c Content, by, why string) (Release, error) {
	if err := check(endpoint, why, c); err != nil {
		return Release{}, err
	}
	id, body, err := Hash(endpoint, c)
	if err != nil {
		return Release{}, err
	}
	var made Release
	err = r.db.Write(ctx, func(tx catalog.Tx) error {
		found, err := find(ctx, tx, `endpoint = ? AND id = ?`, endpoint, id)
		if fault.Is(err, fault.NotFound) {
			found, err = r.insert(ctx, tx, endpoint, id, string(body), by)
		}
		if err != nil {
			return err
		}
		made = found
		return r.point(ctx, tx, Change{Endpoint: endpoint, Release: id, Number: found.Number, By: by, Why: why})
	})
	if err != nil {
		return Release{}, err
	}
	r.wake()
	return made, nil
}

func (r *Releases) insert(ctx context.Context, tx catalog.Tx, endpoint, id, body, by string) (Release, error) {
	number, err := catalog.Next(ctx, tx, "releases/"+endpoint)
	if err != nil {
		return Release{}, err
	}
	row := stored{Number: int(number), ID: id, Body: body, CreatedAt: catalog.Micros(r.clock.Now())}
	head, err := json.Marshal(header{Content: json.RawMessage(body), By: by})
	if err != nil {
		return Release{}, fault.Wrap(err, fault.Internal, "a release of %s", endpoint)
	}
	row.Body = string(head)
	_, err = tx.Exec(ctx, `INSERT INTO releases (endpoint, number, id, body, created_at) VALUES (?, ?, ?, ?, ?)`,
		endpoint, row.Number, row.ID, row.Body, row.CreatedAt)
	if err != nil {
		return Release{}, err
	}
	return row.release()
}

// point makes a release live, if it is not, by compare and set on the pointer
// that was read in the same transaction. A change never stands before its
// predecessor in time, whatever the clocks of two replicas say, so that At
// and History agree.
func (r *Releases) point(ctx context.Context, tx catalog.Tx, c Change) error {
	live, err := livePointer(ctx, tx, c.Endpoint)
	if err != nil {
		return err
	}
	if live == c.Release {
		return nil
	}
	n, err := setLive(ctx, tx, c, live)
	if err != nil {
		return err
	}
	if n != 1 {
		return fault.New(fault.Conflict, "another release of %s went live meanwhile", c.Endpoint).
			Hint("look at `leat releases %s` and try again", c.Endpoint)
	}
	seq, err := catalog.Next(ctx, tx, "endpoint_history")
	if err != nil {
		return err
	}
	var last int64
	err = tx.Row(ctx, `SELECT COALESCE(MAX(at), 0) FROM endpoint_history WHERE endpoint = ?`, []any{c.Endpoint}, &last)
	if err != nil {
		return err
	}
	at := max(last+1, catalog.Micros(r.clock.Now()))
	_, err = tx.Exec(ctx, `INSERT INTO endpoint_history (seq, endpoint, release, number, at, by, why) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		seq, c.Endpoint, c.Release, c.Number, at, c.By, c.Why)
	if err != nil || r.listener == nil {
		return err
	}
	c.At = catalog.Time(at)
	return r.listener.Live(ctx, tx, seq, c)
}

// setLive replaces the pointer where it still is what was read: "" for none.
func setLive(ctx context.Context, tx catalog.Tx, c Change, was string) (int64, error) {
	switch {
	case was == "":
		return tx.Exec(ctx, `INSERT INTO endpoint_live (endpoint, release, number) VALUES (?, ?, ?) ON CONFLICT (endpoint) DO NOTHING`,
			c.Endpoint, c.Release, c.Number)
	case c.Release == "":
		return tx.Exec(ctx, `DELETE FROM endpoint_live WHERE endpoint = ? AND release = ?`, c.Endpoint, was)
	}
	return tx.Exec(ctx, `UPDATE endpoint_live SET release = ?, number = ? WHERE endpoint = ? AND release = ?`,
		c.Release, c.Number, c.Endpoint, was)
}

func livePointer(ctx context.Context, tx catalog.Tx, endpoint string) (release string, err error) {
	err = tx.Row(ctx, `SELECT release FROM endpoint_live WHERE endpoint = ?`, []any{endpoint}, &release)
	if fault.Is(err, fault.NotFound) {
		return "", nil
	}
	return release, err
}

// Rollback makes an earlier release live: the one that to names by number, id
// or a prefix of its id, or for "" the one that was live before the present
// one. Rolling back twice goes back two releases: what was rolled back from
// does not come again by itself.
func (r *Releases) Rollback(ctx context.Context, endpoint, to, by string) (Release, error) {
	var target Release
	err := r.db.Write(ctx, func(tx catalog.Tx) error {
		live, err := livePointer(ctx, tx, endpoint)
		if err != nil {
			return err
		}
		if live == "" {
			return noLive(endpoint)
		}
		if to == "" {
			target, err = before(ctx, tx, endpoint)
		} else {
			target, err = named(ctx, tx, endpoint, to)
		}
		if err != nil {
			return err
		}
		return r.point(ctx, tx, Change{Endpoint: endpoint, Release: target.ID, Number: target.Number, By: by, Why: WhyRollback})
	})
	if err != nil {
		return Release{}, err
	}
	r.wake()
	return target, nil
}

// before finds what was live before the present release, by replaying the
// history as a stack: a deploy puts a release on it, a rollback takes off
// what it went back over.
func before(ctx context.Context, tx catalog.Tx, endpoint string) (Release, error) {
	changes, err := history(ctx, tx, endpoint)
	if err != nil {
		return Release{}, err
	}
	var stack []string
	for _, c := range changes {
		if c.Why == WhyRollback {
			for len(stack) > 0 && stack[len(stack)-1] != c.Release {
				stack = stack[:len(stack)-1]
			}
		}
		if n := len(stack); c.Release != "" && (n == 0 || stack[n-1] != c.Release) {
			stack = append(stack, c.Release)
		}
	}
	if len(stack) < 2 {
		return Release{}, fault.New(fault.NotFound, "no release of %s was live before this one", endpoint).
			Hint("name the release to go to; `leat releases %s` lists them", endpoint)
	}
	return find(ctx, tx, `id = ?`, stack[len(stack)-2])
}

// named finds a release of an endpoint by number, id or a prefix of its id.
func named(ctx context.Context, tx catalog.Tx, endpoint, ref string) (Release, error) {
	if number, err := strconv.Atoi(ref); err == nil && len(ref) < minPrefix {
		r, err := find(ctx, tx, `endpoint = ? AND number = ?`, endpoint, number)
		return r, unknown(err, endpoint, ref)
	}
	if len(ref) < minPrefix || strings.Trim(ref, "0123456789abcdef") != "" {
		return Release{}, fault.New(fault.Invalid, "%q does not name a release", ref).
			Hint("give its number, or at least %d digits of its id", minPrefix)
	}
	found, err := collect(ctx, tx, `endpoint = ? AND id LIKE ? ORDER BY number`, endpoint, ref+"%")
	switch {
	case err != nil:
		return Release{}, err
	case len(found) == 0:
		return Release{}, unknown(fault.New(fault.NotFound, "none"), endpoint, ref)
	case len(found) > 1:
		return Release{}, fault.New(fault.Invalid, "%d releases of %s begin with %s", len(found), endpoint, ref)
	}
	return found[0], nil
}

// minPrefix is the least length of an id's prefix; a shorter number is a
// release's number.
const minPrefix = 8

// Retire leaves an endpoint without a live release. Its releases and history
// stay. Doing it again changes nothing.
func (r *Releases) Retire(ctx context.Context, endpoint, by, why string) error {
	err := r.db.Write(ctx, func(tx catalog.Tx) error {
		return r.point(ctx, tx, Change{Endpoint: endpoint, By: by, Why: why})
	})
	if err == nil {
		r.wake()
	}
	return err
}

// Live returns the release that an endpoint serves, or a NotFound fault.
func (r *Releases) Live(ctx context.Context, endpoint string) (live Release, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		live, err = find(ctx, tx, `id = (SELECT release FROM endpoint_live WHERE endpoint = ?)`, endpoint)
		if fault.Is(err, fault.NotFound) {
			return noLive(endpoint)
		}
		return err
	})
	return live, err
}

// Release returns a release by its id.
func (r *Releases) Release(ctx context.Context, id string) (found Release, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		found, err = find(ctx, tx, `id = ?`, id)
		if fault.Is(err, fault.NotFound) {
			return fault.New(fault.NotFound, "there is no release %s", id)
		}
		return err
	})
	return found, err
}

// Find returns a release of an endpoint by number, id or a prefix of its id.
func (r *Releases) Find(ctx context.Context, endpoint, ref string) (found Release, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		found, err = named(ctx, tx, endpoint, ref)
		return err
	})
	return found, err
}

// Releases returns the releases of an endpoint, newest first.
func (r *Releases) Releases(ctx context.Context, endpoint string) (found []Release, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		found, err = collect(ctx, tx, `endpoint = ? ORDER BY number DESC`, endpoint)
		return err
	})
	return found, err
}

// Endpoints names every endpoint that has a live release, sorted.
func (r *Releases) Endpoints(ctx context.Context) (names []string, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		names, err = catalog.Collect(ctx, tx, func(rows *sql.Rows) (name string, err error) {
			return name, rows.Scan(&name)
		}, `SELECT endpoint FROM endpoint_live ORDER BY endpoint`)
		return err
	})
	return names, err
}

// History returns what was live since when, newest first. A change without a
// release is a retirement.
func (r *Releases) History(ctx context.Context, endpoint string) (changes []Change, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		changes, err = history(ctx, tx, endpoint)
		return err
	})
	for i, j := 0, len(changes)-1; i < j; i, j = i+1, j-1 {
		changes[i], changes[j] = changes[j], changes[i]
	}
	return changes, err
}

// At returns the release that was live at a time, or a NotFound fault.
func (r *Releases) At(ctx context.Context, endpoint string, at time.Time) (found Release, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		found, err = find(ctx, tx, `id = (SELECT release FROM endpoint_history
			WHERE endpoint = ? AND at <= ? ORDER BY seq DESC LIMIT 1)`, endpoint, catalog.Micros(at))
		if fault.Is(err, fault.NotFound) {
			return fault.New(fault.NotFound, "no release of %s was live at %s", endpoint, at.UTC().Format(time.RFC3339))
		}
		return err
	})
	return found, err
}

func noLive(endpoint string) error {
	return fault.New(fault.NotFound, "endpoint %s has no live release", endpoint).
		Hint("train and deploy a model, or look at `leat releases`")
}

func unknown(err error, endpoint, ref string) error {
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, "endpoint %s has no release %s", endpoint, ref).
			Hint("`leat releases %s` lists them", endpoint)
	}
	return err
}
