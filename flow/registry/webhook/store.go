package webhook

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/secret"
	"github.com/leat-ai/leat/store/catalog"
)

var namePattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)

const (
	maxText   = 5000 // bytes of a description
	maxURL    = 2000
	maxSecret = 1000
)

const (
	active   = "ACTIVE"
	disabled = "DISABLED"
)

func status(isActive bool) string {
	if isActive {
		return active
	}
	return disabled
}

// check reports every mistake of a hook.
func (h *Hooks) check(n NewHook) error {
	var l fault.List
	if !namePattern.MatchString(n.Name) {
		l.Add(fault.New(fault.Invalid, "%.100q cannot be the name of a webhook", n.Name).
			Hint("use letters, digits, dot, dash and underscore, with a letter or digit at both ends; at most 63"))
	}
	if len(n.Description) > maxText || len(n.URL) > maxURL || len(n.Secret.Reveal()) > maxSecret {
		l.Add(fault.New(fault.Invalid, "the description, address or secret of a webhook is too long").
			Hint("at most %d, %d and %d bytes", maxText, maxURL, maxSecret))
	}
	u, err := url.Parse(n.URL)
	if err != nil {
		err = fault.New(fault.Invalid, "the address of a webhook is not understood").Hint("write https://host/path")
	} else {
		err = h.Policy.CheckURL(u)
	}
	l.Add(err)
	if len(n.Events) == 0 {
		l.Add(fault.New(fault.Invalid, "a webhook without events would never be told anything"))
	}
	for _, e := range n.Events {
		if !slices.Contains(Events(), e) {
			l.Add(fault.New(fault.Invalid, "no event is called %.80q", e).Hint("the events are %v", Events()))
		}
	}
	return l.Err()
}

// Create keeps a new hook.
func (h *Hooks) Create(ctx context.Context, n NewHook) (Hook, error) {
	if err := h.check(n); err != nil {
		return Hook{}, err
	}
	now := catalog.Micros(h.Clock.Now())
	made := hookOf(newID(), n)
	made.CreatedAt, made.UpdatedAt = catalog.Time(now), catalog.Time(now)
	return made, h.DB.Write(ctx, func(tx catalog.Tx) error {
		var count int
		if err := tx.Row(ctx, `SELECT COUNT(*) FROM webhooks`, nil, &count); err != nil {
			return err
		}
		if count >= maxHooks {
			return fault.New(fault.Invalid, "there are %d webhooks already", count).Hint("delete one that is not needed")
		}
		_, err := tx.Exec(ctx, `INSERT INTO webhooks (id, name, description, url, events, secret, status, created_at, updated_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			made.ID, n.Name, n.Description, n.URL, eventsText(n.Events), n.Secret.Reveal(), status(n.Active), now, now)
		return err
	})
}

func hookOf(id string, n NewHook) Hook {
	return Hook{ID: id, Name: n.Name, Description: n.Description, URL: n.URL, Events: n.Events, Active: n.Active}
}

func eventsText(events []Event) string {
	text, _ := json.Marshal(events) // strings
	return string(text)
}

// kept is a row of the table.
type kept struct {
	Hook
	secret   secret.Value
	standard bool // signed as Standard Webhooks are, not as MLflow's
}

const selectHook = `SELECT id, name, description, url, events, secret, status, created_at, updated_at FROM webhooks `

func scanHook(rows *sql.Rows) (k kept, err error) {
	var events, signing, status string
	var created, updated int64
	if err := rows.Scan(&k.ID, &k.Name, &k.Description, &k.URL, &events, &signing, &status, &created, &updated); err != nil {
		return k, err
	}
	k.secret, k.Active = secret.NewValue(signing), status == active
	k.CreatedAt, k.UpdatedAt = catalog.Time(created), catalog.Time(updated)
	return k, fault.Wrap(json.Unmarshal([]byte(events), &k.Events), fault.Corrupt, "the events of webhook %s", k.ID)
}

func find(ctx context.Context, tx catalog.Tx, id string) (kept, error) {
	found, err := catalog.Collect(ctx, tx, scanHook, selectHook+`WHERE id = ?`, id)
	if err == nil && len(found) == 0 {
		err = fault.New(fault.NotFound, "there is no webhook %.80q", id)
	}
	if err != nil {
		return kept{}, err
	}
	return found[0], nil
}

// Hook returns a hook.
func (h *Hooks) Hook(ctx context.Context, id string) (Hook, error) {
	k, err := h.find(ctx, id)
	return k.Hook, err
}

func (h *Hooks) find(ctx context.Context, id string) (k kept, err error) {
	err = h.DB.Read(ctx, func(tx catalog.Tx) error {
		k, err = find(ctx, tx, id)
		return err
	})
	return k, err
}

// List returns the hooks, the newest first.
func (h *Hooks) List(ctx context.Context) (hooks []Hook, err error) {
	err = h.DB.Read(ctx, func(tx catalog.Tx) error {
		found, err := catalog.Collect(ctx, tx, scanHook, selectHook+`ORDER BY created_at DESC, id`)
		hooks = make([]Hook, len(found))
		for i, k := range found {
			hooks[i] = k.Hook
		}
		return err
	})
	return hooks, err
}

// Update changes a hook by a function of what it is; the secret that the
// function sees is the one that is kept.
func (h *Hooks) Update(ctx context.Context, id string, change func(*NewHook) error) (hook Hook, err error) {
	err = h.DB.Write(ctx, func(tx catalog.Tx) error {
		k, err := find(ctx, tx, id)
		if err != nil {
			return err
		}
		n := NewHook{Name: k.Name, Description: k.Description, URL: k.URL, Events: k.Events, Active: k.Active, Secret: k.secret}
		if err := change(&n); err != nil {
			return err
		}
		if err := h.check(n); err != nil {
			return err
		}
		now := catalog.Micros(h.Clock.Now())
		hook = hookOf(id, n)
		hook.CreatedAt, hook.UpdatedAt = k.CreatedAt, catalog.Time(now)
		_, err = tx.Exec(ctx, `UPDATE webhooks SET name = ?, description = ?, url = ?, events = ?, secret = ?, status = ?, updated_at = ?
			WHERE id = ?`, n.Name, n.Description, n.URL, eventsText(n.Events), n.Secret.Reveal(), status(n.Active), now, id)
		return err
	})
	return hook, err
}

// Delete removes a hook and what it has yet to be told.
func (h *Hooks) Delete(ctx context.Context, id string) error {
	return h.DB.Write(ctx, func(tx catalog.Tx) error {
		gone, err := tx.Exec(ctx, `DELETE FROM webhooks WHERE id = ?`, id)
		if err != nil {
			return err
		}
		if gone == 0 {
			return fault.New(fault.NotFound, "there is no webhook %.80q", id)
		}
		_, err = tx.Exec(ctx, `DELETE FROM webhook_outbox WHERE webhook = ?`, id)
		return err
	})
}
