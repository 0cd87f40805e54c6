package online

import (
	"math/rand/v2"

	"github.com/leat-ai/leat/base/fault"
)

// The bounds of what a store keeps. They are what every backend can do: an
// index of PostgreSQL takes keys up to 2,700 bytes.
const (
	MaxTable = 200
	MaxKey   = 1024
	MaxValue = 16 << 20
)

// CheckTable tells whether a table may be called so.
func CheckTable(table string) error {
	if table == "" || len(table) > MaxTable {
		return fault.New(fault.Invalid, "a table of online features has a name of %d bytes", len(table)).
			Hint("use between 1 and %d bytes", MaxTable)
	}
	for i := range len(table) {
		if c := table[i]; c <= ' ' || c > '~' {
			return fault.New(fault.Invalid, "a table of online features cannot be called %q", table).
				Hint("use printable ASCII characters and no spaces")
		}
	}
	return nil
}

// CheckKey tells whether a key is within the bounds.
func CheckKey(key []byte) error {
	if len(key) == 0 {
		return fault.New(fault.Invalid, "a key of online features is empty")
	}
	if len(key) > MaxKey {
		return fault.New(fault.TooLarge, "a key of online features has %d bytes", len(key)).
			Hint("the values of an entity may have %d bytes together", MaxKey)
	}
	return nil
}

// CheckGet tells whether keys may be read.
func CheckGet(keys []Key) error {
	last := ""
	for i := range keys {
		if table := keys[i].Table; i == 0 || table != last {
			if err := CheckTable(table); err != nil {
				return err
			}
			last = table
		}
		if err := CheckKey(keys[i].Key); err != nil {
			return err
		}
	}
	return nil
}

// CheckPut tells whether entries may be put.
func CheckPut(table string, entries []Entry) error {
	if err := CheckTable(table); err != nil {
		return err
	}
	for i := range entries {
		if err := entries[i].check(); err != nil {
			return err
		}
	}
	return nil
}

// CheckSwap tells whether changes may be swapped.
func CheckSwap(table string, changes []Change) error {
	if err := CheckTable(table); err != nil {
		return err
	}
	seen := make(map[string]bool, len(changes))
	for i := range changes {
		c := &changes[i]
		if err := c.check(); err != nil {
			return err
		}
		if c.To == 0 {
			return fault.New(fault.Invalid, "a change of online features goes to version 0")
		}
		if seen[string(c.Key)] {
			return fault.New(fault.Invalid, "a key of online features is changed twice at once")
		}
		seen[string(c.Key)] = true
	}
	return nil
}

func (e *Entry) check() error {
	if err := CheckKey(e.Key); err != nil {
		return err
	}
	if len(e.Value) > MaxValue {
		return fault.New(fault.TooLarge, "a value of online features has %d bytes", len(e.Value)).
			Hint("the features of one entity may have %d MiB", MaxValue>>20)
	}
	return nil
}

// Newest leaves of several entries of one key the newest, and of several of
// one time the last. It returns the entries themselves where no key stands
// twice.
func Newest(entries []Entry) []Entry {
	first := make(map[string]int, len(entries))
	var kept []Entry
	for i := range entries {
		at, twice := first[string(entries[i].Key)]
		switch {
		case !twice:
			if kept != nil {
				first[string(entries[i].Key)] = len(kept)
				kept = append(kept, entries[i])
			} else {
				first[string(entries[i].Key)] = i
			}
		case kept == nil:
			kept = append(make([]Entry, 0, len(entries)), entries[:i]...)
			fallthrough
		default:
			if entries[i].At >= kept[at].At {
				kept[at] = entries[i]
			}
		}
	}
	if kept == nil {
		return entries
	}
	return kept
}

// NewVersion returns a version that no other entry has: 64 random bits, never
// 0.
func NewVersion() uint64 {
	for {
		if v := rand.Uint64(); v != 0 {
			return v
		}
	}
}
