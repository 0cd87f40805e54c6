// Package app joins the parts of Leat into a server: configuration in, object
// graph out.
//
// Start opens the parts in the order in which they stand on each other and
// returns a running App; Stop ends them in reverse. The order is in one list,
// (*App).parts, which is also the best place to see what Leat consists of. A
// test starts an App in a temporary folder without listening, or on port 0.
//
// Where the arrow of the house runs the other way at run time (a pipeline that
// tells the router of a release, a batch that tells a monitor), the joint is
// here too, in small types beside this file.
package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/leat-ai/leat/backends"
	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/decide/record"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/deploy/resources"
	"github.com/leat-ai/leat/flow/feature/online"
	"github.com/leat-ai/leat/flow/feature/tables"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/flow/monitor"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/flow/registry/webhook"
	"github.com/leat-ai/leat/flow/retrain/trigger"
	"github.com/leat-ai/leat/flow/track"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/llm/gateway"
	"github.com/leat-ai/leat/model"
	questions "github.com/leat-ai/leat/pattern/knowledge"
	"github.com/leat-ai/leat/pattern/stream"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/query"
	"github.com/leat-ai/leat/surface/cli"
	"github.com/leat-ai/leat/surface/client"
	"github.com/leat-ai/leat/surface/compat/oip"
	"github.com/leat-ai/leat/surface/server"
	"github.com/leat-ai/leat/work"
)

// Version is the version of this build. The linker sets it.
var Version = "dev"

// Config says what to serve and how.
type Config struct {
	Project string // folder of resource files, and root of relative file names
	Home    string // folder of what this server keeps
	Env     string // environment, "default" when empty
	Catalog string // URL of the catalog; a SQLite file in Home when empty
	Blobs   string // URL of the bucket for artifacts; a folder in Home when empty
	Lake    string // URL of where the tables' files are; a folder in Home when empty
	Online  string // URL of the store of online features; a folder in Home when empty
	// Bus are the brokers of events: embedded, nats://host…, kafka://host…, at
	// most one of each sort; see backends.BusConfig.
	Bus []string
	// Egress are hosts and networks that are not public and may be asked
	// nevertheless, separated by commas; see package egress.
	Egress string
	// AllowProcess lets models be programs also where others than this machine
	// are listened to.
	AllowProcess bool
	Work         string // URL of the database of runs; a SQLite file in Home, or Catalog when that is PostgreSQL
	// Executor names this server among those that share the database of runs:
	// it goes on with the runs that a server of the same name left. When
	// empty, the machine's name with the home; a file in Home is its alone.
	Executor string
	Server   server.Config
	// GRPC is host:port to listen on for gRPC, with the keys and TLS of Server;
	// not at all when empty. Optional: not where something else has the port.
	GRPC         string
	GRPCOptional bool
	Silent       bool // do not listen: requests come from Client only
	OTLP         string
	Log          *slog.Logger
	Retain       time.Duration // how long old snapshots of tables stay; 7 days when 0
	// WatchFiles is how often sources are looked at for files that landed,
	// where a trigger waits for them; 5 seconds when 0.
	WatchFiles time.Duration
	// ModelMemory is how many bytes models may have in memory; 512 MiB when 0.
	ModelMemory int64
}

func (c Config) withDefaults() Config {
	or := func(s *string, otherwise string) {
		if *s == "" {
			*s = otherwise
		}
	}
	or(&c.Project, ".")
	or(&c.Home, filepath.Join(c.Project, ".leat"))
	or(&c.Env, "default")
	if c.Work == "" && isPostgres(c.Catalog) {
		c.Work = c.Catalog
	}
	or(&c.Work, "sqlite:"+filepath.Join(c.Home, "work.db"))
	or(&c.Catalog, filepath.Join(c.Home, "catalog.db"))
	or(&c.Blobs, filepath.Join(c.Home, "blobs"))
	or(&c.Lake, filepath.Join(c.Home, "lake"))
	or(&c.Online, filepath.Join(c.Home, "online"))
	if isPostgres(c.Work) { // a database that others may share
		or(&c.Executor, executor(c.Home))
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.ModelMemory == 0 {
		c.ModelMemory = registry.DefaultMemory
	}
	if c.Retain == 0 {
		c.Retain = 7 * 24 * time.Hour
	}
	return c
}

// App is a running Leat.
type App struct {
	config Config
	clock  clock.Clock
	tel    *telemetry.Telemetry
	log    *slog.Logger

	home      *os.File // holds the lock
	catalog   *catalog.DB
	bucket    blob.Bucket
	blobs     *blob.Store
	lake      *lake.Lake
	engine    query.Engine
	sql       *lakeSQL
	buses     *backends.Buses
	records   *record.Writer
	gateway   *gateway.Gateway
	askable   askable
	known     *knowledge.Store
	wanted    wanted
	runtimes  backends.Runtimes
	formats   []model.Format
	registry  *registry.Registry
	webhooks  *webhook.Hooks
	events    *trigger.Triggers
	track     *track.Track
	releases  *deploy.Releases
	resources *resources.Resources
	features  *tables.Store
	// online is the features by entity, views those in force.
	online      *online.Features
	onlineDeps  online.Deps
	onlineStore *lateStore
	views       *online.Registry
	router      *decide.Router
	assistants  *questions.Assistants
	driver      *questions.Driver
	serving     *serving
	ingester    *ingest.Ingester
	signals     *monitor.Signals
	watch       *watch
	keys        *identity.Keys
	runs        *work.Engine
	streams     *stream.Streams
	inbox       *inbox
	server      *server.Server
	inference   oip.Services
	grpc        *server.GRPC // nil when it does not listen
	client      *client.Client

	meter        meter
	converging   sync.Mutex
	scheduled    map[string]bool    // guarded by converging
	stopMonitors context.CancelFunc // guarded by converging
	life         context.Context    // ends when the app stops
	background   context.CancelFunc // ends it
	loops        sync.WaitGroup
	stops        []func(context.Context) error // in the order of the starts
	stopOnce     sync.Once
	stopErr      error
}

// part is one thing that is opened at start; open returns what ends it, or
// nil.
type part struct {
	name string
	open func(ctx context.Context) (stop func(context.Context) error, err error)
}

// parts is the object graph in the order of its making.
func (a *App) parts() []part {
	return []part{
		{"home", a.openHome},
		{"telemetry", a.openTelemetry},
		{"catalog", a.openCatalog},
		{"blobs", a.openBlobs},
		{"lake", a.openLake},
		{"sql", a.openSQL},
		{"bus", a.openBus},
		{"records", a.openRecords},
		{"gateway", a.openGateway},
		{"online", a.openOnline},
		{"models", a.openModels},
		{"tracking", a.openTracking},
		{"knowledge", a.openKnowledge},
		{"assistants", a.openAssistants},
		{"decisions", a.openDecisions},
		{"ingest", a.openIngest},
		{"runs", a.openRuns},
		{"streams", a.openStreams},
		{"inbox", a.openInbox},
		{"server", a.openServer},
		{"grpc", a.openGRPC},
		{"background", a.openBackground},
	}
}

// Start opens every part and serves.
func Start(ctx context.Context, c Config) (*App, error) {
	a := &App{config: c.withDefaults(), clock: clock.System{}}
	for _, p := range a.parts() {
		stop, err := p.open(ctx)
		if err != nil {
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			_ = a.Stop(closing) // the first error is the one to tell
			return nil, fault.Wrap(err, fault.KindOf(err), "%s", p.name)
		}
		if stop != nil {
			a.stops = append(a.stops, stop)
		}
	}
	return a, nil
}

// Stop ends every part in reverse. It is safe to call twice.
func (a *App) Stop(ctx context.Context) error {
	a.stopOnce.Do(func() {
		var mistakes fault.List
		for i := len(a.stops) - 1; i >= 0; i-- {
			mistakes.Add(a.stops[i](ctx))
		}
		a.stopErr = mistakes.Err()
	})
	return a.stopErr
}

// Client speaks with the app from within, without the network.
func (a *App) Client() *client.Client { return a.client }

// URL is where the app listens, or "".
func (a *App) URL() string {
	if a.config.Silent {
		return ""
	}
	return a.server.URL()
}

// Done is closed when the server no longer serves.
func (a *App) Done() <-chan struct{} { return a.server.Done() }

// StartFor is how the command line starts an App.
func StartFor(ctx context.Context, o cli.ServeOptions) (cli.Running, error) {
	c := Config{
		Project: o.Project, Home: o.Home, Env: o.Env, Catalog: o.Catalog, Blobs: o.Blobs, Lake: o.Lake, Online: o.Online, Bus: o.Bus, Egress: o.Egress,
		OTLP: o.OTLP, Silent: o.Listen == "", Retain: o.Retain, ModelMemory: int64(o.ModelMemory), AllowProcess: o.AllowProcess,
		GRPC: o.GRPC, GRPCOptional: o.GRPCOptional,
		Server: server.Config{Listen: o.Listen, Auth: server.Auth(o.Auth), CertFile: o.CertFile, KeyFile: o.KeyFile},
	}
	if o.Log != nil {
		c.Log = slog.New(slog.NewTextHandler(o.Log, nil))
	}
	a, err := Start(ctx, c)
	if err != nil {
		return nil, err
	}
	return a, nil
}

func (a *App) openTelemetry(ctx context.Context) (func(context.Context) error, error) {
	tel, err := telemetry.New(ctx, telemetry.Config{Version: Version, OTLP: a.config.OTLP, Logger: a.config.Log})
	if err != nil {
		return nil, err
	}
	a.tel, a.log = tel, tel.Log()
	return tel.Close, nil
}

func (a *App) openCatalog(ctx context.Context) (func(context.Context) error, error) {
	db, err := backends.Catalog(ctx, a.config.Catalog)
	if err != nil {
		return nil, err
	}
	a.catalog = db
	return func(context.Context) error { return db.Close() }, nil
}

func (a *App) openBlobs(ctx context.Context) (func(context.Context) error, error) {
	bucket, err := backends.Bucket(ctx, a.config.Blobs)
	if err != nil {
		return nil, err
	}
	a.bucket, a.blobs = bucket, blob.NewStore(bucket, a.scratch())
	return func(context.Context) error { return bucket.Close() }, nil
}

func (a *App) openLake(ctx context.Context) (func(context.Context) error, error) {
	w, err := backends.Lake(ctx, a.config.Lake)
	if err != nil {
		return nil, err
	}
	closeBucket := func() error { return nil }
	if w.Bucket != nil {
		closeBucket = w.Bucket.Close
	}
	a.lake, err = lake.Open(ctx, lake.Config{
		Warehouse: w.Address, Bucket: w.Bucket, DB: a.catalog.SQL(), Dialect: a.catalog.Dialect(), Scratch: a.scratch(),
	})
	if err != nil {
		return nil, errors.Join(err, closeBucket())
	}
	return func(context.Context) error { return errors.Join(a.lake.Close(), closeBucket()) }, nil
}

// scratch is the folder for files on their way.
func (a *App) scratch() string { return filepath.Join(a.config.Home, "scratch") }
