package catalogtest

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leat-ai/leat/store/catalog"
)

// victim names the environment variable that makes a test's program the
// child that is killed; its value is the location to write to.
const victim = "LEAT_CATALOGTEST_VICTIM"

// Main runs a backend's tests, or, in the child of the kill test, writes
// until it is killed.
func Main(m *testing.M, b Backend) {
	if location := os.Getenv(victim); location != "" {
		if err := writeForever(b, location); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// writeForever says on standard output what the catalog has acknowledged.
// Each write makes two rows, so that half of one shows.
func writeForever(b Backend, location string) error {
	db, err := b.Open(context.Background(), location)
	if err != nil {
		return err
	}
	errs := make(chan error)
	var mu sync.Mutex
	for writer := range 4 {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d.%d.%d", os.Getpid(), writer, i)
				err := db.Write(context.Background(), func(tx catalog.Tx) error {
					if err := set(context.Background(), tx, key, ""); err != nil {
						return err
					}
					return set(context.Background(), tx, key+"+", "")
				})
				if err != nil {
					errs <- err
					return
				}
				mu.Lock()
				fmt.Println(key)
				mu.Unlock()
			}
		}()
	}
	return <-errs
}

// What the child said to be written is there; of what it did not say, a write
// is there whole or not at all.
func testKill(t *testing.T, b Backend) {
	location := b.Fresh(t)
	acknowledged := map[string]bool{}
	for range 5 {
		for _, key := range writeAndKill(t, location) {
			acknowledged[key] = true
		}
	}
	db := b.open(t, location)
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
	found := keys(t, db)
	for key := range acknowledged {
		if !found[key] {
			t.Errorf("%s was acknowledged and is lost", key)
		}
	}
	for key := range found {
		if twin := strings.TrimSuffix(key, "+"); twin == key && !found[key+"+"] || !found[twin] {
			t.Errorf("%s is there without its twin", key)
		}
	}
	// Each of the four writers may have one write that it could not report.
	if unreported := len(found)/2 - len(acknowledged); unreported < 0 || unreported > 5*4 {
		t.Errorf("%d writes are there and %d were acknowledged", len(found)/2, len(acknowledged))
	}
	t.Logf("%d writes acknowledged, %d found", len(acknowledged), len(found)/2)
}

// writeAndKill runs the child until it has acknowledged a random number of
// writes, kills it, and returns all that it acknowledged.
func writeAndKill(t *testing.T, location string) (keys []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), victim+"="+location)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for end := 20 + rand.IntN(100); lines.Scan(); {
		if len(keys) == end {
			_ = cmd.Process.Kill() // SIGKILL; what is in the pipe was said before
		}
		if strings.HasPrefix(lines.Text(), strconv.Itoa(cmd.Process.Pid)+".") {
			keys = append(keys, lines.Text())
		}
	}
	_ = cmd.Wait()
	if stderr.Len() > 0 {
		t.Fatalf("the child failed: %s", stderr.String())
	}
	return keys
}

func keys(t *testing.T, db *catalog.DB) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := db.Read(t.Context(), func(tx catalog.Tx) error {
		rows, err := tx.Query(t.Context(), `SELECT key FROM ledger`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var key string
			if err := rows.Scan(&key); err != nil {
				return err
			}
			found[key] = true
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
