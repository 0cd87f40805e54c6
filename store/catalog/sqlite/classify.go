package sqlite

import (
	"errors"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

const restore = "stop Leat, keep a copy of the file and its -wal, and restore a backup"

// classify says what an error of SQLite means. The extended code is looked
// at first, where it says more than the primary one.
func classify(err error) (catalog.Class, bool) {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return catalog.Class{}, false
	}
	switch e.Code() {
	case lib.SQLITE_CONSTRAINT_UNIQUE, lib.SQLITE_CONSTRAINT_PRIMARYKEY, lib.SQLITE_CONSTRAINT_ROWID:
		return catalog.Class{Kind: fault.Conflict, What: "the catalog has this already"}, true
	case lib.SQLITE_CONSTRAINT_FOREIGNKEY:
		return catalog.Class{Kind: fault.Conflict, What: "the catalog has nothing that this could point at, or something still points at this"}, true
	case lib.SQLITE_IOERR_FSYNC, lib.SQLITE_IOERR_DIR_FSYNC:
		return catalog.Class{Kind: fault.Unavailable, Fatal: true,
			What: "the device did not confirm what the catalog wrote; nothing more is written until a restart",
			Hint: "look at the disk, then start Leat again: it recovers what was confirmed"}, true
	}
	return primary(e.Code() & 0xff), true
}

func primary(code int) catalog.Class {
	switch code {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return catalog.Class{Kind: fault.Unavailable, Retry: true, What: "another process holds the catalog"}
	case lib.SQLITE_FULL:
		return catalog.Class{Kind: fault.Full, What: "no space is left for the catalog", Hint: "free space on its disk; nothing was changed"}
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return catalog.Class{Kind: fault.Corrupt, What: "the file of the catalog is damaged or not a catalog", Hint: restore}
	case lib.SQLITE_IOERR:
		return catalog.Class{Kind: fault.Unavailable, What: "the device of the catalog failed", Hint: "look at the disk"}
	case lib.SQLITE_CANTOPEN, lib.SQLITE_READONLY, lib.SQLITE_PERM:
		return catalog.Class{Kind: fault.Unavailable, What: "the file of the catalog cannot be opened for writing", Hint: "look at the rights of the file and its folder"}
	case lib.SQLITE_INTERRUPT:
		return catalog.Class{Kind: fault.Canceled, What: "a statement of the catalog was interrupted"}
	case lib.SQLITE_TOOBIG:
		return catalog.Class{Kind: fault.TooLarge, What: "a value is too large for the catalog"}
	case lib.SQLITE_CONSTRAINT:
		return catalog.Class{Kind: fault.Invalid, What: "the catalog's tables do not allow this value"}
	}
	return catalog.Class{Kind: fault.Internal, What: "the catalog refused a statement"}
}
