package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/monitor"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/surface/client"
	"github.com/leat-ai/leat/work"
)

// demoOptions are the flags of leat demo.
type demoOptions struct {
	dir, data, label, time, split string
	drop                          []string
	rows                          int
	seed                          int64
	requests                      int
	exit                          bool
	listen                        string
}

func (c *commands) demoCommand() *cobra.Command {
	var o demoOptions
	cmd := c.command("run", "demo", "Turn the whole loop: on a made-up bank, or on your own table",
		"  leat demo\n  leat demo --data churn.csv.gz --label Churn --drop customerID\n  leat demo --data meters.parquet --label kwh --time at --exit --json", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error {
			if o.data != "" && o.label == "" {
				return &usageError{fault.New(fault.Invalid, "--data needs --label").Hint("name the column to predict")}
			}
			return (&demo{commands: c, o: o, started: time.Now()}).run(cmd.Context())
		})
	f := cmd.Flags()
	f.StringVar(&o.dir, "dir", "leat-demo", "folder for the project that is made")
	f.StringVar(&o.data, "data", "", "your table: .csv, .jsonl or .parquet, also .gz and .zst")
	f.StringVar(&o.label, "label", "", "column to predict")
	f.StringVar(&o.time, "time", "", "column of time: the latest fifth of the rows is held out (default: a random fifth)")
	f.StringSliceVar(&o.drop, "drop", nil, "columns not to learn from")
	f.StringVar(&o.split, "split", "", "every:N holds out every N-th row instead")
	f.IntVar(&o.rows, "rows", 200_000, "rows of the made-up bank")
	f.Int64Var(&o.seed, "seed", 1, "seed of everything that is drawn")
	f.IntVar(&o.requests, "requests", 2000, "real-time requests to measure")
	f.StringVar(&o.listen, "listen", "127.0.0.1:8080", "host:port to serve on; a free port is taken when it is in use")
	f.BoolVar(&o.exit, "exit", false, "do not go on serving at the end")
	return cmd
}

// demo is one turn of the loop.
type demo struct {
	*commands
	o        demoOptions
	started  time.Time
	server   Running
	client   *client.Client
	names    names
	plan     tablePlan
	report   demoReport
	verdicts []registry.Verdict
	example  client.Row // a row to show in the last lines
	decision string     // id of a decision made
}

// names are what the project's resources are called.
type names struct{ source, view, model, pipeline, endpoint, batch, scores, monitor string }

// demoReport is the one JSON object at the end.
type demoReport struct {
	Rows         int64              `json:"rows"`
	Quarantined  int64              `json:"quarantined"`
	Reasons      map[string]int64   `json:"quarantine_reasons,omitempty"`
	Task         string             `json:"task"`
	Trainer      string             `json:"trainer,omitempty"`
	Metrics      map[string]float64 `json:"metrics"`
	BestAUC      float64            `json:"best_auc,omitempty"` // of the made-up bank: what was planted
	ModelVersion string             `json:"model_version"`
	Release      string             `json:"release"`
	Realtime     realtimeReport     `json:"realtime"`
	Batch        batchReport        `json:"batch"`
	Signals      []monitor.Reading  `json:"signals"` // those that fired
	Project      string             `json:"project"`
	Seconds      float64            `json:"seconds"`
}

type realtimeReport struct {
	Requests int     `json:"requests"`
	P50      float64 `json:"p50_ms"`
	P95      float64 `json:"p95_ms"`
}

type batchReport struct {
	Rows       int64   `json:"rows"`
	RowsPerSec float64 `json:"rows_per_s"`
	Output     string  `json:"output"`
	Failed     int64   `json:"failed"`
}

func (d *demo) run(ctx context.Context) error {
	if err := d.prepare(ctx); err != nil {
		return err
	}
	if err := d.serve(ctx); err != nil {
		return err
	}
	defer d.stop(d.server)
	for _, stage := range []struct {
		says string
		do   func(context.Context) error
	}{
		{"ingest: read the table, keep what is clean, set aside what is not", d.ingest},
		{"project: choose columns, write the resource files", d.project},
		{"pipeline: features, training, gates, registry, release", d.pipeline},
		{"real time: ask the endpoint, one row a request", d.realtime},
		{"batch: score the whole table, commit it as one snapshot", d.batch},
		{"watch: compare what was scored with what was learned from", d.watch},
	} {
		fmt.Fprintf(d.Err, "\n%s\n", stage.says)
		if err := stage.do(ctx); err != nil {
			return err
		}
	}
	d.report.Seconds = time.Since(d.started).Seconds()
	if err := d.finish(); err != nil {
		return err
	}
	if d.o.exit {
		return nil
	}
	d.suggest()
	select {
	case <-ctx.Done():
	case <-d.server.Done():
	}
	return nil
}

// marker stands in a folder that a demo made, and so may make again.
const marker = ".leat-demo"

// prepare makes an empty folder for the project.
func (d *demo) prepare(ctx context.Context) error {
	dir, err := filepath.Abs(d.o.dir)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "%s is no folder", d.o.dir)
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(dir, marker)); err != nil {
			return fault.New(fault.Conflict, "%s is not empty, and no demo made it", dir).Hint("choose another folder with --dir")
		}
		d.commands.project = dir
		if d.serving(ctx) != nil {
			return fault.New(fault.Conflict, "an earlier demo still serves %s", dir).Hint("end it with Ctrl-C, or choose another folder with --dir")
		}
		if err := os.RemoveAll(dir); err != nil {
			return fault.Wrap(err, fault.Invalid, "cannot empty %s", dir)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o755); err != nil {
		return fault.Wrap(err, fault.Invalid, "cannot make %s", dir)
	}
	d.commands.project, d.report.Project = dir, dir
	return fault.Wrap(os.WriteFile(filepath.Join(dir, marker), nil, 0o644), fault.Full, "cannot write into %s", dir)
}

func (d *demo) serve(ctx context.Context) error {
	o := d.serveOptions()
	log, err := os.Create(filepath.Join(d.report.Project, "leat.log"))
	if err != nil {
		return fault.Wrap(err, fault.Full, "cannot write the log")
	}
	o.Listen, o.Log = d.o.listen, log
	d.server, err = d.Start(ctx, o)
	if fault.Is(err, fault.Unavailable) {
		o.Listen = "127.0.0.1:0"
		d.server, err = d.Start(ctx, o)
	}
	if err != nil {
		return err
	}
	d.client, err = client.New(d.server.URL(), client.Options{})
	fmt.Fprintf(d.Err, "project in %s, served at %s\n", d.report.Project, d.server.URL())
	return err
}

// start runs a resource and shows its progress.
func (d *demo) start(ctx context.Context, kind spec.Kind, name string) (work.Status, error) {
	id, err := d.client.Start(ctx, kind, name)
	if err != nil {
		return work.Status{}, err
	}
	return d.follow(ctx, d.client, id)
}

// output reads what a run returned.
func output[T any](s work.Status) (out T, err error) {
	return out, fault.Wrap(json.Unmarshal(s.Output, &out), fault.Internal, "the output of run %s is not understood", s.ID)
}

// finish prints what happened.
func (d *demo) finish() error {
	return d.show(d.report, func(w io.Writer) {
		fmt.Fprintln(w)
		pairs(w, d.summary())
	})
}

func (d *demo) summary() [][2]string {
	r := d.report
	rows := [][2]string{
		{"rows in the lake", count(r.Rows)},
		{"quarantined", reasonsText(r.Quarantined, r.Reasons)},
		{"task", r.Task + " (" + d.plan.label + ")"},
	}
	for _, name := range []string{"auc", "f1", "logloss", "accuracy", "rmse", "mae", "r2"} {
		if v, ok := r.Metrics[name]; ok {
			text := figure(v) + " on rows held out"
			if name == "auc" && r.BestAUC > 0 {
				text += fmt.Sprintf("; %s is the best that the planted law allows", figure(r.BestAUC))
			}
			rows = append(rows, [2]string{name, text})
		}
	}
	for _, v := range d.verdicts {
		rows = append(rows, [2]string{"gate", verdictText(v)})
	}
	rows = append(rows,
		[2]string{"model version", r.ModelVersion}, [2]string{"release", r.Release},
		[2]string{"real time", fmt.Sprintf("p50 %.2f ms, p95 %.2f ms over %s requests", r.Realtime.P50, r.Realtime.P95, count(int64(r.Realtime.Requests)))},
		[2]string{"batch", fmt.Sprintf("%s rows/s, %s rows into %s", count(int64(r.Batch.RowsPerSec)), count(r.Batch.Rows), r.Batch.Output)},
		[2]string{"drift", driftText(r.Signals)},
		[2]string{"took", duration(time.Duration(r.Seconds * float64(time.Second)))},
	)
	return rows
}

func reasonsText(n int64, reasons map[string]int64) string {
	text := count(n)
	for _, name := range sortedKeys(reasons) {
		text += fmt.Sprintf("; %s: %s", name, count(reasons[name]))
	}
	return text
}

// driftText names what drifted and where first.
func driftText(fired []monitor.Reading) string {
	if len(fired) == 0 {
		return "none found"
	}
	text := ""
	for i, r := range fired {
		if i == 6 {
			text += fmt.Sprintf(" and %d more (leat signals --fired)", len(fired)-i)
			break
		}
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%s %s in part %s", r.Name(), figure(r.Value), r.Window)
	}
	return text
}

// suggest prints three commands to try.
func (d *demo) suggest() {
	row, _ := json.Marshal(map[string]any{"rows": []client.Row{d.example}})
	third := "rollback " + d.names.endpoint
	if d.o.data != "" { // there is only one release yet
		third = fmt.Sprintf("models show %s --html card.html", d.names.model)
	}
	fmt.Fprintf(d.Out, `
Leat goes on serving at %s (Ctrl-C ends it). Try, in another terminal:

  curl -s %s/v1/endpoints/%s/score -d '%s'
  %s -C %s decisions %s
  %s -C %s %s

The project in %s is yours to change; its log is leat.log there.
`, d.server.URL(), d.server.URL(), d.names.endpoint, row,
		d.program(), d.o.dir, d.decision, d.program(), d.o.dir, third, d.report.Project)
}

// program is how this program was called, for commands to copy.
func (d *demo) program() string {
	if strings.ContainsRune(os.Args[0], filepath.Separator) {
		return os.Args[0]
	}
	return "leat"
}
