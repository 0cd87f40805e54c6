package record

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
)

// faultyDisk is files that fail as told.
type faultyDisk struct {
	room   atomic.Int64 // bytes until the disk is full; 0: endless
	noSync atomic.Bool  // a sync fails
	syncs  atomic.Int64 // that succeeded

	block   chan struct{} // writes wait until it is closed; nil: they do not
	blocked chan struct{} // gets one for each write that waits
}

func (d *faultyDisk) create(path string) (file, error) {
	f, err := createFile(path)
	return &faultyFile{f, d}, err
}

type faultyFile struct {
	file
	disk *faultyDisk
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if f.disk.block != nil {
		f.disk.blocked <- struct{}{}
		<-f.disk.block
	}
	room := f.disk.room.Load()
	if room > 0 && int64(len(p)) >= room { // part of it goes in, as on a real disk
		n, _ := f.file.Write(p[:room-1])
		return n, &os.PathError{Op: "write", Err: syscall.ENOSPC}
	}
	if room > 0 {
		f.disk.room.Add(-int64(len(p)))
	}
	return f.file.Write(p)
}

func (f *faultyFile) Sync() error {
	if f.disk.noSync.Load() {
		return syscall.EIO
	}
	f.disk.syncs.Add(1)
	return f.file.Sync()
}

func TestFullDiskRefusesAndRecovers(t *testing.T) {
	disk, dir := &faultyDisk{}, t.TempDir()
	disk.room.Store(3000)
	w := start(t, Options{Dir: dir, create: disk.create})
	stored := map[string]int{}
	for i := range 100 {
		id := fmt.Sprint("early", i)
		err := w.Record(t.Context(), entry(true, id))
		if err == nil {
			stored[id] = 1
		} else if !fault.Is(err, fault.Full) {
			t.Fatalf("on a full disk: %v, want Full", err)
		}
	}
	if len(stored) == 0 || len(stored) == 100 {
		t.Fatalf("%d of 100 stored", len(stored))
	}
	disk.room.Store(0)
	record(t, w, entry(true, "late"))
	stored["late"] = 1
	if got := fresh(t, w); !reflect.DeepEqual(got, stored) {
		t.Errorf("read back %v\nacknowledged %v", got, stored)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	again := start(t, Options{Dir: dir})
	if got := fresh(t, again); !reflect.DeepEqual(got, stored) {
		t.Errorf("after a restart %v", got)
	}
}

func TestFailedSyncStopsTheWriter(t *testing.T) {
	disk := &faultyDisk{}
	w := start(t, Options{create: disk.create})
	record(t, w, entry(true, "before"))
	disk.noSync.Store(true)
	if err := w.Record(t.Context(), entry(true, "lost")); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("a failed sync: %v", err)
	}
	disk.noSync.Store(false)
	if err := w.Record(t.Context(), entry(true, "after")); !fault.Is(err, fault.Unavailable) {
		t.Errorf("after a failed sync the writer goes on: %v", err)
	}
	_ = w.Record(t.Context(), entry(false, "dropped"))
	if s := w.Stats(); !s.Stopped || s.Dropped != 2 || s.Failed != 1 {
		t.Errorf("stats %+v", s)
	}
	if got := fresh(t, w); got["before"] != 1 || got["after"] != 0 {
		t.Errorf("read back %v", got)
	}
	if err := w.Reopen(); err != nil {
		t.Fatal(err)
	}
	record(t, w, entry(true, "again"))
	if got := fresh(t, w); got["before"] != 1 || got["again"] != 1 {
		t.Errorf("after Reopen %v", got)
	}
}

// sealed writes n records of one decision and returns the one segment.
func sealed(t testing.TB, n int) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	w, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		record(t, w, entry(false, fmt.Sprintf("id-%03d", i)))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	names, _ := filepath.Glob(filepath.Join(dir, "*"+suffixSealed))
	if len(names) != 1 {
		t.Fatalf("%d segments", len(names))
	}
	return dir, names[0]
}

func TestFlippedBitLosesOneRecordAndIsReported(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir, path := sealed(t, 10)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := rapid.IntRange(headSize, len(data)-1).Draw(r, "byte")
		data[at] ^= 1 << rapid.IntRange(0, 7).Draw(r, "bit")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		w, sink := start(t, Options{Dir: dir}), &lake{segments: map[string]map[string]int{}, t: t}
		if got := fresh(t, w); len(got) != 9 {
			r.Fatalf("byte %d: %d of 10 records are fresh", at, len(got))
		}
		moved, err := w.Compact(t.Context(), sink)
		if moved != 1 || !fault.Is(err, fault.Corrupt) || len(sink.rows()) != 9 || w.Stats().Damaged == 0 {
			r.Fatalf("byte %d: moved %d segments with %d records, %v", at, moved, len(sink.rows()), err)
		}
		if kept, _ := filepath.Glob(filepath.Join(dir, folderDamaged, "*")); len(kept) != 1 {
			r.Fatalf("the damaged segment is not kept: %v", kept)
		}
		if _, err := w.Compact(t.Context(), sink); err != nil {
			r.Fatalf("reported again: %v", err)
		}
		_ = w.Close()
	})
}

// TestTornTailIsCutOff ends a segment that is being written at every byte.
func TestTornTailIsCutOff(t *testing.T) {
	_, path := sealed(t, 4)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := scanSegment(data)
	if err != nil {
		t.Fatal(err)
	}
	for size := 0; size < len(data); size++ {
		dir := t.TempDir()
		torn := filepath.Join(dir, newID(time.Now())+suffixOpen)
		if err := os.WriteFile(torn, data[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		want, end := 0, headSize
		for _, p := range whole.payloads {
			if end += frameSize + len(p); end <= size {
				want++
			}
		}
		w := start(t, Options{Dir: dir})
		if got := fresh(t, w); len(got) != want {
			t.Fatalf("cut at %d: %d records, want %d", size, len(got), want)
		}
		if _, err := w.Compact(t.Context(), &lake{segments: map[string]map[string]int{}, t: t}); err != nil {
			t.Fatalf("cut at %d: a torn tail is reported as damage: %v", size, err)
		}
		_ = w.Close()
	}
}

// TestDamagedHeadIsKept flips each bit of the head of a segment, finished or
// not: nothing of it can be read, and nothing is thrown away.
func TestDamagedHeadIsKept(t *testing.T) {
	_, path := sealed(t, 2)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range headSize * 8 {
		data := append([]byte(nil), whole...)
		data[bit/8] ^= 1 << (bit % 8)
		dir, suffix := t.TempDir(), []string{suffixOpen, suffixSealed}[bit%2]
		if err := os.WriteFile(filepath.Join(dir, newID(time.Now())+suffix), data, 0o600); err != nil {
			t.Fatal(err)
		}
		w := start(t, Options{Dir: dir})
		_, err := w.Compact(t.Context(), &lake{segments: map[string]map[string]int{}, t: t})
		if suffix == suffixSealed && !fault.Is(err, fault.Corrupt) {
			t.Errorf("bit %d: %v, want Corrupt", bit, err)
		}
		kept, _ := filepath.Glob(filepath.Join(dir, folderDamaged, "*"))
		if len(kept) != 1 || w.Stats().Damaged != int64(len(data)) || len(fresh(t, w)) != 0 {
			t.Errorf("bit %d: kept %v, %d bytes damaged", bit, kept, w.Stats().Damaged)
		}
		_ = w.Close()
	}
}

func FuzzScanSegment(f *testing.F) {
	_, path := sealed(f, 3)
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)-5])
	f.Add(append(head(7), mark...))
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := scanSegment(data)
		if err != nil {
			return
		}
		total := int64(headSize) + found.damaged + found.torn(data)
		for _, p := range found.payloads {
			total += int64(frameSize + len(p))
		}
		if total != int64(len(data)) {
			t.Errorf("%d of %d bytes are accounted for", total, len(data))
		}
	})
}

func FuzzDecode(f *testing.F) {
	_, path := sealed(f, 1)
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[headSize+frameSize:])
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := new(decoder).decode(data)
		if err != nil {
			return
		}
		for row := range p.ids {
			d := p.decision(row)
			for _, text := range [][]byte{d.Inputs, d.Features, d.Output} {
				if text != nil && !json.Valid(text) {
					t.Errorf("not JSON: %q", text)
				}
			}
		}
	})
}
