package decide_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/postgres"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

// openCatalog opens the one at the path of a file, or at the address of a
// server.
func openCatalog(t testing.TB, at string) *catalog.DB {
	t.Helper()
	var db *catalog.DB
	var err error
	if strings.HasPrefix(at, "postgres://") {
		db, err = postgres.Open(context.Background(), postgres.Config{URL: at})
	} else {
		db, err = sqlite.Open(context.Background(), sqlite.Config{Path: at})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// hands is a clock that a test moves.
type hands struct{ at atomic.Int64 }

func (h *hands) Now() time.Time          { return time.Unix(1_800_000_000, h.at.Load()).UTC() }
func (h *hands) forward(d time.Duration) { h.at.Add(int64(d)) }

func claim(key string) decide.Claim {
	return decide.Claim{Endpoint: "fraud", Principal: "app", Key: key, Body: []byte("{}")}
}

func TestOnceAnswersOnceOnAnyReplica(t *testing.T) {
	onceOnAnyReplica(t, filepath.Join(t.TempDir(), "catalog.db"))
}

func onceOnAnyReplica(t *testing.T, path string) {
	replicas := []*decide.Ledger{
		decide.NewLedger(openCatalog(t, path), clock.System{}, 0),
		decide.NewLedger(openCatalog(t, path), clock.System{}, 0),
	}
	var calls, fresh atomic.Int64
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			answer, known, err := replicas[i%2].Once(t.Context(), claim("k"), func(context.Context) ([]byte, error) {
				time.Sleep(20 * time.Millisecond)
				return fmt.Appendf(nil, "answer %d", calls.Add(1)), nil
			})
			if err != nil || string(answer) != "answer 1" {
				t.Errorf("%q, %v", answer, err)
			}
			if !known {
				fresh.Add(1)
			}
		})
	}
	wg.Wait()
	if calls.Load() != 1 || fresh.Load() != 1 {
		t.Errorf("decided %d times, %d answers were fresh", calls.Load(), fresh.Load())
	}
}

func TestClaimsDifferBySenderAndEndpoint(t *testing.T) {
	l := decide.NewLedger(openCatalog(t, filepath.Join(t.TempDir(), "c.db")), clock.System{}, 0)
	for i, c := range []decide.Claim{
		{Endpoint: "a", Principal: "x", Key: "k"}, {Endpoint: "a", Principal: "y", Key: "k"},
		{Endpoint: "b", Principal: "x", Key: "k"}, {Endpoint: "a", Principal: "x", Key: "K"},
	} {
		if _, known, err := l.Once(t.Context(), c, answering("x")); known || err != nil {
			t.Errorf("claim %d: known %v, %v", i, known, err)
		}
	}
}

func answering(text string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) { return []byte(text), nil }
}

func TestKeyWithAnotherBodyIsAConflict(t *testing.T) {
	l := decide.NewLedger(openCatalog(t, filepath.Join(t.TempDir(), "c.db")), clock.System{}, 0)
	if _, _, err := l.Once(t.Context(), claim("k"), answering("a")); err != nil {
		t.Fatal(err)
	}
	other := claim("k")
	other.Body = []byte(`{"a": 1}`)
	if _, _, err := l.Once(t.Context(), other, answering("b")); !fault.Is(err, fault.Conflict) {
		t.Errorf("another body: %v", err)
	}
	for _, key := range []string{"", string(make([]byte, 300)), "a\x00b", "\xff"} {
		if _, _, err := l.Once(t.Context(), claim(key), answering("b")); !fault.Is(err, fault.Invalid) {
			t.Errorf("key %.10q: %v", key, err)
		}
	}
}

func TestErrorsAreNotRemembered(t *testing.T) {
	l := decide.NewLedger(openCatalog(t, filepath.Join(t.TempDir(), "c.db")), clock.System{}, 0)
	broken := errors.New("broken")
	_, _, err := l.Once(t.Context(), claim("k"), func(context.Context) ([]byte, error) { return nil, broken })
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	answer, known, err := l.Once(t.Context(), claim("k"), answering("good"))
	if string(answer) != "good" || known || err != nil {
		t.Errorf("after an error: %q, %v, %v", answer, known, err)
	}
}

func TestAnswersComeBackByteForByteUntilTheyExpire(t *testing.T) {
	c := &hands{}
	l := decide.NewLedger(openCatalog(t, filepath.Join(t.TempDir(), "c.db")), c, time.Hour)
	for i, want := range [][]byte{{}, []byte("text"), {0, 1, 255}, []byte("pretender"), []byte("tb")} {
		key := fmt.Sprint(i)
		for try := range 2 {
			answer, known, err := l.Once(t.Context(), claim(key), func(context.Context) ([]byte, error) { return want, nil })
			if !bytes.Equal(answer, want) || known != (try == 1) || err != nil {
				t.Errorf("%q: %q, %v, %v", want, answer, known, err)
			}
		}
	}
	c.forward(time.Hour)
	if _, known, err := l.Once(t.Context(), claim("1"), answering("new")); known || err != nil {
		t.Errorf("an expired answer is known: %v", err)
	}
}

// A claim is left behind as a kill does, by a call
// that never returns from its work.
func TestClaimOfADeadProcessEnds(t *testing.T) {
	claimOfADeadProcessEnds(t, filepath.Join(t.TempDir(), "c.db"))
}

// TestLedgerOnPostgres runs what several replicas do to one catalog.
func TestLedgerOnPostgres(t *testing.T) {
	server := testserver.Postgres(t)
	t.Run("once", func(t *testing.T) { onceOnAnyReplica(t, server.URL(t)) })
	t.Run("dead process", func(t *testing.T) { claimOfADeadProcessEnds(t, server.URL(t)) })
}

func claimOfADeadProcessEnds(t *testing.T, path string) {
	c := &hands{}
	dead, alive := decide.NewLedger(openCatalog(t, path), c, 0), decide.NewLedger(openCatalog(t, path), c, 0)
	started, hang := make(chan struct{}), make(chan struct{})
	var late sync.WaitGroup
	late.Go(func() {
		answer, known, err := dead.Once(context.Background(), claim("k"), func(context.Context) ([]byte, error) {
			close(started)
			<-hang
			return []byte("late"), nil
		})
		if string(answer) != "taken over" || !known || err != nil {
			t.Errorf("who lost its claim answers %q, %v, %v", answer, known, err)
		}
	})
	<-started
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := alive.Once(ctx, claim("k"), answering("x")); !fault.Is(err, fault.Timeout) {
		t.Errorf("while another works on it: %v", err)
	}
	c.forward(time.Minute)
	answer, _, err := alive.Once(t.Context(), claim("k"), answering("taken over"))
	if string(answer) != "taken over" || err != nil {
		t.Errorf("after the claim ended: %q, %v", answer, err)
	}
	close(hang)
	late.Wait()
}

// A key that a stream has decided under is refused, and can be used once the
// stream has forgotten it.
func TestDecidedByAStream(t *testing.T) {
	decided := true
	l := decide.NewLedger(openCatalog(t, filepath.Join(t.TempDir(), "catalog.db")), &hands{}, 0).
		Beside(func(endpoint, key string) (string, bool) {
			return "live", decided && endpoint == "fraud" && key == "k1"
		})
	do := func(context.Context) ([]byte, error) { return []byte("answer"), nil }
	if _, _, err := l.Once(t.Context(), claim("k1"), do); !fault.Is(err, fault.Conflict) {
		t.Errorf("an event that was decided: %v", err)
	}
	if answer, _, err := l.Once(t.Context(), claim("k2"), do); err != nil || string(answer) != "answer" {
		t.Errorf("another: %q, %v", answer, err)
	}
	found, err := l.Answered(t.Context(), "fraud", []string{"k1", "k2", "k3"})
	if err != nil || len(found) != 1 || !found["k2"] {
		t.Errorf("answered are %v, %v", found, err)
	}
	if found, err := l.Answered(t.Context(), "frau", []string{"k2"}); err != nil || len(found) != 0 {
		t.Errorf("answered at another endpoint are %v, %v", found, err)
	}
	decided = false
	if _, _, err := l.Once(t.Context(), claim("k1"), do); err != nil {
		t.Errorf("an event that was forgotten: %v", err)
	}
}
