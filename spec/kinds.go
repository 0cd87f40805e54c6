package spec

import (
	"time"

	"github.com/leat-ai/leat/base/frame"
)

// Source is data that Leat ingests into the lake table of the same name.
type Source struct {
	Name      string            `yaml:"name"`
	From      string            `yaml:"from"`                // file, glob, s3://, azblob://, postgres://, https://
	Query     string            `yaml:"query,omitempty"`     // the SQL to run where From is a database
	Format    string            `yaml:"format,omitempty"`    // csv, jsonl, parquet; by the file name when empty
	Header    *bool             `yaml:"header,omitempty"`    // CSV: the first line has names; true when empty
	Delimiter string            `yaml:"delimiter,omitempty"` // CSV: found out when empty
	Null      []string          `yaml:"null,omitempty"`      // CSV: cells that mean missing; "" when empty
	Schema    Columns           `yaml:"schema,omitempty"`    // found out when empty
	Expect    []string          `yaml:"expect,omitempty"`    // expressions; a row that breaks one is quarantined
	Mode      string            `yaml:"mode,omitempty"`      // append (new files only) or replace
	Schedule  string            `yaml:"schedule,omitempty"`
	Secret    string            `yaml:"secret,omitempty"` // reference: env:NAME, file:PATH
	Options   map[string]string `yaml:"options,omitempty"`
}

// Columns is an ordered mapping of column names to types.
type Columns []frame.Column

// FeatureView is a set of features of an entity, defined once for training
// and serving.
type FeatureView struct {
	Name      string       `yaml:"name"`
	Entity    []string     `yaml:"entity,omitempty"`    // key columns; a name alone is a list of one
	Source    string       `yaml:"source"`              // a Source or lake table
	Timestamp string       `yaml:"timestamp,omitempty"` // the event time column
	Columns   []string     `yaml:"columns,omitempty"`   // taken as they are
	Features  []FeatureDef `yaml:"features,omitempty"`  // mapping name: expression, in order
	SQL       string       `yaml:"sql,omitempty"`       // features per entity, computed over the lake and looked up by entity
	Owner     string       `yaml:"owner,omitempty"`
	Tags      []string     `yaml:"tags,omitempty"`
}

// FeatureDef is one feature computed by an expression over its source's row.
type FeatureDef struct {
	Name string
	Expr string
}

// Pipeline is a sequence of lifecycle steps run durably.
type Pipeline struct {
	Name  string  `yaml:"name"`
	On    Trigger `yaml:"on,omitempty"`
	Steps []Step  `yaml:"steps"`
}

// Trigger says what starts a pipeline besides a person.
type Trigger struct {
	Schedule string   `yaml:"schedule,omitempty"` // five cron fields, @daily, @every 10m
	Signal   []string `yaml:"signal,omitempty"`   // Monitors whose firing starts it
}

// Step is one stage of a pipeline; exactly one field is set.
type Step struct {
	Ingest   *IngestStep   `yaml:"ingest,omitempty"`
	Train    *TrainStep    `yaml:"train,omitempty"`
	Gate     []string      `yaml:"gate,omitempty"` // expressions over the candidate; all must hold
	Register *RegisterStep `yaml:"register,omitempty"`
	Deploy   *DeployStep   `yaml:"deploy,omitempty"`
	Batch    *BatchStep    `yaml:"batch,omitempty"`
}

// IngestStep ingests sources.
type IngestStep struct {
	Sources []string `yaml:"sources"`
}

// TrainStep trains a candidate of a model.
type TrainStep struct {
	Model     string             `yaml:"model"`
	Features  []string           `yaml:"features"` // FeatureViews
	Label     string             `yaml:"label"`
	Task      string             `yaml:"task,omitempty"`     // binary, multiclass, regression; by the label when empty
	Trainer   string             `yaml:"trainer,omitempty"`  // auto, gbdt, linear, command
	Command   []string           `yaml:"command,omitempty"`  // of trainer command
	Env       []string           `yaml:"env,omitempty"`      // variables that a command may see
	Params    map[string]float64 `yaml:"params,omitempty"`   // of the trainer
	Monotone  map[string]int     `yaml:"monotone,omitempty"` // feature: +1 or -1
	Weights   string             `yaml:"weights,omitempty"`  // balanced, or a column of weights
	Positive  string             `yaml:"positive,omitempty"` // the positive class of two
	Split     Split              `yaml:"split,omitempty"`
	Slices    []string           `yaml:"slices,omitempty"` // columns to report metrics by
	Threshold string             `yaml:"threshold,omitempty"`
	Seed      int64              `yaml:"seed,omitempty"`
	MaxRows   int64              `yaml:"max_rows,omitempty"`
}

// Split says which rows are held out for the test metrics: the last by a time
// column, every n-th row, or a random part (the default, because files are
// often sorted by class).
type Split struct {
	By    string  `yaml:"by,omitempty"`
	Every int     `yaml:"every,omitempty"`
	Test  Percent `yaml:"test,omitempty"` // default 20%
}

// Percent is a share between 0 and 1, written "20%" or 0.2.
type Percent float64

// RegisterStep makes the candidate a version of its model.
type RegisterStep struct {
	Alias string `yaml:"alias,omitempty"` // set to the new version; challenger when empty
}

// DeployStep makes a release of an endpoint with the newest version.
type DeployStep struct {
	Endpoint string `yaml:"endpoint"`
	Alias    string `yaml:"alias,omitempty"` // moved to the version once it is live; champion when empty
}

// BatchStep runs a Batch resource.
type BatchStep struct {
	Name string `yaml:"name"`
}

// Model describes a model: who owns it and what it is for. It may name an
// artifact to import.
type Model struct {
	Name        string   `yaml:"name"`
	Description string   `yaml:"description,omitempty"`
	Owner       string   `yaml:"owner,omitempty"`
	Tags        []string `yaml:"tags,omitempty"`
}

// Endpoint is where decisions are asked for in real time, and what batches and
// streams score with.
type Endpoint struct {
	Name     string   `yaml:"name"`
	Model    string   `yaml:"model"`              // name@alias or name@version
	Features []string `yaml:"features,omitempty"` // FeatureViews; those of the version when empty
	Decide   Decide   `yaml:"decide,omitempty"`
	Limits   Limits   `yaml:"limits,omitempty"`
	Record   string   `yaml:"record,omitempty"` // sampled queue "on" (default), "required", "off"
	SLO      SLO      `yaml:"slo,omitempty"`
	Allow    []string `yaml:"allow,omitempty"` // groups that may score; everybody with a grant when empty
}

// Decide turns a score into an action.
type Decide struct {
	Threshold *float64 `yaml:"threshold,omitempty"` // of the score; the version's own when empty
	OnAbove   string   `yaml:"on_above,omitempty"`  // the value of the output column "decision"
	OnBelow   string   `yaml:"on_below,omitempty"`
}

// Limits bound what an endpoint takes on.
type Limits struct {
	Rate        Rate          `yaml:"rate,omitempty"` // rows, "500/s"
	Per         string        `yaml:"per,omitempty"`  // caller (default) or endpoint
	Concurrency int           `yaml:"concurrency,omitempty"`
	MaxRows     int           `yaml:"max_rows,omitempty"` // of one request
	MaxBody     Bytes         `yaml:"max_body,omitempty"` // "1MiB"
	Timeout     time.Duration `yaml:"timeout,omitempty"`
}

// Rate is a number of events per second, written "500/s" or "10/m".
type Rate float64

// Bytes is a size, written "16MiB".
type Bytes int64

// SLO is what an endpoint promises.
type SLO struct {
	Availability Percent       `yaml:"availability,omitempty"`
	P95          time.Duration `yaml:"p95,omitempty"`
}

// Batch scores a table or files in a durable run.
type Batch struct {
	Name     string   `yaml:"name"`
	From     string   `yaml:"from"`  // lake://table[@snapshot], or a file or glob
	Score    string   `yaml:"score"` // an Endpoint
	To       string   `yaml:"to"`    // lake://table, or a folder or file name ending in .parquet or .csv
	Keep     []string `yaml:"keep,omitempty"`
	Key      string   `yaml:"key,omitempty"` // column that identifies a row; its position when empty
	Chunk    int      `yaml:"chunk,omitempty"`
	Schedule string   `yaml:"schedule,omitempty"`
}

// Monitor watches what an endpoint decides.
type Monitor struct {
	Name     string        `yaml:"name"`
	Watch    string        `yaml:"watch"`             // an Endpoint
	Signals  []Signal      `yaml:"signals,omitempty"` // every input and the prediction when empty
	Window   int           `yaml:"window,omitempty"`  // decisions per look
	Every    time.Duration `yaml:"every,omitempty"`
	Baseline string        `yaml:"baseline,omitempty"` // training (default)
}

// Signal is one watched quantity with its threshold; exactly one of PSI,
// Missing and New names a column, "*" for all or "prediction".
type Signal struct {
	PSI     string   `yaml:"psi,omitempty"`
	Missing string   `yaml:"missing,omitempty"`
	New     string   `yaml:"new,omitempty"`
	Above   *float64 `yaml:"above,omitempty"`
}

// Environment is a separated world: its own resources, data and roles.
type Environment struct {
	Name   string            `yaml:"name"`
	Server string            `yaml:"server,omitempty"` // address of another Leat
	Vars   map[string]string `yaml:"vars,omitempty"`   // ${name} in the other files
}
