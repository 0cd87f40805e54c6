package house

// floors are the top folders, from the roof down. A package may import what
// stands on a lower line, and its own folder; never a neighbour on its line
// and never upwards. Where the arrow runs the other way at run time, the
// caller declares a small interface and app joins the two.
var floors = []string{
	"cmd",
	"app",
	"backends", // the one list of what is built in
	"surface",
	"pattern",
	"decide",
	"flow",
	"model llm guard",
	"store work",
	"spec",
	"base",
}

// stages are the folders of flow from left to right. A stage may import what
// stands to its left.
var stages = []string{"ingest", "lake", "feature", "knowledge", "train", "track", "registry", "deploy", "monitor", "retrain"}

// apart are folders whose parts never import each other: they differ in where
// things come from and go to, and in nothing else.
var apart = []string{"pattern", "llm"}

// exceptions are imports that break a rule above, each with its reason.
var exceptions = map[edge]string{}

type edge struct{ from, to string }

// drivers are modules of third parties that only the named folders import, so
// that changing one is changing one folder. A folder includes what is below it.
var drivers = []struct {
	module  string
	folders []string
	reason  string
}{
	{"github.com/duckdb/", []string{"store/query/duckdb"}, "SQL over planned files is one backend; cgo stays in it"},
	{"github.com/jackc/pgx", []string{"store/catalog/postgres", "store/online/postgres", "store/bus/postgres", "store/index/postgres", "flow/ingest/postgres", "work"}, "PostgreSQL as catalog, for online features, for passages, as a source and a target, and under durable runs"},
	{"github.com/cockroachdb/pebble", []string{"store/online/local"}, "online features inside the process are one backend"},
	{"github.com/nats-io/", []string{"store/bus/nats"}, "JetStream is one backend of events, within the process and elsewhere"},
	{"github.com/twmb/", []string{"store/bus/kafka"}, "Kafka is one backend of events"},
	{"github.com/redis/go-redis", []string{"store/online/redis"}, "online features on Redis are one backend"},
	{"modernc.org/sqlite", []string{"store/catalog/sqlite", "work"}, "SQLite as catalog and under durable runs"},
	{"github.com/pressly/goose", []string{"store/catalog"}, "migrations belong to the catalog"},
	{"github.com/dbos-inc/", []string{"work"}, "the library of durable runs shows nowhere in our API"},
	{"gocloud.dev", []string{"store/blob"}, "blobs; it panics in places that store/blob/cloud wraps"},
	{"github.com/Azure/", []string{"store/blob/azure", "store/bus/amqp", "guard/secret/azure"}, "Azure services are backends, and so are brokers of AMQP 1.0"},
	{"github.com/eclipse/paho.golang", []string{"store/bus/mqtt"}, "MQTT is one backend of events"},
	{"github.com/aws/", []string{"store/blob/s3"}, "S3 is a backend"},
	{"github.com/apache/iceberg-go", []string{"flow/lake"}, "the lake's table format is the lake's business"},
	{"github.com/apache/arrow-go/v18/parquet", []string{"flow/ingest", "flow/lake", "flow/train/command", "pattern/batch", "store/query/duckdb"}, "files are read at the ends of the picture; between them batches flow"},
	{"github.com/spf13/cobra", []string{"surface/cli"}, "the command line is one surface"},
	{"github.com/vbauerster/mpb", []string{"surface/cli"}, "progress bars are drawn by the command line"},
	{"github.com/modelcontextprotocol/", []string{"surface/compat/mcp"}, "the Model Context Protocol is one surface"},
	{"github.com/danielgtaylor/huma", []string{"surface/api"}, "the native API and its OpenAPI are one surface"},
	{"github.com/prometheus/", []string{"base/telemetry", "surface"}, "metrics are declared in base/telemetry"},
	{"go.opentelemetry.io/", []string{"base/telemetry"}, "traces are declared in base/telemetry"},
	{"github.com/failsafe-go/", []string{"base/resilience"}, "retry, breaker and budget are wrappers with our own names"},
	{"go.yaml.in/yaml", []string{"spec", "model/importer"}, "the language is YAML, and so is the file that says what an MLflow folder is"},
	{"github.com/google/cel-go", []string{"base/expr"}, "there is one expression language"},
	{"github.com/yalue/onnxruntime_go", []string{"model/onnx/ort"}, "ONNX Runtime is loaded when a graph needs it; cgo stays in its folder"},
	{"google.golang.org/grpc", []string{"surface/server", "surface/compat/oip"}, "gRPC is a wire; who has calls to answer gives the server a service"},
	{"github.com/hamba/avro", []string{"pattern/stream/codec"}, "schemas of Avro are read in one place"},
	{"github.com/bufbuild/protocompile", []string{"pattern/stream/codec"}, ".proto files are compiled in one place"},
	{"github.com/tetratelabs/wazero", []string{"pattern/stream/function"}, "WebAssembly runs in one place"},
	{"gonum.org/", []string{"flow/train"}, "numerics are for training"},
	{"github.com/yuin/goldmark", []string{"flow/knowledge/document"}, "Markdown is read in one place"},
	{"github.com/blevesearch/snowballstem", []string{"store/index/analysis"}, "what a word's stem is has one home"},
}

// vague are names that say nothing about what a package is for.
var vague = []string{"util", "utils", "common", "types", "helpers", "helper", "misc", "shared", "lib", "interfaces", "base", "core"}

// The bounds of a file and of a function, in lines. A function over the bound
// needs its reason here.
const (
	longestFile     = 700
	longestFunction = 90
)

var longFunctions = map[string]string{}

// textReaders are files that may read the text of an error, each with the
// reason: mostly a library that offers nothing else.
var textReaders = map[string]string{
	"model/onnx/ort/session.go": "ONNX Runtime's binding gives texts only: no code says that memory was at its bound",
}

// outside are top folders that are no part of the drawing's code: they may
// import anything, and nothing imports them but each other and conformance
// suites (folders that end in "test").
var outside = []string{"internal", "examples", "bench", "docs", "install"}
