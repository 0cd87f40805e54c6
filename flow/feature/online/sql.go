package online

import (
	"fmt"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/frame"
)

// part is which rows of a view's source a chunk of a materialisation reads.
type part struct {
	source string    // what stands after FROM
	chunk  int       // of chunks, by the hash of the entity
	chunks int       //
	since  time.Time // of rows that are new; zero: all are
	before time.Time // rows from then on are left out; zero without a timestamp
}

// entity is the columns of the entity, for SQL.
func (c *View) entity() string { return names(c.keys) }

// mine is the condition that a row is of the chunk.
func (c *View) mine(p part) []string {
	conditions := []string{fmt.Sprintf("hash(%s) %% %d = %d", c.entity(), p.chunks, p.chunk)}
	for _, k := range c.keys {
		conditions = append(conditions, quoted(k.Name)+" IS NOT NULL")
	}
	if c.when >= 0 {
		conditions = append(conditions, quoted(c.rows[c.when].Name)+" < "+stamp(p.before))
	}
	return conditions
}

// newestSQL gives the newest row of each entity. Of several rows of one time
// it gives always the same one, which is that of the offline features.
func (c *View) newestSQL(p part) string {
	columns := names(c.rows)
	where := c.mine(p)
	if c.when < 0 {
		return "SELECT " + columns + " FROM " + p.source + " WHERE " + strings.Join(where, " AND ")
	}
	when := quoted(c.rows[c.when].Name)
	if !p.since.IsZero() {
		where = append(where, when+" >= "+stamp(p.since))
	}
	order := []string{when + " DESC NULLS LAST"}
	for _, col := range c.rows[c.when+1:] {
		order = append(order, quoted(col.Name)+" NULLS LAST")
	}
	return "SELECT " + columns + " FROM (SELECT " + columns + ", row_number() OVER (PARTITION BY " + c.entity() +
		" ORDER BY " + strings.Join(order, ", ") + ") AS leat_newest FROM " + p.source +
		" WHERE " + strings.Join(where, " AND ") + ") AS numbered WHERE leat_newest = 1"
}

// eventsSQL gives all events that windows still have of the entities, or of
// those that have new ones.
func (c *View) eventsSQL(p part) string {
	return "SELECT " + names(c.rows) + " FROM " + p.source + " WHERE " + strings.Join(c.events(p), " AND ")
}

// entitiesSQL gives the entities of eventsSQL, each once.
func (c *View) entitiesSQL(p part) string {
	return "SELECT DISTINCT " + c.entity() + " FROM " + p.source + " WHERE " + strings.Join(c.events(p), " AND ")
}

func (c *View) events(p part) []string {
	when := quoted(c.rows[c.when].Name)
	where := c.mine(p)
	if horizon, ends := c.plan.Horizon(); ends {
		where = append(where, when+" >= "+stamp(p.before.Add(-horizon-c.plan.Lateness())))
	}
	if !p.since.IsZero() {
		where = append(where, "("+c.entity()+") IN (SELECT "+c.row()+" FROM "+p.source+" WHERE "+
			strings.Join(append(c.mine(p), when+" >= "+stamp(p.since)), " AND ")+")")
	}
	return where
}

// row is the entity as one value where it is several columns.
func (c *View) row() string {
	if len(c.keys) == 1 {
		return c.entity()
	}
	return "(" + c.entity() + ")"
}

func names(columns []frame.Column) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = quoted(c.Name)
	}
	return strings.Join(list, ", ")
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// stamp is a time for SQL; it compares with timestamps and with dates.
func stamp(t time.Time) string {
	return "TIMESTAMP '" + t.UTC().Format("2006-01-02 15:04:05.000000") + "'"
}
