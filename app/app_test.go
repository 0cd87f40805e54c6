package app

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/internal/killtest"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/surface/server"
	"github.com/leat-ai/leat/work"
)

func TestMain(m *testing.M) {
	killtest.Main(m, killtest.Jobs{"batch": batchJob, "pipeline": pipelineJob, "serve": serveJob})
}

// patience bounds what a test waits for: the machine may be busy.
const patience = 2 * time.Minute

// payment is a row of the table of these tests.
type payment struct {
	id      int
	amount  float64
	age     int    // -1: not known
	country string // "": not known
	online  bool
	at      time.Time
	bad     string
}

// payments draws rows from a seed; some values are missing, and every 200th
// amount breaks the rule of the source.
func payments(n int) []payment {
	r := rand.New(rand.NewPCG(1, 2))
	countries := []string{"at", "be", "ch", "de", "it", "ürk\"ey", ""}
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	rows := make([]payment, n)
	for i := range rows {
		p := payment{
			id: i, amount: math.Exp(r.NormFloat64()*2 + 3), age: r.IntN(80) - 1,
			country: countries[r.IntN(len(countries))], online: r.IntN(3) == 0, bad: "no",
			at: day.Add(time.Duration(r.IntN(1e9)) * time.Microsecond * 1000),
		}
		risk := math.Log(p.amount) - 4 - float64(p.age)/40
		if p.country == "it" || p.online {
			risk++
		}
		if 1/(1+math.Exp(-2*risk)) > r.Float64() {
			p.bad = "yes"
		}
		if i%200 == 199 {
			p.amount = -p.amount
		}
		rows[i] = p
	}
	return rows
}

func (p payment) csv() string {
	age := ""
	if p.age >= 0 {
		age = fmt.Sprint(p.age)
	}
	country := p.country
	if country == "ürk\"ey" {
		country = `"ürk""ey"`
	}
	return fmt.Sprintf("%d,%v,%s,%s,%v,%s,%s\n", p.id, p.amount, age, country, p.online, p.at.Format(time.RFC3339Nano), p.bad)
}

// row is what real time is asked with.
func (p payment) row() map[string]any {
	m := map[string]any{"amount": p.amount, "age": nil, "country": nil, "online": p.online, "at": p.at.Format(time.RFC3339Nano)}
	if p.age >= 0 {
		m["age"] = p.age
	}
	if p.country != "" {
		m["country"] = p.country
	}
	return m
}

// makeProject writes the project of testdata/loop with n rows of data.
func makeProject(dir string, n int) error {
	text, err := os.ReadFile(filepath.Join("testdata", "loop", "leat.yaml"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "leat.yaml"), text, 0o600); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "payments.csv"))
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	fmt.Fprint(w, "id,amount,age,country,online,at,bad\n")
	for _, p := range payments(n) {
		if _, err := w.WriteString(p.csv()); err != nil {
			return err
		}
	}
	return cmp.Or(w.Flush(), f.Close())
}

// files reads the resource files of a project.
func files(dir string) (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "leat.yaml"))
	return map[string]string{"leat.yaml": string(text)}, err
}

// launch starts an app on a project and applies it.
func launch(ctx context.Context, c Config) (*App, error) {
	a, err := Start(ctx, c)
	if err != nil {
		return nil, err
	}
	list, err := files(c.Project)
	if err == nil {
		_, err = a.Client().Apply(ctx, list)
	}
	if err != nil {
		_ = a.Stop(ctx)
		return nil, err
	}
	return a, nil
}

// through runs something to its end, under an id of its own: the same id in
// two projects gives the same rows.
func (a *App) through(ctx context.Context, kind spec.Kind, name, id string) (work.Status, error) {
	if _, err := a.start(ctx, kind, name, work.ID(id), work.By("test")); err != nil {
		return work.Status{}, err
	}
	status, err := a.runs.Wait(ctx, id)
	if err != nil {
		return status, err
	}
	return status, status.Err()
}

// stopped ends an app with time to spare.
func stopped(a *App) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return a.Stop(ctx)
}

// loop is a project of n rows with an app on it that has learned.
type loop struct {
	*testing.T
	*App
	dir    string
	config Config
}

// newLoop starts an app, silent unless a listen address is given.
func newLoop(t *testing.T, n int, change ...func(*Config)) *loop {
	t.Helper()
	l := &loop{T: t, dir: t.TempDir()}
	if err := makeProject(l.dir, n); err != nil {
		t.Fatal(err)
	}
	l.config = Config{Project: l.dir, Home: filepath.Join(l.dir, "home"), Silent: true}
	for _, f := range change {
		f(&l.config)
	}
	l.start()
	t.Cleanup(func() {
		if err := stopped(l.App); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return l
}

// listening lets an app be asked over the network.
func listening(c *Config) {
	c.Silent, c.Server = false, server.Config{Listen: "127.0.0.1:0", Auth: c.Server.Auth}
}

func (l *loop) start() {
	l.Helper()
	a, err := launch(l.Context(), l.config)
	if err != nil {
		l.Fatal(err)
	}
	l.App = a
}

// restart ends the app and starts another on the same home.
func (l *loop) restart() {
	l.Helper()
	if err := stopped(l.App); err != nil {
		l.Fatalf("stop: %v", err)
	}
	l.start()
}

// run runs something that must succeed.
func (l *loop) run(kind spec.Kind, name, id string) work.Status {
	l.Helper()
	ctx, cancel := context.WithTimeout(l.Context(), patience)
	defer cancel()
	status, err := l.through(ctx, kind, name, id)
	if err != nil {
		l.Fatalf("%s %s: %v (hint: %s)", kind, name, err, fault.HintOf(err))
	}
	return status
}

// apply puts the project in force after some text of it was replaced.
func (l *loop) apply(was, now string) {
	l.Helper()
	if err := edit(l.dir, was, now); err != nil {
		l.Fatal(err)
	}
	list, err := files(l.dir)
	if err != nil {
		l.Fatal(err)
	}
	if _, err := l.Client().Apply(l.Context(), list); err != nil {
		l.Fatal(err)
	}
}

// eventually waits for something that takes a moment.
func (l *loop) eventually(what string, ok func() bool) {
	l.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.Fatalf("it does not come about that %s", what)
		}
	}
}
