package app

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/pattern/realtime"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/client"
	"github.com/leat-ai/leat/surface/server"
)

func (a *App) openServer(ctx context.Context) (func(context.Context) error, error) {
	s, err := server.New(a.config.Server, a.keys, a.tel)
	if err != nil {
		return nil, err
	}
	a.server = s
	imports, err := a.newImports()
	if err != nil {
		return nil, err
	}
	scoring := realtime.New(a.serving, decide.NewLedger(a.catalog, a.clock, 0).Beside(a.streams.Decided), a.clock)
	api.New(s, api.Services{
		Version: Version, Project: project{a}, Starter: starter{a}, Runs: a.runs, Registry: a.registry, Importer: imports,
		Releases: a.releases, Endpoints: endpoints{a}, Scoring: scoring, Data: a.sql, Decisions: decisions{a},
		Signals: a.signals, Features: featureService{a}, History: history{a}, Streams: a.streams, Knowledge: knowledgeService{a.known, a}, LLMs: a.gateway, Assistants: asking{a}, Repeats: a.repeats(), Events: a.events, Keys: a.keys, Checks: a.checks, Askable: &a.askable,
	})
	if err := a.openProtocols(s, scoring); err != nil {
		return nil, err
	}
	a.openMLflow(s, imports)
	s.Handle("GET /metrics", api.Guarded("metrics", a.tel.Handler()))
	a.client, err = client.New("http://localhost", client.Options{Transport: within{s.Handler()}})
	if err != nil || a.config.Silent {
		return nil, err
	}
	if err := s.Start(ctx); err != nil {
		return nil, err
	}
	return s.Stop, a.tellAddress()
}

// checks says how the parts are.
func (a *App) checks(ctx context.Context) []api.Check {
	checks := []api.Check{a.checkCatalog(ctx), a.checkDisk(), a.checkRecords()}
	declared, err := (project{a}).List(ctx)
	if err != nil {
		return checks
	}
	return slices.Concat(checks, a.checkEndpoints(declared), a.checkMonitors(ctx, declared))
}

func (a *App) checkCatalog(ctx context.Context) api.Check {
	c := api.Check{Name: "catalog", OK: true, Note: string(a.catalog.Dialect())}
	if err := a.catalog.SQL().PingContext(ctx); err != nil {
		c.OK, c.Note, c.Hint = false, err.Error(), "is the database reachable?"
	}
	return c
}

// lowDisk is how many free bytes are too few.
const lowDisk = 200 << 20

func (a *App) checkDisk() api.Check {
	var s syscall.Statfs_t
	if err := syscall.Statfs(a.config.Home, &s); err != nil {
		return api.Check{Name: "disk", Note: err.Error()}
	}
	free := s.Bavail * uint64(s.Bsize)
	home, _ := filepath.Abs(a.config.Home)
	return api.Check{Name: "disk", OK: free > lowDisk, Note: fmt.Sprintf("%d MiB free below %s", free>>20, home), Hint: "make room"}
}

func (a *App) checkRecords() api.Check {
	s := a.records.Stats()
	c := api.Check{Name: "records", OK: !s.Stopped, Hint: "the disk failed; look at it, then restart the server",
		Note: fmt.Sprintf("%d recorded, %d dropped, %d failed", s.Recorded, s.Dropped, s.Failed)}
	return c
}

// within is a transport that calls a handler of this process.
type within struct{ handler http.Handler }

func (t within) RoundTrip(r *http.Request) (*http.Response, error) {
	// Who holds the client of the process is who started it.
	w := newAnswer(r.WithContext(identity.With(r.Context(), identity.Local())))
	go w.serve(t.handler)
	select {
	case <-w.started:
		return w.response, nil
	case <-r.Context().Done():
		_ = w.response.Body.Close() // nobody will read it, so the handler need not write it
		return nil, r.Context().Err()
	}
}

// checkEndpoints finds endpoints that are declared and do not serve.
func (a *App) checkEndpoints(declared []spec.Resource) []api.Check {
	var checks []api.Check
	for _, e := range spec.All[*spec.Endpoint](declared) {
		c := api.Check{Name: "endpoint " + e.Name, OK: true, Partial: true}
		release, err := a.router.Release(e.Name)
		if why := a.serving.Failure(e.Name); why != nil { // also where an older release still serves
			err = why
		}
		switch {
		case err == nil:
			c.Note = fmt.Sprintf("serves release %d", release.Number)
		case fault.Is(err, fault.NotFound):
			c.Note = "has no release yet"
		default:
			c.OK, c.Note, c.Hint = false, err.Error(), fault.HintOf(err)
		}
		checks = append(checks, c)
	}
	return checks
}
