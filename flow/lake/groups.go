package lake

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/parquet/file"
)

// GroupRows returns how many rows each row group of a data file has, for those
// who cut a file into parts and number its rows. A file that the snapshot does
// not have is a NotFound fault.
func (t *Table) GroupRows(ctx context.Context, where string) (rows []int64, err error) {
	if _, err := t.parts(ctx, []Part{{Path: where}}); err != nil {
		return nil, err
	}
	source, err := t.lake.open(ctx, t, where)
	if err != nil {
		return nil, err
	}
	// The Parquet library checks less than it should of a broken file.
	defer func() {
		if r := recover(); r != nil {
			err = corruptFile(t.name, where, fmt.Errorf("%v", r))
		}
	}()
	r, err := file.NewParquetReader(source)
	if err != nil {
		_ = source.Close() // it was only read
		return nil, corruptFile(t.name, where, err)
	}
	defer r.Close()
	rows = make([]int64, r.NumRowGroups())
	for i := range rows {
		rows[i] = r.MetaData().RowGroup(i).NumRows()
	}
	return rows, nil
}
