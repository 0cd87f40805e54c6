// Package topic lets a table of the lake be a topic: a source whose rows are
// read as events in an order that is always the same, and a sink to which
// batches of rows are appended exactly once.
//
// It belongs to the lake (flow/lake) and serves the stream pattern, for which
// a table is what a log of a broker is: backfill and replay read one, decided
// events end in one. Unlike a broker's, its events are Arrow rows and never
// bytes. Open a Source with Read, a Sink with NewSink.
//
// What is promised:
//
//   - A row's partition and offset are the same whenever the same snapshot is
//     read, so a reader that ended goes on where it was.
//   - Append makes one snapshot whose summary has the batch's id: a batch that
//     comes again, after a kill between the commit and whoever keeps count of
//     commits, is recognised and not written twice.
//   - Memory is bounded by a row group of each column and a batch.
package topic

import (
	"context"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/lake"
)

// Scheme begins the addresses of tables.
const Scheme = "lake://"

// Name is the table that an address means, and the snapshot where it names
// one: lake://TABLE or lake://TABLE@SNAPSHOT.
type Name struct {
	Table    string
	Snapshot int64 // 0: the newest
}

// Parse reads an address, with or without its scheme.
func Parse(address string) (Name, error) {
	text := strings.TrimPrefix(address, Scheme)
	table, snapshot, pinned := strings.Cut(text, "@")
	n := Name{Table: table}
	if pinned {
		id, err := strconv.ParseInt(snapshot, 10, 64)
		if err != nil || id <= 0 {
			return Name{}, fault.New(fault.Invalid, "%.200q names no snapshot of a table", address).Hint("write lake://TABLE or lake://TABLE@SNAPSHOT")
		}
		n.Snapshot = id
	}
	if table == "" || strings.ContainsAny(table, "/?#") {
		return Name{}, fault.New(fault.Invalid, "%.200q names no table", address).Hint("write lake://TABLE or lake://TABLE@SNAPSHOT")
	}
	return n, nil
}

// open returns the table at the snapshot of its name.
func (n Name) open(ctx context.Context, l *lake.Lake) (*lake.Table, error) {
	t, err := l.Table(ctx, n.Table)
	if err != nil || n.Snapshot == 0 {
		return t, err
	}
	return t.At(n.Snapshot)
}
