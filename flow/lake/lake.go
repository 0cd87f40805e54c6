// Package lake keeps tables: Apache Iceberg tables of Parquet files, whose
// catalog is in the same database as everything else that Leat tracks. Any
// Iceberg reader (Spark, Trino, Databricks, Snowflake) works on them in
// place.
//
// It is the second stage of the lifecycle: ingest fills it, everything after
// it reads it. Open a Lake, name a Table, Scan its rows. A Table value is
// pinned to one snapshot, so whoever holds one reads the same rows for as
// long as it likes; a new Table call sees what was committed since.
//
// What is promised:
//
//   - A commit is one snapshot: all of its files or none. What a killed
//     writer left behind is never visible, and Clean removes it.
//   - A commit with the ID of an earlier one is recognised and does nothing,
//     so a run that is repeated after a kill commits once.
//   - The order of rows is kept: files in the order of commits and then of
//     names, rows in the order of each file.
//   - A data file's name carries the SHA-256 of its content. A flipped bit is
//     found when the file is first read and reported as a Corrupt fault.
//   - Memory of reading and writing is bounded by a row group and a batch.
package lake

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/iceberg-go"
	icatalog "github.com/apache/iceberg-go/catalog"
	icesql "github.com/apache/iceberg-go/catalog/sql"
	"github.com/apache/iceberg-go/table"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/catalog"
)

// DefaultNamespace holds the tables whose names have no dot.
const DefaultNamespace = "default"

// catalogName is Leat's name in the tables of the Iceberg catalog, which may
// be shared with other programs.
const catalogName = "leat"

// Config says where a lake is.
type Config struct {
	// Warehouse is where the tables' files are: a local folder, or the address
	// of a place in a bucket by which every Iceberg reader knows it:
	// s3://bucket/path, abfss://container@account.dfs.core.windows.net/path.
	Warehouse string
	// Bucket is what a warehouse in a bucket is reached through; its names
	// stand below Warehouse. Its owner closes it, after the lake.
	Bucket blob.Bucket
	// DB is the catalog database; the lake keeps its two tables in it and
	// leaves closing it to its owner.
	DB *sql.DB
	// Dialect is the kind of DB.
	Dialect catalog.Dialect
	// Scratch is a local folder for files on their way to a bucket, and for
	// copies of those that are read. The system's temporary folder when empty;
	// not used by a local warehouse.
	Scratch string
	// Cache bounds these copies, in bytes; 8 GiB when 0. A SQL statement needs
	// room for all files of the tables that it names.
	Cache int64
}

// Validate reports every mistake of the configuration.
func (c Config) Validate() error {
	var mistakes fault.List
	if c.Warehouse == "" {
		mistakes.Add(fault.New(fault.Invalid, "the lake has no warehouse").Hint("name a folder or a bucket for its files"))
	}
	if bucketWarehouse(c.Warehouse) && c.Bucket == nil {
		mistakes.Add(fault.New(fault.Invalid, "the lake's warehouse is in a bucket that is not open"))
	}
	if scheme, _, remote := strings.Cut(c.Warehouse, "://"); remote && scheme != "file" && !bucketWarehouse(c.Warehouse) {
		mistakes.Add(fault.New(fault.Unsupported, "a warehouse cannot be at %s://", scheme).Hint("use a folder, s3://… or abfss://…"))
	}
	if c.Cache < 0 {
		mistakes.Add(fault.New(fault.Invalid, "the lake's cache has a negative bound"))
	}
	if c.DB == nil {
		mistakes.Add(fault.New(fault.Invalid, "the lake has no catalog database"))
	}
	if c.Dialect != catalog.SQLite && c.Dialect != catalog.Postgres {
		mistakes.Add(fault.New(fault.Invalid, "unknown catalog database %q", c.Dialect))
	}
	return mistakes.Err()
}

// Lake is a set of tables. It is safe for many goroutines.
type Lake struct {
	ice        *icesql.Catalog
	warehouse  string // URL
	properties iceberg.Properties
	local      bool
	scratch    string
	checked    *verifier
	bucket     *warehouse // nil when local
	cache      *cache     // nil when local

	mu         sync.Mutex
	committers map[string]*sync.Mutex // by table: one committer at a time inside the process
}

// Open opens the lake, and makes its catalog tables and the folder of a local
// warehouse when they do not exist.
func Open(ctx context.Context, c Config) (*Lake, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	address, local, err := warehouseURL(c.Warehouse)
	if err != nil {
		return nil, err
	}
	l := &Lake{
		warehouse: address, local: local, scratch: c.Scratch, properties: iceberg.Properties{"warehouse": address},
		checked: newVerifier(), committers: map[string]*sync.Mutex{},
	}
	if local {
		useDurableFiles()
	} else {
		l.bucket = &warehouse{c.Bucket, address}
		l.properties[bucketKey] = buckets().add(l.bucket)
		if l.cache, err = openCache(c.Scratch, c.Cache); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	if l.ice, err = openCatalog(ctx, c, l.properties); err != nil {
		return nil, errors.Join(storeFault(err, "the lake's catalog cannot be opened"), l.Close())
	}
	return l, l.ensureNamespace(ctx, DefaultNamespace)
}

// bucketWarehouse tells whether an address is one of a bucket.
func bucketWarehouse(address string) bool {
	scheme, _, found := strings.Cut(address, "://")
	return found && slices.Contains(bucketSchemes(), scheme)
}

// openCatalog opens the Iceberg catalog, and makes its tables. PostgreSQL
// fails one of two processes that make the same table at the same time, so it
// is tried again.
func openCatalog(ctx context.Context, c Config, props iceberg.Properties) (*icesql.Catalog, error) {
	const attempts = 4
	for try := 1; ; try++ {
		cat, err := icesql.NewCatalog(catalogName, c.DB, icesql.SupportedDialect(c.Dialect), props)
		if err == nil || try == attempts {
			return cat, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(try) * 50 * time.Millisecond):
		}
	}
}

// Close releases what the lake holds, not the database or the bucket.
func (l *Lake) Close() (err error) {
	if l.ice != nil {
		err = l.ice.Close()
	}
	if l.bucket != nil {
		buckets().remove(l.properties[bucketKey])
	}
	if l.cache != nil {
		err = errors.Join(err, l.cache.Close())
	}
	return err
}

// Folder is the local folder with the files that queries read: that of the
// warehouse, or of copies of its files.
func (l *Lake) Folder() string {
	if l.local {
		return localPath(l.warehouse)
	}
	return l.cache.dir
}

// warehouseURL makes a URL of a folder or bucket, and the folder itself.
func warehouseURL(where string) (_ string, local bool, err error) {
	if bucketWarehouse(where) {
		return strings.TrimRight(where, "/"), false, nil
	}
	path := where
	if strings.HasPrefix(where, "file:") {
		path = localPath(where)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", false, fault.Wrap(err, fault.Invalid, "the warehouse folder %q", where)
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return "", false, storeFault(err, "the warehouse folder cannot be made")
	}
	return (&url.URL{Scheme: "file", Path: abs}).String(), true, nil
}

func (l *Lake) ensureNamespace(ctx context.Context, namespace string) error {
	err := l.ice.CreateNamespace(ctx, table.Identifier{namespace}, nil)
	if err == nil || isAny(err, icatalog.ErrNamespaceAlreadyExists) {
		return nil
	}
	// Two processes that open the same new catalog race here; the loser finds
	// the winner's namespace.
	if there, cerr := l.ice.CheckNamespaceExists(ctx, table.Identifier{namespace}); cerr == nil && there {
		return nil
	}
	return storeFault(err, "the namespace %q cannot be made", namespace)
}

// Tables lists the names of all tables, sorted; those outside the default
// namespace as "namespace.table".
func (l *Lake) Tables(ctx context.Context) ([]string, error) {
	namespaces, err := l.ice.ListNamespaces(ctx, nil)
	if err != nil {
		return nil, storeFault(err, "the lake's tables cannot be listed")
	}
	var names []string
	for _, ns := range namespaces {
		for ident, err := range l.ice.ListTables(ctx, ns) {
			if err != nil {
				return nil, storeFault(err, "the lake's tables cannot be listed")
			}
			names = append(names, nameOf(ident))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Table returns a table at its newest snapshot. An unknown name is a NotFound
// fault whose hint has the nearest known one.
func (l *Lake) Table(ctx context.Context, name string) (*Table, error) {
	ident, err := identOf(name)
	if err != nil {
		return nil, err
	}
	ice, err := l.ice.LoadTable(ctx, ident)
	if isAny(err, icatalog.ErrNoSuchTable, icatalog.ErrNoSuchNamespace) {
		return nil, l.unknown(ctx, name)
	}
	if err != nil {
		return nil, storeFault(err, "table %q cannot be opened", name)
	}
	return l.tableOf(name, ice)
}

func (l *Lake) unknown(ctx context.Context, name string) error {
	err := fault.New(fault.NotFound, "there is no table %q in the lake", name)
	names, lerr := l.Tables(ctx)
	switch near := nearest(name, names); {
	case lerr != nil || len(names) == 0:
		return err.Hint("ingest a source of that name first")
	case near != "":
		return err.Hint("did you mean %q?", near)
	default:
		return err.Hint("the lake has %s", strings.Join(names[:min(len(names), 10)], ", "))
	}
}

// Create makes an empty table. An existing one is a Conflict fault.
func (l *Lake) Create(ctx context.Context, name string, columns []frame.Column) (*Table, error) {
	ident, err := identOf(name)
	if err != nil {
		return nil, err
	}
	schema, err := icebergSchema(columns)
	if err != nil {
		return nil, err
	}
	if ident[0] != DefaultNamespace {
		if err := l.ensureNamespace(ctx, ident[0]); err != nil {
			return nil, err
		}
	}
	ice, err := l.ice.CreateTable(ctx, ident, schema, icatalog.WithProperties(tableProperties()), icatalog.WithLocation(l.locationOf(ident)))
	if isAny(err, icatalog.ErrTableAlreadyExists) {
		return nil, fault.New(fault.Conflict, "table %q exists already", name)
	}
	if err != nil {
		return nil, storeFault(err, "table %q cannot be made", name)
	}
	return l.tableOf(name, ice)
}

// Ensure returns the table, which it makes or to which it adds the columns
// that are new. A column whose type is another one in the table is a Conflict
// fault.
func (l *Lake) Ensure(ctx context.Context, name string, columns []frame.Column) (*Table, error) {
	t, err := l.Table(ctx, name)
	if fault.Is(err, fault.NotFound) {
		t, err = l.Create(ctx, name, columns)
		if !fault.Is(err, fault.Conflict) {
			return t, err
		}
		t, err = l.Table(ctx, name)
	}
	if err != nil {
		return nil, err
	}
	return t.evolve(ctx, columns)
}

// Draft returns a table to stage files for, that may not exist yet or lack
// some of the columns: the first CommitFiles makes it so. Until then nobody
// sees a difference, so a writer that fails leaves no trace. When the table
// changes its columns in between, that commit is a Conflict fault.
func (l *Lake) Draft(ctx context.Context, name string, columns []frame.Column) (*Table, error) {
	t, err := l.Table(ctx, name)
	lastID := 0
	switch {
	case fault.Is(err, fault.NotFound):
		ident, err := identOf(name)
		if err != nil {
			return nil, err
		}
		if _, err := icebergSchema(columns); err != nil {
			return nil, err
		}
		t = &Table{lake: l, name: name, ident: ident, location: l.locationOf(ident), draft: true}
	case err != nil:
		return nil, err
	default:
		lastID = t.ice.Metadata().LastColumnID()
	}
	fresh, err := missing(name, t.fields, columns)
	if err != nil || len(fresh) == 0 {
		return t, err
	}
	drafted := *t
	drafted.draft = true
	drafted.fields = slices.Clone(t.fields)
	for i, c := range fresh {
		drafted.fields = append(drafted.fields, fieldOf{c, lastID + i + 1})
	}
	return &drafted, nil
}

func (l *Lake) locationOf(ident table.Identifier) string {
	return l.warehouse + "/" + ident[0] + ".db/" + ident[1]
}

// Drop removes a table with its files. An unknown name is a NotFound fault.
func (l *Lake) Drop(ctx context.Context, name string) error {
	t, err := l.Table(ctx, name)
	if err != nil {
		return err
	}
	unlock := l.lock(name)
	defer unlock()
	if err := l.ice.PurgeTable(ctx, t.ident); err != nil {
		return storeFault(err, "table %q cannot be dropped", name)
	}
	return nil
}

// lock makes the caller the only committer of a table in this process, so
// that conflicts, which cost a rewritten manifest each, come from other
// processes only.
func (l *Lake) lock(name string) (unlock func()) {
	l.mu.Lock()
	m := l.committers[name]
	if m == nil {
		m = new(sync.Mutex)
		l.committers[name] = m
	}
	l.mu.Unlock()
	m.Lock()
	return m.Unlock
}

// tableProperties are what every table is made with: compressed metadata
// (whose checksum finds flipped bits), manifests that are merged as small
// commits add up, no retry below the one in commit.go.
func tableProperties() iceberg.Properties {
	return iceberg.Properties{
		table.MetadataCompressionKey:              "gzip",
		table.MetadataDeleteAfterCommitEnabledKey: "true",
		table.MetadataPreviousVersionsMaxKey:      "20",
		table.ManifestMergeEnabledKey:             "true",
		table.ManifestMinMergeCountKey:            "20",
		table.CommitNumRetriesKey:                 "0",
		table.ParquetCompressionKey:               "zstd",
		table.MaxSnapshotAgeMsKey:                 msText(defaultRetention),
		table.MinSnapshotsToKeepKey:               "1",
		table.WriteTargetFileSizeBytesKey:         "134217728",
		table.ParquetRowGroupLimitKey:             "131072",
		table.DefaultWriteMetricsModeKey:          "truncate(16)",
		table.CommitTotalRetryTimeoutMsKey:        msText(30 * time.Second),
	}
}
