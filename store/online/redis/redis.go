// Package redis is the store of online features on a Redis server, for many
// servers of Leat together.
//
// An entry is one string: eight bytes of its time, so that bytes compare as
// times do, eight of its version, and the value. A read is one MGET; a write
// is a script that compares and sets on the server, some hundred entries at a
// time. The server is one primary, with replicas or Sentinel's address in
// front as its operator likes; a cluster that spreads keys over nodes is not
// spoken to. Redis 6.2 or later is needed.
//
// The server's maxmemory-policy should be noeviction or one of volatile-*:
// with allkeys-* it forgets features silently when it is full.
package redis

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/online"
)

// Config says where the server is. Only URL is needed.
type Config struct {
	// URL is redis://user:password@host:port/number, or rediss:// for TLS.
	URL string
	// Prefix begins the name of every key: leat when empty.
	Prefix string
	// Conns bounds the connections of this process: 64 when 0.
	Conns int
	// Timeout bounds how long an answer of the server is waited for: 1 s when 0.
	Timeout time.Duration
}

// Validate reports every mistake of the configuration, without the URL's
// password.
func (c Config) Validate() error {
	_, err := c.options()
	return err
}

// options are the library's.
func (c Config) options() (*redis.Options, error) {
	var l fault.List
	o, err := redis.ParseURL(c.URL)
	if err != nil || !strings.HasPrefix(c.URL, "redis://") && !strings.HasPrefix(c.URL, "rediss://") {
		// The cause may hold the password.
		l.Add(fault.New(fault.Invalid, "online features need a URL of Redis").Hint("write redis://user:password@host:6379/0, or rediss:// for TLS"))
	}
	if c.Conns < 0 || c.Conns > 4096 {
		l.Add(fault.New(fault.Invalid, "the connections to Redis are %d; they must be between 1 and 4096", c.Conns))
	}
	if c.Timeout < 0 {
		l.Add(fault.New(fault.Invalid, "the timeout of Redis is %s", c.Timeout))
	}
	if strings.ContainsAny(c.Prefix, " \n\r\x00") {
		l.Add(fault.New(fault.Invalid, "the prefix %q of keys in Redis has a space in it", c.Prefix))
	}
	if err := l.Err(); err != nil {
		return nil, err
	}
	o.PoolSize = or(c.Conns, 64)
	o.ReadTimeout = or(c.Timeout, time.Second)
	o.WriteTimeout, o.DialTimeout, o.PoolTimeout = o.ReadTimeout, o.ReadTimeout, o.ReadTimeout
	o.ContextTimeoutEnabled = true
	// Every command may be repeated, and a caller waits: try soon, not often.
	o.MaxRetries, o.DialerRetries = 2, 1
	o.MinRetryBackoff, o.MaxRetryBackoff = 5*time.Millisecond, 50*time.Millisecond
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o, nil
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// Store is an open store.
type Store struct {
	client *redis.Client
	prefix string
}

var _ online.Store = (*Store)(nil)

// Open connects to the server.
func Open(ctx context.Context, c Config) (*Store, error) {
	o, err := c.options()
	if err != nil {
		return nil, err
	}
	s := &Store{client: redis.NewClient(o), prefix: or(c.Prefix, "leat") + ":online:"}
	if err := s.client.Ping(ctx).Err(); err != nil {
		return nil, errors.Join(wrap(ctx, err), s.client.Close())
	}
	return s, nil
}

// Close closes the connections.
func (s *Store) Close() error {
	if err := s.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return wrap(context.Background(), err)
	}
	return nil
}

// name is how a key is called on the server. A table's name has no space.
func (s *Store) name(table string, key []byte) string {
	b := make([]byte, 0, len(s.prefix)+len(table)+1+len(key))
	return string(append(append(append(append(b, s.prefix...), table...), ' '), key...))
}

// scanCount is how many keys the server looks at in one step of a Drop.
const scanCount = 1000

// Drop finds the keys of the table among all, in steps, and unlinks them. Keys
// that are written meanwhile may stay.
func (s *Store) Drop(ctx context.Context, table string) error {
	if err := online.CheckTable(table); err != nil {
		return err
	}
	pattern := escape(s.name(table, nil)) + "*"
	for cursor := uint64(0); ; {
		names, next, err := s.client.Scan(ctx, cursor, pattern, scanCount).Result()
		if err != nil {
			return wrap(ctx, err)
		}
		if len(names) > 0 {
			if err := s.client.Unlink(ctx, names...).Err(); err != nil {
				return wrap(ctx, err)
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// escape makes a pattern that only its own text matches.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(text)
}

func moved(err error) bool {
	_, elsewhere := redis.IsMovedError(err)
	return elsewhere || redis.HasErrorPrefix(err, "CROSSSLOT")
}

// wrap is the fault of an error of the server, or of the way to it.
func wrap(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil { // whatever it looks like
		return fault.Wrap(ended, fault.KindOf(ended), "online features in Redis")
	}
	what := func(kind fault.Kind, sentence, hint string) error {
		return fault.New(kind, "%s", sentence).Because(err).Hint("%s", hint)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(err, fault.Timeout, "online features in Redis")
	case errors.Is(err, redis.ErrClosed):
		return fault.New(fault.Unavailable, "the store of online features is closed")
	case redis.IsOOMError(err):
		return what(fault.Full, "Redis has no memory left for online features", "raise its maxmemory; nothing was changed")
	case redis.IsAuthError(err), redis.IsPermissionError(err):
		return what(fault.Forbidden, "Redis refuses this user", "look at the user, the password and the user's rights (GET, MGET, SET, EVALSHA, SCAN, UNLINK)")
	case redis.IsReadOnlyError(err):
		return what(fault.Unavailable, "this Redis server takes no writes at present", "point the URL at the primary")
	case moved(err):
		return what(fault.Unsupported, "this Redis is a cluster", "point the URL at a server that has all keys")
	}
	return what(fault.Unavailable, "Redis, which has the online features, does not answer", "look whether it runs and the URL is right")
}
