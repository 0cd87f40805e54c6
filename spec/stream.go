package spec

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/frame"
)

// Stream reads events, decides on each through an endpoint, and publishes
// what was decided. Each event is decided once, however often it is delivered.
type Stream struct {
	// Name of the stream.
	Name string `json:"name" spec:"required"`
	// From says where events come from: nats://SUBJECT, kafka://TOPIC,
	// amqp://HOST/QUEUE, mqtt://HOST/TOPIC, webhook://NAME (what is sent to
	// /v1/streams/NAME/events), lake://table, or a file or glob.
	From string `json:"from" spec:"required,location"`
	// Format of the events' bodies; that of the files when absent, otherwise
	// json.
	Format string `json:"format,omitempty" spec:"enum=json|avro|protobuf|cloudevents|csv|text|parquet"`
	// Codec has settings of the format: registry and subject of avro,
	// descriptor and message of protobuf.
	Codec map[string]string `json:"codec,omitempty" spec:"scalar"`
	// Schema maps the columns that are read to their types. An event may have
	// other fields, and may lack one: it is NULL then.
	Schema Columns `json:"schema,omitempty"`
	// Timestamp is the column of the event time; the time that the bus says
	// when absent.
	Timestamp string `json:"timestamp,omitempty"`
	// ID is the column that names the event: two events of one id are the same
	// event. The event's own id, or its place in the topic, when absent.
	ID string `json:"id,omitempty"`
	// Key is the column by which order is kept and what is published is
	// partitioned; the key that the event came with when absent.
	Key string `json:"key,omitempty"`
	// Lateness is how far behind the newest event of its partition an event's
	// time may be. A later one goes to Late. When absent none is too late.
	Lateness Duration `json:"lateness,omitempty"`
	// Late is where events go that are too late; they are counted and dropped
	// when absent.
	Late string `json:"late,omitempty" spec:"location"`
	// Steps change and select rows before they are scored.
	Steps []StreamStep `json:"steps,omitempty"`
	// Update names feature views whose windows the events feed. A decision on
	// an event sees the windows as of its time, without itself.
	Update Names `json:"update,omitempty" spec:"ref=FeatureView"`
	// Online also writes the events to the online store, where real time reads
	// what Update names: true when absent.
	Online *bool `json:"online,omitempty"`
	// Keep is the lake table that the events are written to, which the views of
	// Update have as source: lake://transactions.
	Keep string `json:"keep,omitempty" spec:"location"`
	// Score names the endpoint that decides.
	Score string `json:"score,omitempty" spec:"ref=Endpoint"`
	// Route sends what was decided to the first target whose condition holds.
	Route []Route `json:"route,omitempty"`
	// To is where events go that no route took: nats://SUBJECT, kafka://TOPIC,
	// amqp://HOST/QUEUE, mqtt://HOST/TOPIC, https://HOST/PATH (a webhook),
	// lake://table, postgres://HOST/DATABASE/TABLE or a file.
	To string `json:"to,omitempty" spec:"location"`
	// Attempts is how often an event is tried that fails by itself, before it
	// goes to the dead letters. What is malformed is not tried again, and what
	// fails because a server is away is tried until it is back.
	Attempts int `json:"attempts,omitempty" spec:"min=1,max=100,default=5"`
	// Batch is how many events are taken at a time at most.
	Batch int `json:"batch,omitempty" spec:"min=1,max=100000,default=1000"`
	// Linger is how long to wait for more events than there are. Without it a
	// batch is what came while the one before was worked on.
	Linger Duration `json:"linger,omitempty"`
	// Remember is how many ids of events are kept at least, for each partition:
	// an event that comes again after more than twice as many others is a new
	// one.
	Remember int `json:"remember,omitempty" spec:"min=1000,max=20000000,default=1000000"`
	// Dead bounds what the dead letters hold. When they are full the stream
	// stops rather than drop anything.
	Dead DeadLetters `json:"dead,omitzero"`
	// Secret is what opens From and the targets.
	Secret string `json:"secret,omitempty" spec:"secret"`
	// Options are settings of the transport, such as group for kafka.
	Options map[string]string `json:"options,omitempty" spec:"scalar"`
}

// StreamStep is one step on the way of an event.
type StreamStep struct {
	// Where keeps the rows for which the condition holds.
	Where string `json:"where,omitempty" spec:"oneof,expr"`
	// Map adds columns, or replaces those of the same name, by expressions over
	// the row as it comes to the step.
	Map map[string]string `json:"map,omitempty" spec:"oneof,expr"`
	// Function is a WebAssembly module of the project that changes rows.
	Function *StreamFunction `json:"function,omitempty" spec:"oneof"`
}

// StreamFunction is a function of the user's, which runs in a sandbox.
type StreamFunction struct {
	// Module is the file of the project, .wasm.
	Module string `json:"module" spec:"required"`
	// Outputs maps the columns of the rows that it returns to their types; those
	// that it takes when absent.
	Outputs Columns `json:"outputs,omitempty"`
	// Memory that one instance may have.
	Memory Bytes `json:"memory,omitempty" spec:"default=64MiB"`
	// Timeout of one call.
	Timeout Duration `json:"timeout,omitempty" spec:"default=1s"`
}

// Route is one target of what was decided.
type Route struct {
	// When is the condition, over the columns of the row and of the answer.
	When string `json:"when" spec:"required,expr"`
	// To is where the rows go for which it holds.
	To string `json:"to" spec:"required,location"`
}

// DeadLetters bounds the events that a stream could not deal with.
type DeadLetters struct {
	// Max is how many there may be.
	Max int `json:"max,omitempty" spec:"min=1,max=10000000,default=10000"`
	// Bytes that their bodies may have together.
	Bytes Bytes `json:"bytes,omitempty" spec:"default=64MiB"`
}

// GoesOnline tells whether real time is to read what the stream updates.
func (s *Stream) GoesOnline() bool { return len(s.Update) > 0 && (s.Online == nil || *s.Online) }

// Kind returns KindStream.
func (s *Stream) Kind() Kind { return KindStream }

func (s *Stream) name() string { return s.Name }

// The schemes of where events come from and go to; "" is a file.
var (
	streamSources = []string{"nats", "kafka", "amqp", "amqps", "mqtt", "mqtts", "webhook", "lake", "file", ""}
	streamTargets = []string{"nats", "kafka", "amqp", "amqps", "mqtt", "mqtts", "https", "http", "lake", "postgres", "postgresql", "file", ""}
	lakeTable     = regexp.MustCompile(`^lake://[A-Za-z_][A-Za-z0-9_-]*$`)
)

// Targets lists every place that the stream publishes to, each once.
func (s *Stream) Targets() []string {
	var all []string
	for _, r := range s.Route {
		all = append(all, r.To)
	}
	all = append(all, s.To, s.Late, s.Keep)
	all = slices.DeleteFunc(all, func(to string) bool { return to == "" })
	slices.Sort(all)
	return slices.Compact(all)
}

func (s *Stream) check(c *checker) {
	c.scheme(s.From, "from", streamSources...)
	c.secrets(s.Options, "options")
	c.secrets(s.Codec, "codec")
	if s.Score == "" && s.To == "" && len(s.Route) == 0 && len(s.Update) == 0 && s.Keep == "" && !c.failed["score"] {
		c.bad("", "Stream %q does nothing with its events", s.Name).Hint("give it score, update, to or keep")
	}
	s.checkTargets(c)
	if len(s.Schema) == 0 {
		if s.Format == "json" || s.Format == "csv" || s.Format == "cloudevents" {
			c.bad("schema", `"schema" is missing`).Hint("say which columns to read: schema: {customer_id: string, amount: double}")
		}
		return
	}
	s.checkColumns(c)
}

func (s *Stream) checkTargets(c *checker) {
	targets := map[string]string{"to": s.To, "late": s.Late, "keep": s.Keep}
	for i, r := range s.Route {
		targets[below(element("route", i), "to")] = r.To
	}
	for _, path := range slices.Sorted(maps.Keys(targets)) {
		to := targets[path]
		if to == "" {
			continue
		}
		c.scheme(to, path, streamTargets...)
		switch {
		case to == s.From:
			c.bad(path, "%s is where the events come from: the stream would read what it writes", label(path)).Hint("write to another topic")
		case (path == "keep" || strings.HasPrefix(to, "lake://")) && !lakeTable.MatchString(to):
			c.bad(path, "%s is not a table of the lake: %s", label(path), quote([]byte(to))).Hint("write lake://table")
		}
	}
}

// checkColumns holds names and expressions against the columns that the events
// have at each step. After a function that says no outputs they are not known
// any more.
func (s *Stream) checkColumns(c *checker) {
	t := newTable("the stream", s.Schema)
	for i, step := range s.Steps {
		at := element("steps", i)
		switch {
		case step.Where != "":
			if typ, ok := c.bind(step.Where, below(at, "where"), t); ok && typ != frame.Bool {
				c.bad(below(at, "where"), "%s is a %s, not a condition", label(below(at, "where")), typ)
			}
		case len(step.Map) > 0:
			t = s.mapped(c, step.Map, below(at, "map"), t)
		case step.Function != nil && len(step.Function.Outputs) > 0:
			t = newTable("the stream", step.Function.Outputs)
		}
	}
	for path, name := range map[string]string{"timestamp": s.Timestamp, "id": s.ID, "key": s.Key} {
		c.column(name, path, t)
	}
	if typ, ok := t.types[s.Timestamp]; ok && typ != frame.Timestamp && typ != frame.Date {
		c.bad("timestamp", `"timestamp" is the column %q, which is a %s`, s.Timestamp, typ).Hint("declare it as a timestamp in schema")
	}
}

func (s *Stream) mapped(c *checker, exprs map[string]string, path string, t *table) *table {
	columns := slices.Clone(t.columns)
	for _, name := range slices.Sorted(maps.Keys(exprs)) {
		typ, ok := c.bind(exprs[name], below(path, name), t)
		if !ok {
			continue
		}
		at := slices.IndexFunc(columns, func(col frame.Column) bool { return col.Name == name })
		if at < 0 {
			columns = append(columns, frame.Column{Name: name, Type: typ})
		} else {
			columns[at].Type = typ
		}
	}
	return newTable("the stream", columns)
}
