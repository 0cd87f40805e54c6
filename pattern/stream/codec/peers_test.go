package codec_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/pattern/stream/codec"
	"github.com/leat-ai/leat/pattern/stream/codec/registry"
	"github.com/leat-ai/leat/store/bus"
)

// schemaServer speaks what the documentation of Confluent's registry says of
// its paths; its own stock client drives it too.
type schemaServer struct {
	mu       sync.Mutex
	schemas  []map[string]any // by id-1
	subjects map[string][]int
	asked    int
	down     bool
}

func (s *schemaServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	fail := func(status, code int, message string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"error_code": code, "message": message})
	}
	if user, password, _ := r.BasicAuth(); user != "reader" || password != "s3cret" {
		fail(401, 401, "Unauthorized")
		return
	}
	if s.down {
		fail(503, 50003, "down")
		return
	}
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.Method == "GET" && len(parts) == 3 && parts[1] == "ids":
		id, _ := strconv.Atoi(parts[2])
		if id < 1 || id > len(s.schemas) {
			fail(404, 40403, "Schema not found")
			return
		}
		schema := s.schemas[id-1]
		if r.URL.Query().Get("format") == "serialized" {
			schema = map[string]any{"schema": serialized(schema["schema"].(string)), "schemaType": "PROTOBUF"}
		}
		_ = json.NewEncoder(w).Encode(schema)
	case r.Method == "GET" && len(parts) == 4 && parts[2] == "versions":
		ids := s.subjects[parts[1]]
		version, err := strconv.Atoi(parts[3])
		if err != nil {
			version = len(ids)
		}
		if version < 1 || version > len(ids) {
			fail(404, 40401, "Subject not found.")
			return
		}
		out := map[string]any{"subject": parts[1], "version": version, "id": ids[version-1]}
		for k, v := range s.schemas[ids[version-1]-1] {
			out[k] = v
		}
		_ = json.NewEncoder(w).Encode(out)
	case r.Method == "POST" && len(parts) >= 2 && parts[0] == "subjects":
		var body map[string]any
		if json.NewDecoder(r.Body).Decode(&body) != nil || body["schema"] == nil {
			fail(422, 42201, "Invalid schema")
			return
		}
		id := s.put(parts[1], body)
		_ = json.NewEncoder(w).Encode(map[string]any{"id": id, "subject": parts[1], "version": slices.Index(s.subjects[parts[1]], id) + 1, "schema": body["schema"], "schemaType": body["schemaType"]})
	default:
		fail(404, 404, "HTTP 404 Not Found")
	}
}

func (s *schemaServer) put(subject string, body map[string]any) int {
	for i, known := range s.schemas {
		if known["schema"] == body["schema"] {
			if !slices.Contains(s.subjects[subject], i+1) {
				s.subjects[subject] = append(s.subjects[subject], i+1)
			}
			return i + 1
		}
	}
	s.schemas = append(s.schemas, map[string]any{"schema": body["schema"], "schemaType": body["schemaType"], "references": body["references"]})
	s.subjects[subject] = append(s.subjects[subject], len(s.schemas))
	return len(s.schemas)
}

func serialized(text string) string {
	if _, err := base64.StdEncoding.DecodeString(text); err == nil {
		return text
	}
	raw, _ := proto.Marshal(descriptorsOf(text).File[0])
	return base64.StdEncoding.EncodeToString(raw)
}

// descriptorsOf compiles a .proto file, with no import that is not Protobuf's
// own.
func descriptorsOf(text string) *descriptorpb.FileDescriptorSet {
	c := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
		Accessor: func(path string) (io.ReadCloser, error) {
			if path != "order.proto" {
				return nil, os.ErrNotExist
			}
			return io.NopCloser(strings.NewReader(text)), nil
		},
	})}
	files, err := c.Compile(context.Background(), "order.proto")
	if err != nil {
		panic(err)
	}
	return &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(files[0])}}
}

func startRegistry(t testing.TB) (*schemaServer, *httptest.Server, *registry.Client) {
	t.Helper()
	s := &schemaServer{subjects: map[string][]int{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	c, err := registry.Open(registry.Config{URL: server.URL, HTTP: server.Client(),
		Secret: func(context.Context) (string, error) { return "reader:s3cret", nil }})
	if err != nil {
		t.Fatal(err)
	}
	return s, server, c
}

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func column(name string, typ frame.Type, path string) codec.Column {
	return codec.Column{Column: frame.Column{Name: name, Type: typ}, Path: path}
}

// python runs the stock serializers.
func python(t *testing.T, stdin, what, url string) string {
	t.Helper()
	path := filepath.Join(os.Getenv("LEAT_TOOLS"), "venv-codecs", "bin", "python")
	if _, err := os.Stat(path); err != nil {
		t.Fatal("LEAT_TOOLS names no folder with venv-codecs: `make tools` installs it: ", err)
	}
	raw, err := proto.Marshal(descriptorsOf(string(testdata(t, "order.proto"))))
	if err != nil {
		t.Fatal(err)
	}
	set := filepath.Join(t.TempDir(), "order.desc")
	if err := os.WriteFile(set, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "testdata/serialize.py", what, url, set, "testdata/order.avsc")
	cmd.Stdin = strings.NewReader(stdin)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err, stderr.String())
	}
	return string(out)
}

func messages(t *testing.T, out string) map[string][]bus.Event {
	t.Helper()
	all := map[string][]bus.Event{}
	for line := range strings.Lines(out) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		raw, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = append(all[name], bus.Event{Body: raw})
	}
	return all
}

// TestStockSerializers reads what the serializers that people use write.
func TestStockSerializers(t *testing.T) {
	_, server, client := startRegistry(t)
	all := messages(t, python(t, "", "write", server.URL))
	avroColumns := []codec.Column{column("id", frame.String, ""), column("user_id", frame.Int, "user.id"), column("name", frame.String, "user.name"),
		column("at", frame.Timestamp, ""), column("day", frame.Date, ""), column("amount", frame.Double, ""), column("exact", frame.String, "amount"),
		column("state", frame.String, ""), column("second", frame.Double, "items.1.price"), column("items", frame.String, ""),
		column("label", frame.String, `labels."a.b"`), column("gift", frame.Bool, ""), column("points", frame.Int, ""), column("buyer", frame.Int, "buyer.id"), column("new", frame.Int, "")}
	avroColumns[6].Path = "" // two columns cannot read one place
	avroColumns[6].Name = "weight"
	var wantAvro, wantProto []string
	for i := range 20 {
		user, second, items := fmt.Sprintf("%d|Zoë %d", 1000+i, i), "(null)", []string{}
		if i%5 == 4 {
			user = "(null)|(null)"
		}
		for k := range i % 4 {
			items = append(items, fmt.Sprintf(`{"name":"n%d","price":%d.5}`, k, k))
		}
		if len(items) > 1 {
			second = "1.5"
		}
		points := "(null)"
		if i%2 == 0 {
			points = strconv.Itoa(-i)
		}
		wantAvro = append(wantAvro, fmt.Sprintf("o%d|%s|2026-01-31T10:00:%02d.25Z|%d-12-31|%v|%v|%s|%s|[%s]|label %d|%v|%s|%d|(null)",
			i, user, i, 1969+i, float64(i*725-3000)/100, float64(i)/4, []string{"PAID", "SENT"}[i%2], second, strings.Join(items, ","), i, i%3 == 0, points, i))
		wantProto = append(wantProto, wantOrder(i))
	}
	bare := open(t, codec.Config{Format: "avro", Columns: avroColumns, Descriptor: testdata(t, "order.avsc")})
	same(t, "fastavro", shown(t, bare, all["fastavro"]), wantAvro)
	framed := open(t, codec.Config{Format: "avro", Columns: avroColumns, Registry: client})
	same(t, "avro", shown(t, framed, all["avro"]), wantAvro)
	plain := open(t, codec.Config{Format: "protobuf", Columns: orderColumns(), Descriptor: testdata(t, "order.proto"), Message: "shop.Order"})
	same(t, "protobuf", shown(t, plain, all["protobuf"]), wantProto)
	framed = open(t, codec.Config{Format: "protobuf", Columns: orderColumns(), Registry: client})
	same(t, "proto", shown(t, framed, all["proto"]), wantProto)
}

func orderColumns() []codec.Column {
	return []codec.Column{column("id", frame.String, ""), column("user_id", frame.Int, "user.id"), column("name", frame.String, "user.name"),
		column("at", frame.Timestamp, ""), column("amount", frame.Double, ""), column("state", frame.String, ""), column("count", frame.Int, "items.1.count"),
		column("label", frame.String, `labels."a.b"`), column("points", frame.Int, ""), column("gift", frame.Bool, ""), column("coupon", frame.String, ""),
		column("rating", frame.Int, "ratings.2"), column("ratings", frame.String, ""), column("shop", frame.String, ""), column("site", frame.String, ""),
		column("serial", frame.String, ""), column("token", frame.String, "")}[:16]
}

func wantOrder(i int) string {
	id, user := fmt.Sprintf("o%d", i), fmt.Sprintf("%d|Zoë %d", -i, i)
	if i == 0 {
		id = ""
	}
	if i%5 == 4 {
		user = "(null)|(null)"
	}
	count, points, coupon, rating, ratings, site := "(null)", "(null)", "(null)", "(null)", "(null)", "(null)"
	if i%4 > 1 {
		count = "-1"
	}
	if i%2 == 0 {
		points = strconv.Itoa(-i)
	} else {
		site = "site"
	}
	if i%3 == 1 {
		if coupon = fmt.Sprintf("c%d", i); i == 1 {
			coupon = ""
		}
	}
	var each []string
	for k := range i {
		each = append(each, strconv.Itoa(k))
	}
	if i > 2 {
		rating = "2"
	}
	if i > 0 {
		ratings = "[" + strings.Join(each, ",") + "]"
	}
	return fmt.Sprintf("%s|%s|2026-01-31T10:00:%02d.25Z|%v|%s|%s|label %d|%s|%v|%s|%s|%s|(null)|%s|%d", id, user, i, float64(i)*0.25,
		[]string{"UNKNOWN", "PAID", "SENT", "3"}[i%4], count, i, points, i%3 == 0, coupon, rating, ratings, site, uint64(1)<<63+uint64(i))
}

func same(t *testing.T, what, got string, want []string) {
	t.Helper()
	lines := strings.Split(got, "\n")
	if len(lines) != len(want) {
		t.Fatalf("%s: %d rows of %d", what, len(lines), len(want))
	}
	for i := range want {
		if lines[i] != want[i] {
			t.Errorf("%s, row %d\n got %s\nwant %s", what, i, lines[i], want[i])
		}
	}
}

// TestStockDeserializers reads back with them what we write.
func TestStockDeserializers(t *testing.T) {
	server, web, client := startRegistry(t)
	columns := []frame.Column{{Name: "id", Type: frame.String}, {Name: "user_id", Type: frame.Int}, {Name: "name", Type: frame.String}, {Name: "at", Type: frame.Timestamp},
		{Name: "amount", Type: frame.Double}, {Name: "state", Type: frame.String}, {Name: "points", Type: frame.Int}, {Name: "coupon", Type: frame.String}}
	b, _, err := array.RecordFromJSON(memory.DefaultAllocator, frame.SchemaOf(columns), strings.NewReader(`[
		{"id":"a","user_id":7,"name":"Zoë","at":"2026-01-31T10:00:00.25Z","amount":-0.5,"state":"PAID","points":0,"coupon":""},
		{"id":"b","at":null}]`))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	paths := codec.Columns(columns, map[string]string{"user_id": "user.id", "name": "user.name"})
	var lines strings.Builder
	write := func(kind string, c codec.Config) {
		c.Registry, c.Columns = client, paths
		bodies, err := open(t, c).Encode(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		for _, body := range bodies {
			fmt.Fprintf(&lines, "%s %x\n", kind, body)
		}
		// What we wrote we read.
		got := shown(t, open(t, codec.Config{Format: c.Format, Columns: paths, Registry: client}), []bus.Event{{Body: bodies[0]}})
		if got != "a|7|Zoë|2026-01-31T10:00:00.25Z|-0.5|PAID|0|" {
			t.Errorf("%s: %s", kind, got)
		}
	}
	write("avro", codec.Config{Format: "avro", Subject: "made-value", Descriptor: []byte(`{"type":"record","name":"Made","fields":[
		{"name":"id","type":"string"},
		{"name":"user","type":{"type":"record","name":"U","fields":[{"name":"id","type":["null","long"]},{"name":"name","type":["null","string"]}]}},
		{"name":"at","type":["null",{"type":"long","logicalType":"timestamp-millis"}]},
		{"name":"amount","type":["null",{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}]},
		{"name":"state","type":["null",{"type":"enum","name":"S","symbols":["PAID","SENT"]}]},
		{"name":"points","type":["null","int"]},{"name":"coupon","type":["null","string"]},{"name":"more","type":"long","default":5}]}`)})
	write("proto", codec.Config{Format: "protobuf", Subject: "protos-value", Descriptor: testdata(t, "order.proto"), Message: "shop.Order"})
	want := `{"amount": "-0.50", "at": "2026-01-31 10:00:00.250000+00:00", "coupon": "", "id": "a", "more": 5, "points": 0, "state": "PAID", "user": {"id": 7, "name": "Zo\u00eb"}}
{"amount": null, "at": null, "coupon": null, "id": "b", "more": 5, "points": null, "state": null, "user": {"id": null, "name": null}}
["a", 7, "Zo\u00eb", "2026-01-31T10:00:00.250Z", -0.5, 1, 0, ""]
["b", 0, "", null, 0.0, 0, null, null]
`
	if got := python(t, lines.String(), "read", web.URL); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if server.asked == 0 {
		t.Error("the registry was not asked")
	}
}

// TestSchemasComeAndGo: messages of several writers in one batch, an id that
// nobody knows, and a registry that is away.
func TestSchemasComeAndGo(t *testing.T) {
	server, _, client := startRegistry(t)
	first := codec.Config{Format: "avro", Registry: client, Subject: "s", Descriptor: []byte(`{"type":"record","name":"R","fields":[{"name":"old","type":"string"},{"name":"x","type":"int"}]}`)}
	second := first
	second.Descriptor = []byte(`{"type":"record","name":"R","fields":[{"name":"x","type":"double"},{"name":"more","type":{"type":"array","items":"R"}},{"name":"y","type":["string","null"]}]}`)
	encode := func(c codec.Config, body string, columns ...frame.Column) bus.Event {
		t.Helper()
		b, _, err := array.RecordFromJSON(memory.DefaultAllocator, frame.SchemaOf(columns), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer b.Release()
		out, err := open(t, c).Encode(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		return bus.Event{Body: out[0]}
	}
	x := frame.Column{Name: "x", Type: frame.Double}
	old := encode(first, `[{"x":3,"old":"o"}]`, x, frame.Column{Name: "old", Type: frame.String})
	read := open(t, codec.Config{Format: "avro", Registry: client, Columns: codec.Columns([]frame.Column{x, {Name: "y", Type: frame.String}}, nil)})
	if _, err := open(t, second).Encode(t.Context(), emptyRow(x)); err == nil {
		t.Error("a list without a default is written from nothing")
	}
	id := byte(server.put("s", map[string]any{"schema": string(second.Descriptor)}))
	// x 0.5, two more records nested in the list, y null; its list says its size.
	fresh := bus.Event{Body: append([]byte{0, 0, 0, 0, id, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f}, 1, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 'z', 0, 2)}
	unknown := bus.Event{Body: []byte{0, 0, 0, 9, 9, 1}}
	got := shown(t, read, []bus.Event{old, fresh, unknown, old, {Body: []byte("{}")}, {Body: old.Body[:6]}, {Body: append(slices.Clone(old.Body), 0)}})
	want := []string{"3|(null)", "0.5|(null)", "fault: the schema registry has no schema 2313", "3|(null)",
		"fault: the event does not begin with the id of a schema", "fault: byte 6: the event is not Avro of its schema: the message ends in the midst of a value",
		"fault: byte 8: 1 bytes follow the Avro message: it was written with another schema"}
	same(t, "evolved", got, want)
	asked := server.asked
	shown(t, read, []bus.Event{old, fresh, unknown, unknown, old})
	if server.asked != asked {
		t.Errorf("%d more requests for schemas that were known", server.asked-asked)
	}
	server.down = true
	_, faults := read.Decode(t.Context(), []bus.Event{old, {Body: []byte{0, 0, 0, 8, 8, 1}}})
	if faults == nil || faults[0] != nil || !fault.KindOf(faults[1]).Retryable() {
		t.Error("a registry that is away is the event's fault: ", faults)
	}
}

// TestRegistryRefuses: a login that is wrong, or cannot be had, holds the
// stream; it makes no event a bad one.
func TestRegistryRefuses(t *testing.T) {
	_, server, _ := startRegistry(t)
	for name, secret := range map[string]func(context.Context) (string, error){
		"none": nil, "wrong": func(context.Context) (string, error) { return "reader:other", nil },
		"absent": func(context.Context) (string, error) { return "", fault.New(fault.NotFound, "no such variable") },
	} {
		client, err := registry.Open(registry.Config{URL: server.URL, HTTP: server.Client(), Secret: secret})
		if err != nil {
			t.Fatal(err)
		}
		c := open(t, codec.Config{Format: "avro", Registry: client, Columns: []codec.Column{column("x", frame.Int, "")}})
		batch, faults := c.Decode(t.Context(), []bus.Event{{Body: []byte{0, 0, 0, 0, 1, 2}}})
		batch.Release()
		if faults == nil || !fault.KindOf(faults[0]).Retryable() {
			t.Errorf("%s: %v", name, faults)
		}
	}
	for _, url := range []string{"", "registry", "ftp://h", "https://user:pass@h"} {
		if _, err := registry.Open(registry.Config{URL: url, HTTP: server.Client()}); !fault.Is(err, fault.Invalid) {
			t.Error(url, err)
		}
	}
}

func emptyRow(c frame.Column) frame.Batch {
	b, _, _ := array.RecordFromJSON(memory.DefaultAllocator, frame.SchemaOf([]frame.Column{c}), strings.NewReader(`[{}]`))
	return b
}
