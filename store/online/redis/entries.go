package redis

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/online"
)

// headBytes is the size of what stands before a value: its time and version.
const headBytes = 16

// A script is sent with at most so many entries, or so many bytes of them: the
// server does nothing else meanwhile.
const (
	batchEntries = 500
	batchBytes   = 4 << 20
)

// timeBytes makes bytes of a time that are ordered as times are.
func timeBytes(at int64) uint64 { return uint64(at) ^ 1<<63 }

// Get reads with one MGET.
func (s *Store) Get(ctx context.Context, keys []online.Key, into []online.Found) ([]online.Found, error) {
	if err := online.CheckGet(keys); err != nil || len(keys) == 0 {
		return into, err
	}
	names := make([]string, len(keys))
	for i := range keys {
		names[i] = s.name(keys[i].Table, keys[i].Key)
	}
	stored, err := s.client.MGet(ctx, names...).Result()
	if err != nil {
		return into, wrap(ctx, err)
	}
	if len(stored) != len(keys) {
		return into, fault.New(fault.Corrupt, "Redis answered %d keys with %d values", len(keys), len(stored))
	}
	for _, v := range stored {
		text, ok := v.(string) // nil where there is none
		if !ok {
			into = append(into, online.Found{})
			continue
		}
		f, err := parse([]byte(text))
		if err != nil {
			return into, err
		}
		into = append(into, f)
	}
	return into, nil
}

func parse(stored []byte) (online.Found, error) {
	if len(stored) < headBytes {
		return online.Found{}, fault.New(fault.Corrupt, "a value of the online features in Redis is cut off").
			Hint("look who else writes keys of the same prefix")
	}
	return online.Found{
		Value:   stored[headBytes:len(stored):len(stored)],
		At:      int64(timeBytes(int64(binary.BigEndian.Uint64(stored)))),
		Version: binary.BigEndian.Uint64(stored[8:]),
		OK:      true,
	}, nil
}

// putScript sets KEYS[i] to ARGV[2i-1] until the millisecond ARGV[2i], unless
// what is there is of a later time. Lua's numbers are exact to 53 bits, so
// times are compared in halves.
var putScript = redis.NewScript(`
local older = 0
for i, key in ipairs(KEYS) do
  local new, keep = ARGV[2 * i - 1], true
  local old = redis.call('GETRANGE', key, 0, 7)
  if #old == 8 then
    local oh, ol = struct.unpack('>I4I4', old)
    local nh, nl = struct.unpack('>I4I4', new)
    keep = nh > oh or (nh == oh and nl >= ol)
  end
  if not keep then
    older = older + 1
  elseif ARGV[2 * i] == '0' then
    redis.call('SET', key, new)
  else
    redis.call('SET', key, new, 'PXAT', ARGV[2 * i])
  end
end
return older`)

// swapScript sets KEYS[i] to ARGV[3i-2] until the millisecond ARGV[3i-1] where
// its version is ARGV[3i], which is empty where there should be none. It
// returns the others, from 0.
var swapScript = redis.NewScript(`
local lost = {}
for i, key in ipairs(KEYS) do
  local new = ARGV[3 * i - 2]
  local old = redis.call('GETRANGE', key, 8, 15)
  if old == ARGV[3 * i] then
    if ARGV[3 * i - 1] == '0' then
      redis.call('SET', key, new)
    else
      redis.call('SET', key, new, 'PXAT', ARGV[3 * i - 1])
    end
  elseif old ~= string.sub(new, 9, 16) then
    lost[#lost + 1] = i - 1
  end
end
return lost`)

// Put writes by putScript.
func (s *Store) Put(ctx context.Context, table string, entries []online.Entry) (int, error) {
	if err := online.CheckPut(table, entries); err != nil {
		return 0, err
	}
	all := len(entries)
	entries = online.Newest(entries)
	older := all - len(entries)
	for first := 0; first < len(entries); {
		b := batch{}
		for i := first; i < len(entries) && !b.full(); i++ {
			e := &entries[i]
			b.add(s.name(table, e.Key), e, online.NewVersion())
		}
		n, err := putScript.Run(ctx, s.client, b.names, b.args...).Int()
		if err != nil {
			return older, wrap(ctx, err)
		}
		older += n
		first += len(b.names)
	}
	return older, nil
}

// Swap writes by swapScript.
func (s *Store) Swap(ctx context.Context, table string, changes []online.Change) ([]int, error) {
	if err := online.CheckSwap(table, changes); err != nil {
		return nil, err
	}
	var lost []int
	for first := 0; first < len(changes); {
		b := batch{}
		for i := first; i < len(changes) && !b.full(); i++ {
			c := &changes[i]
			b.add(s.name(table, c.Key), &c.Entry, c.To)
			var from []byte
			if c.From != 0 {
				from = binary.BigEndian.AppendUint64(nil, c.From)
			}
			b.args = append(b.args, from)
		}
		indices, err := swapScript.Run(ctx, s.client, b.names, b.args...).Int64Slice()
		if err != nil {
			return lost, wrap(ctx, err)
		}
		for _, i := range indices {
			lost = append(lost, first+int(i))
		}
		first += len(b.names)
	}
	return lost, nil
}

// batch is what one script is called with.
type batch struct {
	names []string
	args  []any // as the library wants them
	bytes int
}

func (b *batch) full() bool { return len(b.names) >= batchEntries || b.bytes >= batchBytes }

func (b *batch) add(name string, e *online.Entry, version uint64) {
	value := make([]byte, 0, headBytes+len(e.Value))
	value = binary.BigEndian.AppendUint64(value, timeBytes(e.At))
	value = binary.BigEndian.AppendUint64(value, version)
	b.names = append(b.names, name)
	b.args = append(b.args, append(value, e.Value...), expiry(e.Expires))
	b.bytes += len(name) + len(e.Value) + headBytes
}

// expiry is the millisecond of a time, 0 for never.
func expiry(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(t.UnixMilli(), 1)
}
