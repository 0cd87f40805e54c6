package knowledge_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/internal/killtest"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/work"
)

func TestMain(m *testing.M) { killtest.Main(m, killtest.Jobs{"sync": syncJob}) }

func TestSyncSurvivesKills(t *testing.T) {
	killtest.Survives(t, killtest.Case{Job: "sync", Prepare: before, Kills: 8, Between: whole, Outcome: known})
}

const killedDocuments = 300

func handbook() *spec.Knowledge {
	k := &spec.Knowledge{Name: "handbook", From: "docs", Embed: "models/hash"}
	if err := spec.Validate(k); err != nil {
		panic(err)
	}
	return k
}

// before leaves a knowledge with a live snapshot, of whose documents some have
// changed since and some are gone.
func before(dir string) error {
	docs := filepath.Join(dir, "project", "docs")
	if err := os.MkdirAll(docs, 0o755); err != nil {
		return err
	}
	write := func(i int, text string) error {
		return os.WriteFile(filepath.Join(docs, fmt.Sprintf("%04d.md", i)), []byte(text), 0o600)
	}
	for i := range killedDocuments {
		if err := write(i, fmt.Sprintf("# Document %d\n\nThe old word of %d is here.\n", i, i)); err != nil {
			return err
		}
	}
	if err := once(context.Background(), dir, "first"); err != nil {
		return err
	}
	for i := range killedDocuments {
		var err error
		switch {
		case i%3 == 0:
			err = write(i, fmt.Sprintf("# Document %d\n\nThe new word of %d is there.\n", i, i))
		case i%7 == 0:
			err = os.Remove(filepath.Join(docs, fmt.Sprintf("%04d.md", i)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func syncJob(ctx context.Context, dir string) error { return once(ctx, dir, "second") }

// once brings the knowledge up to date in a run of a name, or goes on with it.
func once(ctx context.Context, dir, id string) (err error) {
	w, err := open(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	k := handbook()
	w.store.Converge([]spec.Resource{{Kind: k.Kind(), Name: k.Name, Spec: k}})
	if err := w.engine.Launch(ctx); err != nil {
		return err
	}
	if _, err := w.store.Start(ctx, w.engine, k.Name, work.ID(id)); err != nil {
		return err
	}
	st, err := w.engine.Wait(ctx, id)
	if err != nil {
		return err
	}
	return st.Err()
}

// whole: what is live is the snapshot before or the one after, and all of it.
func whole(dir string) error {
	text, err := known(dir)
	if err != nil {
		return err
	}
	old, gone := strings.Count(text, "old word"), strings.Count(text, "new word")
	if old+gone == 0 {
		return errors.New("nothing is live")
	}
	return nil
}

// known is all that somebody finds, with what is listed of it.
func known(dir string) (out string, err error) {
	ctx := as(context.Background(), "anna")
	w, err := open(ctx, dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	k := handbook()
	w.store.Converge([]spec.Resource{{Kind: k.Kind(), Name: k.Name, Spec: k}})
	live, err := w.store.Live(ctx, k.Name)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintln(&b, live.Name, live.Documents, live.Passages)
	for _, question := range []string{"old word", "new word"} {
		found, err := w.store.Search(ctx, knowledge.Search{Knowledge: k.Name, Text: question, K: 400})
		if err != nil {
			return "", err
		}
		for _, p := range found.Passages {
			fmt.Fprintln(&b, question, p.ID, p.Version, p.Score, strings.TrimSpace(p.Text))
		}
	}
	listed, err := w.store.Documents(ctx, k.Name, "", 1000, false)
	for _, d := range listed {
		fmt.Fprintln(&b, d.ID, d.State, d.Version, d.Passages, d.Readers)
	}
	return b.String(), err
}
