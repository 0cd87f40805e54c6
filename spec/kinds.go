package spec

import "github.com/leat-ai/leat/base/frame"

// Every field carries its name in files and in JSON (tag json) and the rules
// that Load checks and the reference and the JSON Schema show (tag spec):
//
//	required     it must be given
//	default=X    what an absent field means; filled in by Load
//	enum=a|b     one of these words
//	ref=K|L      the name of a resource of one of these kinds; "lake" also
//	             allows lake://table
//	expr         an expression over columns
//	gate         an expression over the figures of a candidate
//	cron         a schedule: five fields, @daily, @every 10m
//	secret       a reference to a secret, never the secret itself
//	location     a file, glob or address, without a password
//	scalar       text that may also be written as a bare number or true/false
//	oneof        exactly one of the fields so marked is given
//	min=N max=N  bounds of a number

// Source is data that Leat ingests into the lake table of the same name.
type Source struct {
	// Name is that of the source and of its lake table.
	Name string `json:"name" spec:"required"`
	// From says where the data is: a file or glob inside the project, or an
	// address that begins with s3://, azblob://, postgres:// or https://.
	From string `json:"from" spec:"required,location"`
	// Query is the SQL to run where From is a database.
	Query string `json:"query,omitempty"`
	// Format of the files; found out by their names when absent.
	Format string `json:"format,omitempty" spec:"enum=csv|jsonl|parquet"`
	// Header tells whether the first line of a CSV file has names: true when
	// absent.
	Header *bool `json:"header,omitempty"`
	// Delimiter of a CSV file, one character; found out when absent.
	Delimiter string `json:"delimiter,omitempty"`
	// Cells of a CSV file that mean a missing value; the empty cell when
	// absent.
	Null []string `json:"missing,omitempty" spec:"scalar"` // most readers of YAML take null for no name
	// Schema maps column names to types; found out from the data when absent.
	Schema Columns `json:"schema,omitempty"`
	// Expect are expressions that must hold for every row. A row that breaks
	// one is quarantined with the reason and its position, not lost.
	Expect []string `json:"expect,omitempty" spec:"expr"`
	// Mode says what a second ingest does: append takes files not seen
	// before, replace takes everything anew.
	Mode string `json:"mode,omitempty" spec:"enum=append|replace,default=append"`
	// Schedule ingests now and then without a pipeline.
	Schedule string `json:"schedule,omitempty" spec:"cron"`
	// Secret is what opens From.
	Secret string `json:"secret,omitempty" spec:"secret"`
	// Options are settings of the reader, such as region for s3.
	Options map[string]string `json:"options,omitempty" spec:"scalar"`
}

// HasHeader tells whether the first line of a CSV file has names.
func (s *Source) HasHeader() bool { return s.Header == nil || *s.Header }

// Columns is an ordered mapping of column names to types.
type Columns []frame.Column

// FeatureView is a set of features of an entity, defined once for training
// and for serving. One without a source and without sql is computed on demand:
// from the request, and from the views that are listed before it.
type FeatureView struct {
	// Name of the view.
	Name string `json:"name" spec:"required"`
	// Entity names the key columns that say whom the features describe; a
	// single name needs no brackets. Without one, features are those of the
	// row itself.
	Entity Names `json:"entity,omitempty"`
	// Source that the columns come from; absent in a view that is computed on
	// demand.
	Source string `json:"source,omitempty" spec:"ref=Source|lake"`
	// Timestamp is the column that says when a row became known; of windows,
	// the time of the event.
	Timestamp string `json:"timestamp,omitempty"`
	// Known is the column that says when a row became known, where that is
	// later than the time of its event.
	Known string `json:"known,omitempty"`
	// TTL is how long values hold: a value whose event is older is stale, and
	// an aggregate without a window looks back so far.
	TTL Duration `json:"ttl,omitempty"`
	// Lateness is how long after its successors an event of a stream may
	// come.
	Lateness Duration `json:"lateness,omitempty"`
	// Inputs maps the columns that a request has to their types, of a view
	// that is computed on demand.
	Inputs Columns `json:"inputs,omitempty"`
	// Columns of the source that are features as they are.
	Columns Names `json:"columns,omitempty"`
	// Features maps names to expressions over the columns of one row, or to
	// aggregates over the events of an entity. Beside aggregates, expressions
	// read the aggregates.
	Features Features `json:"features,omitempty" spec:"expr"`
	// SQL computes features per entity over the lake; they are looked up by
	// Entity.
	SQL string `json:"sql,omitempty"`
	// Owner is who answers for the definition.
	Owner string `json:"owner,omitempty"`
	// Tags help to find the view.
	Tags Names `json:"tags,omitempty"`
	// Class says how protected what the view holds is.
	Class string `json:"class,omitempty" spec:"enum=pii|sensitive|public"`
}

// Features is an ordered mapping of feature names to expressions and
// aggregates.
type Features []FeatureDef

// FeatureDef is one feature: an expression, or an aggregate where Aggregate
// is there.
type FeatureDef struct {
	Name      string
	Expr      string
	Aggregate *Aggregate
}

// Aggregate is a feature over the events of an entity: of a window that ends
// at the time that is asked for, which is not part of it. Without one it is
// over all of the past, as far back as the ttl of the view. A missing value is
// no value of any of them.
type Aggregate struct {
	// Count is how many events there are: "*", or those where the expression
	// has a value.
	Count string `json:"count,omitempty" spec:"oneof"`
	// Sum adds up the values of an expression, exactly, and rounds once.
	Sum string `json:"sum,omitempty" spec:"oneof,expr"`
	// Avg is their mean.
	Avg string `json:"avg,omitempty" spec:"oneof,expr"`
	// Min is the least of them.
	Min string `json:"min,omitempty" spec:"oneof,expr"`
	// Max is the greatest of them.
	Max string `json:"max,omitempty" spec:"oneof,expr"`
	// Last is the value of the latest event that has one.
	Last string `json:"last,omitempty" spec:"oneof,expr"`
	// First is the value of the earliest event that has one.
	First string `json:"first,omitempty" spec:"oneof,expr"`
	// Distinct is how many different values there are.
	Distinct string `json:"distinct,omitempty" spec:"oneof,expr"`
	// Stddev is the standard deviation of the values as a sample of more.
	Stddev string `json:"stddev,omitempty" spec:"oneof,expr"`
	// Quantile is the value that a share q of them is not above, within 1 %.
	Quantile string `json:"quantile,omitempty" spec:"oneof,expr"`
	// Q is the share of a quantile: 0.95 for the 95th percentile.
	Q float64 `json:"q,omitempty" spec:"min=0,max=1"`
	// Where says which events count.
	Where string `json:"where,omitempty" spec:"expr"`
	// Window is how far back the events reach. Several windows are several
	// features: spend over [1h, 24h] is spend_1h and spend_24h, each named by
	// the largest unit it is a whole number of, but a day by 24h.
	Window Durations `json:"window,omitempty"`
	// Slide moves the old edge of the window in steps, which bounds what is
	// kept: whole steps are summed up. The window is then longer by up to a
	// step.
	Slide Duration `json:"slide,omitempty"`
	// Tumbling is the length of buckets beginning at multiples of it since
	// 1970; the events are those of the present bucket.
	Tumbling Duration `json:"tumbling,omitempty"`
	// Session is the length of a gap that ends a session; the events are those
	// of the present session.
	Session Duration `json:"session,omitempty"`
}

// Durations is a list of lengths of time; one alone may be written without
// brackets.
type Durations []Duration

// Names is a list of names; one alone may be written without brackets.
type Names []string

// Pipeline is a sequence of lifecycle steps that run durably.
type Pipeline struct {
	// Name of the pipeline.
	Name string `json:"name" spec:"required"`
	// On says what starts the pipeline besides a person.
	On PipelineOn `json:"on,omitzero"`
	// Steps run one after the other; the first that fails ends the run.
	Steps []Step `json:"steps" spec:"required"`
}

// PipelineOn says what starts a pipeline besides a person.
type PipelineOn struct {
	// Schedule starts it at times.
	Schedule string `json:"schedule,omitempty" spec:"cron"`
	// Signal names monitors whose firing starts it.
	Signal Names `json:"signal,omitempty" spec:"ref=Monitor"`
}

// Step is one stage of a pipeline.
type Step struct {
	// Ingest brings sources into the lake.
	Ingest *IngestStep `json:"ingest,omitempty" spec:"oneof"`
	// Train makes a candidate of a model.
	Train *TrainStep `json:"train,omitempty" spec:"oneof"`
	// Gate lists expressions over the candidate's figures; all must hold.
	Gate []string `json:"gate,omitempty" spec:"oneof,gate"`
	// Register makes the candidate a version of its model.
	Register *RegisterStep `json:"register,omitempty" spec:"oneof"`
	// Deploy makes a release and lets an endpoint serve it.
	Deploy *DeployStep `json:"deploy,omitempty" spec:"oneof"`
	// Batch runs a Batch resource.
	Batch *BatchStep `json:"batch,omitempty" spec:"oneof"`
	// Evaluate asks an assistant questions whose answers are known.
	Evaluate *EvaluateStep `json:"evaluate,omitempty" spec:"oneof"`
}

// IngestStep ingests sources.
type IngestStep struct {
	// Sources to ingest.
	Sources Names `json:"sources" spec:"required,ref=Source"`
}

// TrainStep trains a candidate of a model.
type TrainStep struct {
	// Model whose candidate it is; a Model resource with the name is optional.
	Model string `json:"model" spec:"required"`
	// Features are the views whose columns the model learns from.
	Features Names `json:"features" spec:"required,ref=FeatureView"`
	// Label is the column to predict.
	Label string `json:"label" spec:"required"`
	// Task is found out from the label when absent.
	Task string `json:"task,omitempty" spec:"enum=binary|multiclass|regression"`
	// Trainer fits the model; auto tries gbdt and linear and keeps what
	// validates better, import takes one that was made elsewhere.
	Trainer string `json:"trainer,omitempty" spec:"enum=auto|gbdt|linear|command|import,default=auto"`
	// From is the file or folder of the project that has the model, or a
	// version of the registry (models:/NAME@ALIAS), of trainer import.
	From string `json:"from,omitempty" spec:"scalar"`
	// Command is the program with its arguments, of trainer command.
	Command []string `json:"command,omitempty" spec:"scalar"`
	// Env names the variables of the environment that a command may see.
	Env Names `json:"env,omitempty"`
	// Params are settings of the trainer.
	Params map[string]float64 `json:"params,omitempty"`
	// Monotone maps features to 1 (more never lowers the output) or -1.
	Monotone map[string]int `json:"monotone,omitempty" spec:"min=-1,max=1"`
	// Weights is balanced, or the column that has each row's weight.
	Weights string `json:"weights,omitempty"`
	// Positive is the class of two that a score is the probability of; the
	// rarer one when absent.
	Positive string `json:"positive,omitempty" spec:"scalar"`
	// Split says which rows are held out for the test metrics.
	Split Split `json:"split,omitzero"`
	// Slices are columns by whose values metrics are reported too.
	Slices Names `json:"slices,omitempty"`
	// Threshold of the score for the positive class: a number between 0 and
	// 1, or f1 for the one that is best on the validation rows.
	Threshold string `json:"threshold,omitempty" spec:"scalar,default=f1"`
	// Seed of everything random.
	Seed int64 `json:"seed,omitempty"`
	// MaxRows bounds how many rows are read; a random sample of them beyond.
	MaxRows int64 `json:"max_rows,omitempty" spec:"min=1"`
}

// Split says which rows are held out for the test metrics: the last by a time
// column, every n-th row, or a random part (the default, because files are
// often sorted by class).
type Split struct {
	// By is a time column: the last rows are held out.
	By string `json:"by,omitempty"`
	// Every holds out each n-th row in the order of the table, beginning with
	// the first.
	Every int `json:"every,omitempty" spec:"min=2"`
	// Test is the share of rows held out.
	Test Percent `json:"test,omitempty" spec:"default=20%"`
}

// RegisterStep makes the candidate a version of its model.
type RegisterStep struct {
	// Alias is set to the new version.
	Alias string `json:"alias,omitempty" spec:"default=challenger"`
}

// DeployStep makes a release of an endpoint with the newest version.
type DeployStep struct {
	// Endpoint that serves the release.
	Endpoint string `json:"endpoint" spec:"required,ref=Endpoint"`
	// Alias is moved to the version once it is live.
	Alias string `json:"alias,omitempty" spec:"default=champion"`
}

// BatchStep runs a Batch resource.
type BatchStep struct {
	// Name of the Batch.
	Name string `json:"name" spec:"required,ref=Batch"`
}

// Model describes a model: who owns it and what it is for. One that is not
// trained or imported is declared here: on another server (remote), a program
// (process), or made of other models (compose). An apply registers a version
// of it; the same declaration is the same version.
type Model struct {
	// Name of the model, the same as in the train step that makes it.
	Name string `json:"name" spec:"required"`
	// Description says what the model decides, and for whom.
	Description string `json:"description,omitempty"`
	// Owner is who answers for it.
	Owner string `json:"owner,omitempty"`
	// Tags help to find it.
	Tags Names `json:"tags,omitempty"`
	// Remote says which server executes the model.
	Remote *Remote `json:"remote,omitempty"`
	// Process says which program does.
	Process *Process `json:"process,omitempty"`
	// Compose says which models it is made of.
	Compose *Compose `json:"compose,omitempty"`
	// Inputs maps the columns that a remote or process model reads to their
	// types, where it does not say them itself; in a switch, columns that only
	// its conditions read.
	Inputs Columns `json:"inputs,omitempty"`
	// Outputs maps the columns that it answers to their types.
	Outputs Columns `json:"outputs,omitempty"`
	// Task of a remote or process model, where its outputs are those of a
	// built-in model: score and label, or score.
	Task string `json:"task,omitempty" spec:"enum=binary|multiclass|regression"`
	// Classes of the task, in the order of their probabilities; of two the
	// second is the positive one.
	Classes []string `json:"classes,omitempty" spec:"scalar"`
	// Alias is pointed at the version that an apply registers; champion when
	// absent.
	Alias string `json:"alias,omitempty"`
}

// Remote is a model that another server executes.
type Remote struct {
	// Protocol that the server speaks: oip is the Open Inference Protocol v2
	// (KServe, Triton, MLServer, Leat), mlflow its scoring server, azureml an
	// online endpoint, openai embeddings.
	Protocol string `json:"protocol" spec:"required,enum=oip|mlflow|azureml|openai"`
	// URL of the server, to which the path of the protocol is added.
	URL string `json:"url" spec:"required,location"`
	// Model is its name there, of oip and openai.
	Model string `json:"model,omitempty" spec:"scalar"`
	// Version of it there, of oip.
	Version string `json:"version,omitempty" spec:"scalar"`
	// Deployment that is asked whatever the endpoint's traffic rules say, of
	// azureml.
	Deployment string `json:"deployment,omitempty"`
	// Tensor that all inputs are sent as, a matrix; each is one of its own
	// when absent, or as the server says. Of oip.
	Tensor string `json:"tensor,omitempty"`
	// Result is the member of the answer that has the predictions, of azureml
	// where a script uses a name of its own.
	Result string `json:"result,omitempty"`
	// Dimensions that vectors are shortened to, of openai.
	Dimensions int `json:"dimensions,omitempty" spec:"min=1,max=65536"`
	// Secret that shows who asks.
	Secret string `json:"secret,omitempty" spec:"secret"`
	// Header that has the secret, such as api-key; it is sent as bearer token
	// when absent.
	Header string `json:"header,omitempty"`
	// Entra shows who asks by a token of Microsoft Entra.
	Entra *EntraAuth `json:"entra,omitempty"`
	// Timeout of one attempt.
	Timeout Duration `json:"timeout,omitempty" spec:"default=5s"`
	// Attempts of one call, the first included.
	Attempts int `json:"attempts,omitempty" spec:"min=1,max=10,default=3"`
	// Concurrency is how many calls may be under way.
	Concurrency int `json:"concurrency,omitempty" spec:"min=1,max=1024,default=16"`
	// MaxRows of one call; more rows are several calls. 1000 when absent, 256
	// of openai.
	MaxRows int `json:"max_rows,omitempty" spec:"min=1,max=100000"`
	// MaxResponse is how large an answer may be.
	MaxResponse Bytes `json:"max_response,omitempty" spec:"default=64MiB"`
	// Fallback is the model that answers where the server cannot: the alias
	// champion when the name stands alone.
	Fallback string `json:"fallback,omitempty" spec:"ref=Model"`
}

// EntraAuth is an identity of Microsoft Entra. Without a secret it is that of
// the machine (a managed or workload identity).
type EntraAuth struct {
	// Tenant of the client.
	Tenant string `json:"tenant,omitempty"`
	// Client is its id, or that of a managed identity where there are several.
	Client string `json:"client,omitempty"`
	// Secret of the client.
	Secret string `json:"secret,omitempty" spec:"secret"`
	// Scope of the token; that of Azure ML, or of Azure OpenAI, when absent.
	Scope string `json:"scope,omitempty"`
}

// Process is a model that a program executes, which the server starts and
// keeps running.
type Process struct {
	// From is the folder of the project with the model's files: one that
	// MLflow wrote, or any with a command or a function. It can be one Python
	// file with a function predict.
	From string `json:"from" spec:"required"`
	// Function is the Python file of the folder with the function predict.
	Function string `json:"function,omitempty"`
	// Command is the program with its arguments, where it is not Python's.
	Command []string `json:"command,omitempty" spec:"scalar"`
	// Python is the interpreter; the server's (LEAT_WORKER_PYTHON, python3)
	// when absent.
	Python string `json:"python,omitempty"`
	// Transport is how the program is spoken with: its stdin and stdout, or a
	// Unix socket.
	Transport string `json:"transport,omitempty" spec:"enum=pipe|socket,default=pipe"`
	// Workers is how many processes there are.
	Workers int `json:"workers,omitempty" spec:"min=1,max=64,default=1"`
	// Threads that each is told to use.
	Threads int `json:"threads,omitempty" spec:"min=1,max=256,default=1"`
	// Timeout of one call of at most 8,192 rows; a worker that takes longer is
	// ended.
	Timeout Duration `json:"timeout,omitempty" spec:"default=30s"`
	// Start is how long a worker may take to begin.
	Start Duration `json:"start,omitempty" spec:"default=2m"`
	// Memory that a worker may address (Linux); unbounded when absent.
	Memory Bytes `json:"memory,omitempty"`
	// CPU is the time that one process may compute before it is replaced
	// (Linux).
	CPU Duration `json:"cpu,omitempty"`
	// OpenFiles of a worker (Linux).
	OpenFiles int `json:"open_files,omitempty" spec:"min=16,default=1024"`
	// Env names the variables of the server's environment that it sees.
	Env Names `json:"env,omitempty"`
}

// Compose is a model made of other models, each by name@alias or name@version,
// the alias champion when the name stands alone.
type Compose struct {
	// Sequence: the outputs of each model are inputs of the next; the last one
	// answers.
	Sequence Names `json:"sequence,omitempty" spec:"oneof,ref=Model"`
	// Average: each model scores every row, and the scores are averaged.
	Average Names `json:"average,omitempty" spec:"oneof,ref=Model"`
	// Switch: the first case whose condition holds scores the row; the last
	// one has none.
	Switch []Case `json:"switch,omitempty" spec:"oneof"`
	// Weights of an average, in the order of its models; equal when absent.
	Weights []float64 `json:"weights,omitempty" spec:"min=0"`
}

// Case is one case of a switch.
type Case struct {
	// When is the condition, over the columns of the row.
	When string `json:"when,omitempty" spec:"expr"`
	// Model that scores the rows for which it holds.
	Model string `json:"model" spec:"required,ref=Model"`
}

// Endpoint is where decisions are asked for in real time, and what batches
// and streams score with.
type Endpoint struct {
	// Name of the endpoint, as callers write it.
	Name string `json:"name" spec:"required"`
	// Model to serve: name@alias or name@version; the alias champion when the
	// name stands alone.
	Model string `json:"model" spec:"required,ref=Model"`
	// Features are the views to read; those of the model version when absent.
	Features Names `json:"features,omitempty" spec:"ref=FeatureView"`
	// Decide turns a score into an action.
	Decide Decide `json:"decide,omitzero"`
	// Limits bound what the endpoint takes on.
	Limits Limits `json:"limits,omitzero"`
	// Record says whether decisions are kept: on keeps them without holding
	// up the answer and counts what it had to drop; required gives no answer
	// without a record; off keeps none.
	Record string `json:"record,omitempty" spec:"enum=on|required|off,default=on"`
	// SLO is what the endpoint promises.
	SLO SLO `json:"slo,omitzero"`
	// Allow lists the groups that may score; everybody with a grant when
	// absent.
	Allow Names `json:"allow,omitempty"`
}

// Decide turns a score into an action.
type Decide struct {
	// Threshold of the score; the model version's own when absent.
	Threshold *float64 `json:"threshold,omitempty"`
	// OnAbove is the decision where the score reaches the threshold.
	OnAbove string `json:"on_above,omitempty" spec:"scalar"`
	// OnBelow is the decision where it does not.
	OnBelow string `json:"on_below,omitempty" spec:"scalar"`
}

// Limits bound what an endpoint takes on. What is over is answered at once
// with 429 or 503 and the time to come back.
type Limits struct {
	// Rate of rows; unlimited when absent.
	Rate Rate `json:"rate,omitempty"`
	// Per says who shares a rate.
	Per string `json:"per,omitempty" spec:"enum=caller|endpoint,default=caller"`
	// Concurrency is how many requests are worked on at once.
	Concurrency int `json:"concurrency,omitempty" spec:"min=1,default=64"`
	// MaxRows of one request.
	MaxRows int `json:"max_rows,omitempty" spec:"min=1,default=10000"`
	// MaxBody of one request.
	MaxBody Bytes `json:"max_body,omitempty" spec:"default=16MiB"`
	// Timeout of one request.
	Timeout Duration `json:"timeout,omitempty" spec:"default=10s"`
}

// SLO is what an endpoint promises.
type SLO struct {
	// Availability is the share of requests answered without an error of ours.
	Availability Percent `json:"availability,omitempty"`
	// P95 is the latency that 95 % of requests stay under.
	P95 Duration `json:"p95,omitempty"`
}

// Batch scores a table or files in a durable run.
type Batch struct {
	// Name of the batch.
	Name string `json:"name" spec:"required"`
	// From is lake://table, lake://table@snapshot, or a file or glob.
	From string `json:"from" spec:"required,location"`
	// Score names the endpoint whose live release scores.
	Score string `json:"score" spec:"required,ref=Endpoint"`
	// To is lake://table, or a file or folder name that ends in .parquet or
	// .csv.
	To string `json:"to" spec:"required,location"`
	// Keep lists input columns that are copied to the output; the key, or the
	// row's position, when absent.
	Keep Names `json:"keep,omitempty"`
	// Key is the column that identifies a row; its position when absent.
	Key string `json:"key,omitempty"`
	// Chunk is how many rows are one unit of work.
	Chunk int `json:"chunk,omitempty" spec:"min=1,max=10000000,default=100000"`
	// Schedule starts the batch at times.
	Schedule string `json:"schedule,omitempty" spec:"cron"`
}

// Monitor watches what an endpoint decides.
type Monitor struct {
	// Name of the monitor.
	Name string `json:"name" spec:"required"`
	// Watch names the endpoint.
	Watch string `json:"watch" spec:"required,ref=Endpoint"`
	// Signals are the quantities with their thresholds. Absent: psi, missing
	// and new of every input, and psi of the prediction.
	Signals []Signal `json:"signals,omitempty"`
	// Window is how many of the latest decisions are looked at.
	Window int `json:"window,omitempty" spec:"min=100,max=10000000,default=5000"`
	// Every is the time between two looks.
	Every Duration `json:"every,omitempty" spec:"default=1m"`
	// Baseline is what the window is compared with.
	Baseline string `json:"baseline,omitempty" spec:"enum=training,default=training"`
}

// Signal is one watched quantity with its threshold. Each names an input
// column, prediction, or "*" for every input; skew names a feature or "*" for
// every one, freshness a view.
type Signal struct {
	// PSI is the population stability index against the baseline.
	PSI string `json:"psi,omitempty" spec:"oneof"`
	// Missing is by how much the share of missing values has risen.
	Missing string `json:"missing,omitempty" spec:"oneof"`
	// New is the share of values in categories that training did not see.
	New string `json:"new,omitempty" spec:"oneof"`
	// Skew is the share of decisions that were served another value of a
	// feature than the lake has of their entity and time.
	Skew string `json:"skew,omitempty" spec:"oneof"`
	// Freshness is the age of the newest event of a feature view, in seconds.
	Freshness string `json:"freshness,omitempty" spec:"oneof,ref=FeatureView"`
	// Above is the threshold over which the signal fires: 0.2 for psi, 0.1
	// for missing, 0.05 for new, 0.01 for skew and 3600 for freshness when
	// absent.
	Above *float64 `json:"above,omitempty" spec:"min=0"`
}

// Environment is a separated world: its own resources, data and roles.
type Environment struct {
	// Name of the environment, such as dev or prod.
	Name string `json:"name" spec:"required"`
	// Server is the address of the Leat that runs it; this one when absent.
	Server string `json:"server,omitempty" spec:"location"`
	// Vars are what ${name} in the other files stands for.
	Vars map[string]string `json:"vars,omitempty" spec:"scalar"`
}
