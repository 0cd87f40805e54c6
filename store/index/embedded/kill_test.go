package embedded

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-ai/leat/internal/killtest"
	"github.com/leat-ai/leat/store/index"
)

func TestMain(m *testing.M) { killtest.Main(m, killtest.Jobs{"rounds": roundsJob}) }

// TestSurvivesKills kills a process that builds, drops and changes access, and
// looks after each kill that what was answered holds and nothing is half done.
func TestSurvivesKills(t *testing.T) {
	killtest.Survives(t, killtest.Case{Job: "rounds", Kills: 10, Between: answeredHolds, Outcome: func(dir string) (string, error) {
		if err := answeredHolds(dir); err != nil {
			return "", err
		}
		return roundsContent(dir)
	}})
}

const rounds = 12

func roundName(round int) string { return fmt.Sprintf("round%03d", round) }

// roundsJob builds a snapshot on the one before, drops the one before that,
// grants what is new and withdraws a document; then it says so in a file.
func roundsJob(ctx context.Context, dir string) error {
	ix, err := Open(ctx, Config{Path: filepath.Join(dir, "index"), Segment: 64})
	if err != nil {
		return err
	}
	for {
		list, err := ix.Snapshots(ctx)
		if err != nil {
			return err
		}
		round, base := 1, ""
		if len(list) > 0 {
			base = list[len(list)-1].Name
			if _, err := fmt.Sscanf(base, "round%d", &round); err != nil {
				return err
			}
			if err := finishRound(ctx, ix, dir, round); err != nil {
				return err
			}
			round++
		}
		if round > rounds {
			return ix.Close()
		}
		b, err := ix.Build(ctx, index.Start{Base: base, Settings: index.Settings{Language: "en"}})
		if err != nil {
			return err
		}
		if err := b.Put(ctx, roundPassages(round)); err != nil {
			return err
		}
		if err := b.Delete(ctx, []string{fmt.Sprintf("doc%d", round-3)}); err != nil {
			return err
		}
		if _, err := b.Commit(ctx, roundName(round)); err != nil {
			return err
		}
	}
}

// finishRound does what follows the commit of a round; doing it twice does no
// harm.
func finishRound(ctx context.Context, ix *Index, dir string, round int) error {
	if err := ix.Drop(ctx, roundName(round-2)); err != nil {
		return err
	}
	if err := ix.Grant(ctx, []index.Access{{Document: fmt.Sprintf("doc%d", round), Readers: []string{"*"}}}); err != nil {
		return err
	}
	if err := ix.Withdraw(ctx, []string{fmt.Sprintf("doc%d", round-1)}); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "answered"), fmt.Append(nil, round), 0o600)
}

func roundPassages(round int) (all []index.Passage) {
	r := rand.New(rand.NewPCG(uint64(round), 0))
	for i := range 100 {
		p := index.Passage{Document: fmt.Sprintf("doc%d", round), Ordinal: i, Text: fmt.Sprintf("round %d has word%d", round, r.IntN(20))}
		p.ID, p.End = index.PassageID(p.Document, i), len(p.Text)
		all = append(all, p)
	}
	return all
}

// answeredHolds opens the index: the round that was answered is there, its
// document is read by everyone, the one before by nobody.
func answeredHolds(dir string) error {
	var answered int
	if text, err := os.ReadFile(filepath.Join(dir, "answered")); err == nil {
		if _, err := fmt.Sscan(string(text), &answered); err != nil {
			return nil // the note itself was cut off
		}
	}
	ix, err := Open(context.Background(), Config{Path: filepath.Join(dir, "index"), Segment: 64})
	if err != nil {
		return err
	}
	defer func() { _ = ix.Close() }() // only what it says is asked for
	if answered == 0 {
		return nil
	}
	list, err := ix.Snapshots(context.Background())
	if err != nil {
		return err
	}
	last := list[len(list)-1].Name
	if last < roundName(answered) {
		return fmt.Errorf("round %d was answered, and the last snapshot is %s", answered, last)
	}
	hits, err := ix.Search(context.Background(), index.Query{Snapshot: last, Text: "round", K: 1000, Who: index.ReaderOf("", nil)})
	if err != nil {
		return err
	}
	seen := make(map[string]int)
	for _, h := range hits {
		seen[h.Passage.Document]++
	}
	if seen[fmt.Sprintf("doc%d", answered)] != 100 && last == roundName(answered) || seen[fmt.Sprintf("doc%d", answered-1)] > 0 {
		return fmt.Errorf("after round %d there is %v", answered, seen)
	}
	return nil
}

func roundsContent(dir string) (string, error) {
	ix, err := Open(context.Background(), Config{Path: filepath.Join(dir, "index"), Segment: 64})
	if err != nil {
		return "", err
	}
	defer func() { _ = ix.Close() }() // only what it says is asked for
	var b strings.Builder
	for round := range rounds + 1 {
		hits, err := ix.Search(context.Background(), index.Query{Snapshot: roundName(round), Text: "word1 word2 round", K: 1000, Who: index.Everything()})
		if err != nil {
			continue // dropped
		}
		for _, h := range hits {
			fmt.Fprintf(&b, "%s %s %v\n", roundName(round), h.Passage.ID, h.Score)
		}
	}
	return b.String(), nil
}
