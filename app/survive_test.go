package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide/record"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/internal/killtest"
	"github.com/leat-ai/leat/spec"
)

// manyRows is how many rows the killed batch has: more when it is killed more
// often.
func manyRows() int {
	if killtest.Asked() {
		return 1_000_000
	}
	return 200_000
}

func here(dir string) Config {
	return Config{Project: dir, Home: filepath.Join(dir, "home"), Silent: true}
}

// with calls f with an app on a folder, and stops it.
func with(ctx context.Context, dir string, f func(a *App) error) error {
	a, err := launch(ctx, here(dir))
	if err != nil {
		return err
	}
	return errors.Join(f(a), stopped(a))
}

// job is one life of a process that is to bring something to its end.
func job(kind spec.Kind, name string) func(ctx context.Context, dir string) error {
	return func(ctx context.Context, dir string) error {
		return with(ctx, dir, func(a *App) error {
			_, err := a.through(ctx, kind, name, "the-"+name)
			return err
		})
	}
}

func batchJob(ctx context.Context, dir string) error { return job(spec.KindBatch, "all")(ctx, dir) }

func pipelineJob(ctx context.Context, dir string) error {
	return job(spec.KindPipeline, "learn")(ctx, dir)
}

// TestKilledBatch: whatever the instants at which the process dies, the table
// in the end is that of a run that nobody disturbed.
func TestKilledBatch(t *testing.T) {
	killtest.Survives(t, killtest.Case{Job: "batch", Kills: 4, Outcome: outcome, Between: whole(manyRows()), Prepare: func(dir string) error {
		if err := makeProject(dir, manyRows()); err != nil {
			return err
		}
		// The model is learned without the batch, which is what is killed.
		if err := edit(dir, "  - batch: {name: all}\n", ""); err != nil {
			return err
		}
		return job(spec.KindPipeline, "learn")(context.Background(), dir)
	}})
}

// TestKilledPipeline: from files to scored rows, with everything between.
func TestKilledPipeline(t *testing.T) {
	killtest.Survives(t, killtest.Case{Job: "pipeline", Kills: 4, Outcome: outcome, Between: whole(manyRows() / 10), Prepare: func(dir string) error {
		return makeProject(dir, manyRows()/10)
	}})
}

// TestRunRecordedOnce: a run whose last step is done again leaves one record,
// in the log and when that has moved into the lake.
func TestRunRecordedOnce(t *testing.T) {
	l := newLoop(t, 300)
	l.run(spec.KindPipeline, "learn", "first")
	for range 2 {
		if err := (runRecorder{l.App}).Run(t.Context(), record.Run{ID: "first-6", Endpoint: "risk"}); err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := l.describeRecords(t.Context(), &b); err != nil || b.String() != "[[\"record\",\"first-6\",\"risk\",1]]\n" {
			t.Errorf("%s %v", b.String(), err)
		}
		if err := l.compactRecords(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// outcome describes all that an app has, but for times and random ids.
func outcome(dir string) (text string, err error) {
	err = with(context.Background(), dir, func(a *App) error {
		var b strings.Builder
		ctx := context.Background()
		for _, describe := range []func(context.Context, *strings.Builder) error{
			a.describeRuns, a.describeTables, a.describeModels, a.describeEndpoints, a.describeRecords,
		} {
			if err := describe(ctx, &b); err != nil {
				return err
			}
		}
		text = b.String()
		return nil
	})
	return text, errors.Join(err, nothingStaged(dir))
}

func (a *App) describeRuns(ctx context.Context, b *strings.Builder) error {
	list, err := a.Client().Runs(ctx, "", "", "", 0)
	for _, r := range list {
		fmt.Fprintf(b, "run %s %s %s %s\n", r.Kind, r.Name, r.ID, r.State)
	}
	return err
}

// describeTables names the files of every table with a hash of their bytes.
func (a *App) describeTables(ctx context.Context, b *strings.Builder) error {
	names, err := a.lake.Tables(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		t, err := a.lake.Table(ctx, name)
		if err != nil {
			return err
		}
		if name == "decisions" { // segments are cut by time
			continue
		}
		fmt.Fprintf(b, "table %s: %d snapshots, %d rows\n", name, len(t.Snapshots()), t.Rows())
		if name == ingest.QuarantineTable("payments") { // says when
			if err := a.describeRows(ctx, b, `select sum(hash(file, line, reason, detail, "row", run)) from `+name); err != nil {
				return err
			}
			continue
		}
		files, err := t.Files(ctx)
		if err != nil {
			return err
		}
		for _, f := range files {
			content, err := os.ReadFile(strings.TrimPrefix(f.Path, "file://"))
			if err != nil {
				return err
			}
			fmt.Fprintf(b, "%s: %s %x\n", name, filepath.Base(f.Path), sha256.Sum256(content))
		}
	}
	return nil
}

func (a *App) describeModels(ctx context.Context, b *strings.Builder) error {
	models, err := a.registry.Models(ctx)
	if err != nil {
		return err
	}
	for _, m := range models {
		versions, err := a.registry.Versions(ctx, m.Name)
		if err != nil {
			return err
		}
		for _, v := range versions {
			fmt.Fprintf(b, "version %s %d %s profile %s auc %v run %s\n", v.Model, v.Number, v.ID, v.Profile, v.Metrics["auc"], v.Lineage.Run)
		}
		history, err := a.registry.History(ctx, m.Name)
		if err != nil {
			return err
		}
		for _, c := range history {
			fmt.Fprintf(b, "alias %s %s %d by %s\n", c.Model, c.Alias, c.Version, c.By)
		}
	}
	return nil
}

func (a *App) describeEndpoints(ctx context.Context, b *strings.Builder) error {
	for _, name := range a.router.Endpoints() {
		releases, err := a.releases.Releases(ctx, name)
		if err != nil {
			return err
		}
		for _, r := range releases {
			fmt.Fprintf(b, "release %s %d %s\n", name, r.Number, r.ID)
		}
		history, err := a.releases.History(ctx, name)
		if err != nil {
			return err
		}
		for _, c := range history {
			fmt.Fprintf(b, "live %s %d by %s: %s\n", name, c.Number, c.By, c.Why)
		}
	}
	return nil
}

// describeRecords counts what the decision log says of runs.
func (a *App) describeRecords(ctx context.Context, b *strings.Builder) error {
	return a.describeRows(ctx, b, "select 'record', run, endpoint, count(*) from decisions where run is not null group by all order by all")
}

func (a *App) describeRows(ctx context.Context, b *strings.Builder, sql string) error {
	r, err := a.Client().SQL(ctx, sql, 0)
	fmt.Fprintf(b, "%s\n", r.Rows)
	return err
}

// nothingStaged checks that a finished run left nothing of its own behind.
func nothingStaged(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, "home", "scratch", "batch", "*"))
	if len(left) > 0 {
		err = fmt.Errorf("left behind: %v", left)
	}
	return err
}

// whole returns a look at a folder between two lives: every table has all of
// its rows or none, every version loads, and what is live can be served.
func whole(rows int) func(dir string) error {
	return func(dir string) error {
		ctx := context.Background()
		a := &App{config: here(dir).withDefaults(), clock: clock.System{}}
		defer func() { _ = a.Stop(ctx) }()
		for _, p := range a.parts() {
			if p.name == "ingest" { // from here on the run would go on
				break
			}
			stop, err := p.open(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			if stop != nil {
				a.stops = append(a.stops, stop)
			}
		}
		return errors.Join(a.wholeTables(ctx, int64(rows-rows/200)), a.wholeModels(ctx))
	}
}

func (a *App) wholeTables(ctx context.Context, rows int64) error {
	for _, name := range []string{"payments", "scores"} {
		t, err := a.lake.Table(ctx, name)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if n := t.Rows(); n != 0 && n != rows {
			return fmt.Errorf("table %s shows %d of %d rows", name, n, rows)
		}
	}
	return nil
}

func (a *App) wholeModels(ctx context.Context) error {
	versions, err := a.registry.Versions(ctx, "risk")
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	for _, v := range versions {
		_, release, err := a.registry.Hold(ctx, v)
		if err != nil {
			return err
		}
		release()
	}
	live, err := a.releases.Endpoints(ctx)
	if err == nil && len(live) != len(a.router.Endpoints()) {
		err = fmt.Errorf("of %v only %v can be served", live, a.router.Endpoints())
	}
	return err
}

// edit replaces a text of the project, which must be there.
func edit(dir, old, with string) error {
	path := filepath.Join(dir, "leat.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Contains(text, []byte(old)) {
		return fmt.Errorf("the project does not say %q", old)
	}
	return os.WriteFile(path, bytes.Replace(text, []byte(old), []byte(with), 1), 0o600)
}
