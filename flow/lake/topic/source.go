package topic

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/store/query"
)

// ReadOptions say how a table is read. The zero value reads all columns of
// the newest snapshot in the order of its files.
type ReadOptions struct {
	// Columns are those to read, in this order; nil: all.
	Columns []string
	// Time is a column whose order the rows are read in; rows of the same
	// time are in the order of their other columns. Without it they come in
	// the order in which they were committed.
	Time string
	// Engine sorts by Time, and is not needed otherwise.
	Engine query.Engine
	// From is the offset of the first row to read.
	From int64
	// Follow waits for rows that are committed later, instead of ending. It
	// goes with the order of commits, for tables that are only added to.
	Follow bool
	// Poll is how often a table that is followed is looked at; 1 s when 0.
	Poll time.Duration
}

// Rows are consecutive rows of a table. The row i has the offset First + i.
type Rows struct {
	Batch frame.Batch // the receiver's to release
	First int64
}

// Source reads a table as a topic of one partition. It is for one goroutine.
type Source struct {
	lake    *lake.Lake
	name    Name
	options ReadOptions
	table   *lake.Table
	rows    frame.Reader
	rest    frame.Batch // of the batch that was read last
	next    int64       // offset of the next row that Next returns
}

// Read begins to read a table at an address as Parse knows them.
func Read(ctx context.Context, l *lake.Lake, address string, o ReadOptions) (*Source, error) {
	n, err := Parse(address)
	if err != nil {
		return nil, err
	}
	switch {
	case o.Follow && o.Time != "":
		return nil, fault.New(fault.Invalid, "table %q cannot be followed in the order of %q", n.Table, o.Time).
			Hint("rows of an earlier time may come later: read it to its end, or follow it in the order of commits")
	case o.Follow && n.Snapshot != 0:
		return nil, fault.New(fault.Invalid, "snapshot %d of table %q is not followed: it never changes", n.Snapshot, n.Table)
	case o.Time != "" && o.Engine == nil:
		return nil, fault.New(fault.Internal, "nothing is there to sort table %q with", n.Table)
	}
	s := &Source{lake: l, name: n, options: o, next: max(0, o.From)}
	if s.options.Poll <= 0 {
		s.options.Poll = time.Second
	}
	if s.table, err = n.open(ctx, l); err != nil {
		return nil, err
	}
	return s, s.begin(ctx)
}

// Partition names the one partition. In the order of commits that is the
// table, whose offsets mean the same rows in every later snapshot as long as
// it is only added to; in another order it is the snapshot, and so it is where
// a snapshot was named.
func (s *Source) Partition() string {
	if s.options.Time == "" && s.name.Snapshot == 0 {
		return s.name.Table
	}
	return fmt.Sprintf("%s@%d", s.name.Table, s.table.Snapshot())
}

// Snapshot is the snapshot that is being read.
func (s *Source) Snapshot() int64 { return s.table.Snapshot() }

// Columns are the columns of the rows, in their order.
func (s *Source) Columns() []frame.Column {
	if s.options.Columns == nil {
		return s.table.Columns()
	}
	var columns []frame.Column
	for _, name := range s.options.Columns {
		for _, c := range s.table.Columns() {
			if c.Name == name {
				columns = append(columns, c)
			}
		}
	}
	return columns
}

// Lag is how many rows of the snapshot are behind those that were read.
func (s *Source) Lag() int64 { return max(0, s.table.Rows()-s.next) }

// Next returns between 1 and most rows; io.EOF at the end of the snapshot,
// unless it follows.
func (s *Source) Next(ctx context.Context, most int) (Rows, error) {
	for {
		if s.rest != nil {
			return s.cut(int64(max(1, most))), nil
		}
		batch, err := s.rows.Next(ctx)
		if err == nil {
			s.rest = batch
			continue
		}
		if err != io.EOF || !s.options.Follow {
			return Rows{}, err
		}
		if err := s.later(ctx); err != nil {
			return Rows{}, err
		}
	}
}

// cut takes rows off the batch that was read.
func (s *Source) cut(most int64) Rows {
	n := s.rest.NumRows()
	taken := Rows{Batch: s.rest, First: s.next}
	if n > most {
		taken.Batch = s.rest.NewSlice(0, most)
		rest := s.rest.NewSlice(most, n)
		s.rest.Release()
		s.rest, n = rest, most
	} else {
		s.rest = nil
	}
	s.next += n
	return taken
}

// Close ends the reading. It is safe to call twice.
func (s *Source) Close() error {
	if s.rest != nil {
		s.rest.Release()
		s.rest = nil
	}
	if s.rows == nil {
		return nil
	}
	return s.rows.Close()
}

// begin opens the rows from the next offset on.
func (s *Source) begin(ctx context.Context) (err error) {
	if s.options.Time != "" {
		s.rows, err = s.sorted(ctx)
		return err
	}
	parts, skip, err := s.behind(ctx, s.next)
	if err != nil {
		return err
	}
	if s.rows, err = s.table.Scan(ctx, lake.ScanOptions{Columns: s.options.Columns, Parts: parts}); err != nil {
		return err
	}
	return s.skip(ctx, skip)
}

// behind returns the row groups that hold the rows from an offset on, and how
// many rows of the first to pass over. Files and groups before it are not
// opened.
func (s *Source) behind(ctx context.Context, offset int64) (parts []lake.Part, skip int64, err error) {
	files, err := s.table.Files(ctx)
	if err != nil {
		return nil, 0, err
	}
	parts = []lake.Part{} // none is not all
	for i, f := range files {
		if offset >= f.Rows {
			offset -= f.Rows
			continue
		}
		first := lake.Part{Path: f.Path}
		if offset > 0 && f.RowGroups > 1 {
			groups, err := s.table.GroupRows(ctx, f.Path)
			if err != nil {
				return nil, 0, err
			}
			for g, rows := range groups {
				if len(first.RowGroups) == 0 && offset >= rows {
					offset -= rows
					continue
				}
				first.RowGroups = append(first.RowGroups, g)
			}
		}
		parts = append(parts, first)
		for _, f := range files[i+1:] {
			parts = append(parts, lake.Part{Path: f.Path})
		}
		return parts, offset, nil
	}
	return parts, 0, nil
}

// skip passes over rows.
func (s *Source) skip(ctx context.Context, rows int64) error {
	for rows > 0 {
		batch, err := s.rows.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		n := batch.NumRows()
		if n > rows {
			s.rest = batch.NewSlice(rows, n)
		}
		batch.Release()
		rows -= n
	}
	return nil
}

// later waits for a newer snapshot with more rows.
func (s *Source) later(ctx context.Context) error {
	ticker := time.NewTicker(s.options.Poll)
	defer ticker.Stop()
	for {
		now, err := s.lake.Table(ctx, s.name.Table)
		switch {
		case err != nil && !fault.KindOf(err).Retryable():
			return err
		case err != nil: // it is asked again
		case now.Rows() < s.next:
			return fault.New(fault.Conflict, "table %q has fewer rows than were read of it", s.name.Table).
				Hint("a table that is followed may only be added to; seek to its beginning to read what it is now")
		case now.Snapshot() != s.table.Snapshot() && now.Rows() > s.next:
			if err := s.rows.Close(); err != nil {
				return err
			}
			s.table = now
			return s.begin(ctx)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// sorted reads the snapshot in the order of its time column. Rows that are
// equal in every column are the same row to whoever reads, so the order is
// one only.
func (s *Source) sorted(ctx context.Context) (frame.Reader, error) {
	names, chosen := []string{}, s.options.Columns
	for _, c := range s.table.Columns() {
		names = append(names, c.Name)
	}
	if !slices.Contains(names, s.options.Time) {
		return nil, fault.New(fault.NotFound, "table %q has no column %q to be ordered by", s.name.Table, s.options.Time)
	}
	if chosen == nil {
		chosen = names
	}
	order := []string{quoted(s.options.Time) + " ASC NULLS FIRST"}
	for _, name := range names {
		if name != s.options.Time {
			order = append(order, quoted(name)+" ASC NULLS FIRST")
		}
	}
	var list []string
	for _, name := range chosen {
		list = append(list, quoted(name))
	}
	sql := fmt.Sprintf("SELECT %s FROM %s FOR VERSION AS OF %d ORDER BY %s OFFSET %d",
		strings.Join(list, ", "), quotedTable(s.name.Table), s.table.Snapshot(), strings.Join(order, ", "), s.next)
	return lake.SQL{Lake: s.lake, Engine: s.options.Engine}.Query(ctx, sql)
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func quotedTable(name string) string {
	var parts []string
	for part := range strings.SplitSeq(name, ".") {
		parts = append(parts, quoted(part))
	}
	return strings.Join(parts, ".")
}
