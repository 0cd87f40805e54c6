package remote_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/modeltest"
	"github.com/leat-ai/leat/model/remote"
	"github.com/leat-ai/leat/spec"
)

// config lets loopback addresses be dialled, as an operator may.
func config() remote.Config {
	policy := egress.Policy{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	return remote.Config{
		Client: func(maxBody int64) *http.Client {
			return egress.Client(policy, egress.Options{MaxBody: maxBody, Redirects: -1})
		},
		Secret: func(_ context.Context, ref string) (string, error) {
			if ref == "env:KEY" {
				return "pa55-w0rd", nil
			}
			return "", fault.New(fault.NotFound, "no secret %s", ref)
		},
		First: time.Millisecond,
	}
}

// sum is the manifest of a model that adds x and n.
func sum(protocol, address string) remote.Manifest {
	return remote.Manifest{
		Protocol: protocol, URL: address, Model: "sum", Timeout: spec.Duration(20 * time.Second),
		Signature: model.Signature{Task: model.Regression,
			Inputs:  []model.Field{{Name: "x", Type: frame.Double}, {Name: "n", Type: frame.Int}},
			Outputs: []model.Field{{Name: "score", Type: frame.Double}}},
	}
}

func open(t *testing.T, c remote.Config, m remote.Manifest) model.Model {
	t.Helper()
	files, err := m.WithDefaults().Files()
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := remote.Format{Config: c}.Load(t.Context(), fstest.MapFS{remote.FileName: {Data: files[remote.FileName]}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := loaded.(io.Closer).Close(); err != nil {
			t.Error(err)
		}
	})
	return loaded
}

// serve starts a server of a handler that is ended with the test.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func rows(xs ...float64) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf([]frame.Column{{Name: "x", Type: frame.Double}, {Name: "n", Type: frame.Int}}))
	defer b.Release()
	for _, x := range xs {
		b.Field(0).(*array.Float64Builder).Append(x)
		b.Field(1).(*array.Int64Builder).Append(1)
	}
	return b.NewRecordBatch()
}

func predict(ctx context.Context, m model.Model, xs ...float64) ([]float64, string, error) {
	in := rows(xs...)
	defer in.Release()
	out, err := m.Predict(ctx, in)
	if err != nil {
		return nil, "", err
	}
	defer out.Release()
	return append([]float64(nil), out.Column(0).(*array.Float64).Float64Values()...), model.ServedBy(out), nil
}

func number(v any) float64 {
	switch v := v.(type) {
	case float64:
		return v
	case string:
		if v == "Infinity" {
			return 1e300
		}
		return -1e300
	}
	return 0
}

func added(x, n any) float64 { return min(max(number(x)+number(n), -1e300), 1e300) }

// oipSum answers by the Open Inference Protocol.
func oipSum(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Inputs []struct {
			Name  string
			Shape []int
			Data  []any
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || len(asked.Inputs) != 2 || asked.Inputs[0].Name != "x" {
		http.Error(w, `{"error": "that is no request"}`, http.StatusBadRequest)
		return
	}
	data := make([]float64, asked.Inputs[0].Shape[0])
	for i := range data {
		data[i] = added(asked.Inputs[0].Data[i], asked.Inputs[1].Data[i])
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"model_name": "sum", "outputs": []map[string]any{
		{"data": data, "name": "score", "shape": []int{len(data)}, "datatype": "FP64", "parameters": map[string]any{"a": 1}}}})
}

// tableSum answers a table, the predictions in a form that the test chooses.
func tableSum(member string, form func(scores []float64) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var asked map[string]struct{ Data [][]any }
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || asked[member].Data == nil {
			http.Error(w, "that is no request", http.StatusBadRequest)
			return
		}
		scores := []float64{}
		for _, row := range asked[member].Data {
			scores = append(scores, added(row[0], row[1]))
		}
		_ = json.NewEncoder(w).Encode(form(scores))
	}
}

func TestConformance(t *testing.T) {
	list := func(scores []float64) any { return map[string]any{"predictions": scores} }
	for _, c := range []struct {
		name, protocol string
		handler        http.HandlerFunc
	}{
		{"Open Inference", remote.OIP, oipSum},
		{"MLflow", remote.MLflow, tableSum("dataframe_split", list)},
		{"Azure ML, text in text", remote.AzureML, tableSum("input_data", func(scores []float64) any {
			text, _ := json.Marshal(map[string]any{"result": scores})
			return string(text)
		})},
	} {
		t.Run(c.name, func(t *testing.T) { modeltest.Run(t, open(t, config(), sum(c.protocol, serve(t, c.handler)))) })
	}
}

func TestFormsOfPredictions(t *testing.T) {
	for name, form := range map[string]func(scores []float64) any{
		"bare list": func(s []float64) any { return s },
		"lists":     func(s []float64) any { return map[string]any{"output": [][]float64{{s[0]}, {s[1]}}} },
		"objects": func(s []float64) any {
			return []map[string]any{{"score": s[0], "other": "x"}, {"other": nil, "score": s[1]}}
		},
		"columns": func(s []float64) any { return map[string]any{"predictions": map[string]any{"score": s}} },
		"pandas": func(s []float64) any {
			return map[string]any{"predictions": map[string]any{"score": map[string]any{"0": s[0], "1": s[1]}}}
		},
	} {
		m := open(t, config(), sum(remote.AzureML, serve(t, tableSum("input_data", form))))
		if got, _, err := predict(t.Context(), m, 1, 2); err != nil || fmt.Sprint(got) != "[2 3]" {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestLargeBatchesGoInParts(t *testing.T) {
	var calls atomic.Int64
	manifest := sum(remote.OIP, serve(t, func(w http.ResponseWriter, r *http.Request) { calls.Add(1); oipSum(w, r) }))
	manifest.MaxRows = 10
	xs := make([]float64, 95)
	for i := range xs {
		xs[i] = float64(i)
	}
	got, _, err := predict(t.Context(), open(t, config(), manifest), xs...)
	if err != nil || calls.Load() != 10 {
		t.Fatalf("%d calls, %v", calls.Load(), err)
	}
	for i, x := range got {
		if x != float64(i)+1 {
			t.Fatalf("row %d is %v", i, x)
		}
	}
}

// What servers do wrong, and what comes of it.
func TestServersThatFail(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		kind    fault.Kind
		says    string
		calls   int64
	}{
		"500s":             {status(500, `{"error": "boom pa55-w0rd"}`), fault.Unavailable, "boom ***", 3},
		"bad rows":         {status(400, `{"error_code": "BAD", "message": "x is odd"}`), fault.Invalid, "x is odd", 1},
		"not found":        {status(404, `nothing here`), fault.Unavailable, "nothing here", 1},
		"not allowed":      {status(401, ``), fault.Unavailable, "answers 401", 1},
		"garbage":          {status(200, `<html>`), fault.Internal, "does not fit", 1},
		"too few rows":     {status(200, `{"outputs": [{"name": "score", "shape": [1], "data": [1]}]}`), fault.Internal, "1 rows, not 2", 1},
		"too many values":  {status(200, `{"outputs": [{"name": "score", "data": [1, 2, 3]}]}`), fault.Internal, "more values", 1},
		"fewer values":     {status(200, `{"outputs": [{"name": "score", "data": [1]}]}`), fault.Internal, "has 1 rows, not 2", 1},
		"no output":        {status(200, `{"outputs": [{"name": "x", "data": [1, 2]}, {"name": "y", "data": [1, 2]}]}`), fault.Internal, `no output "score"`, 1},
		"text":             {status(200, `{"outputs": [{"name": "score", "data": [1, "two"]}]}`), fault.Internal, `"two"`, 1},
		"huge":             {huge, fault.Unavailable, "larger", 1},
		"hang":             {hang, fault.Timeout, "within 200ms", 3},
		"slow drip":        {drip, fault.Timeout, "within 200ms", 3},
		"reset":            {reset, fault.Unavailable, "does not answer", 3},
		"redirect":         {redirect("http://169.254.169.254/latest/meta-data"), fault.Unavailable, "sends elsewhere", 1},
		"Azure: the model": {azureError(400), fault.Invalid, "answers 424", 1},
		"Azure: a defect":  {azureError(500), fault.Internal, "answers 424", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int64
			m := sum(remote.OIP, serve(t, func(w http.ResponseWriter, r *http.Request) { calls.Add(1); c.handler(w, r) }))
			m.Timeout, m.MaxResponse, m.Auth = spec.Duration(200*time.Millisecond), 1<<20, remote.Auth{Kind: remote.Bearer, Secret: "env:KEY"}
			if strings.Contains(c.says, "does not fit") || c.kind != fault.Timeout {
				m.Timeout = spec.Duration(20 * time.Second)
			}
			_, _, err := predict(t.Context(), open(t, config(), m), 1, 2)
			if !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) || calls.Load() != c.calls {
				t.Errorf("%d calls, %s: %v; want %d, %s, %q", calls.Load(), fault.KindOf(err), err, c.calls, c.kind, c.says)
			}
			if err != nil && strings.Contains(err.Error()+fault.HintOf(err), "pa55") {
				t.Errorf("the secret is told: %v", err)
			}
		})
	}
}

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

func huge(w http.ResponseWriter, _ *http.Request) {
	block := []byte(strings.Repeat("1,", 1<<15))
	_, _ = io.WriteString(w, `{"outputs": [{"name": "score", "data": [`)
	for range 100 {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // only then the server sees that nobody waits any more
	<-r.Context().Done()
}

func drip(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	for r.Context().Err() == nil {
		_, _ = io.WriteString(w, " ")
		w.(http.Flusher).Flush()
		time.Sleep(10 * time.Millisecond)
	}
}

func reset(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusTemporaryRedirect) }
}

func azureError(theirs int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ms-azureml-model-error-statuscode", fmt.Sprint(theirs))
		w.WriteHeader(http.StatusFailedDependency)
	}
}

func TestForbiddenAddressIsNotDialled(t *testing.T) {
	c := config()
	c.Client = func(maxBody int64) *http.Client {
		return egress.Client(egress.Policy{}, egress.Options{MaxBody: maxBody, Redirects: -1})
	}
	_, _, err := predict(t.Context(), open(t, c, sum(remote.OIP, serve(t, oipSum))), 1)
	if !fault.Is(err, fault.Unavailable) || fault.HintOf(err) == "" {
		t.Errorf("%v (%s)", err, fault.HintOf(err))
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	var calls atomic.Int64
	var first time.Time
	waited := time.Duration(0)
	m := open(t, config(), sum(remote.OIP, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			first = time.Now()
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		waited = time.Since(first)
		oipSum(w, r)
	})))
	if got, _, err := predict(t.Context(), m, 1); err != nil || got[0] != 2 || waited < time.Second {
		t.Errorf("%v after %s, %v", got, waited, err)
	}
	// Nobody waits for longer than the caller does.
	calls.Store(0)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, _, err := predict(ctx, m, 1); !fault.Is(err, fault.Limited) || time.Since(began) > 400*time.Millisecond {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}

func TestHeaders(t *testing.T) {
	var got http.Header
	var mu sync.Mutex
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		got = r.Header.Clone()
		mu.Unlock()
		tableSum("input_data", func(s []float64) any { return s })(w, r)
	})
	m := sum(remote.AzureML, address+"/score")
	m.Deployment, m.Auth = "blue", remote.Auth{Kind: remote.Entra, Tenant: "t", Client: "c", Secret: "env:KEY"}
	c := config()
	c.Token = func(_ context.Context, id remote.Identity, scope string) (string, error) {
		return fmt.Sprintf("token of %s/%s/%s for %s", id.Tenant, id.Client, id.Secret, scope), nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, _, err := predict(ctx, open(t, c, m), 1); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Azureml-Model-Deployment": "blue",
		"Authorization":            "Bearer token of t/c/pa55-w0rd for https://ml.azure.com/.default",
	} {
		if got.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Get(name), want)
		}
	}
	if left := got.Get("X-Envoy-Expected-Rq-Timeout-Ms"); len(left) != 4 {
		t.Errorf("the deadline is told as %q", left)
	}
	m.Auth = remote.Auth{Kind: remote.Header, Header: "api-key", Secret: "env:ABSENT"}
	if _, _, err := predict(t.Context(), open(t, c, m), 1); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "env:ABSENT") {
		t.Error(err)
	}
}

// constant is a model that answers the same for every row.
type constant struct {
	model.Model
	signature model.Signature
	value     float64
}

func (c constant) Signature() model.Signature { return c.signature }

func (c constant) Predict(_ context.Context, in frame.Batch) (frame.Batch, error) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, model.SchemaOf(c.signature.Outputs))
	defer b.Release()
	for range in.NumRows() {
		b.Field(0).(*array.Float64Builder).Append(c.value)
	}
	return b.NewRecordBatch(), nil
}

func TestFallbackServesAndSaysSo(t *testing.T) {
	var released atomic.Int64
	c := config()
	local := sum("", "").Signature
	local.Inputs = local.Inputs[:1]
	c.Hold = func(context.Context, model.Reference) (model.Model, func(), error) {
		return constant{signature: local, value: 7}, func() { released.Add(1) }, nil
	}
	broken := atomic.Bool{}
	broken.Store(true)
	m := sum(remote.OIP, serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case broken.Load():
			hang(w, r)
		case r.Header.Get("Authorization") == "":
			oipSum(w, r)
		}
	}))
	m.Fallback, m.Timeout = &model.Reference{Model: "local", Version: 3, ID: "abc"}, spec.Duration(time.Minute)
	loaded := open(t, c, m)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	got, by, err := predict(ctx, loaded, 1, 2) // the server uses no more of the time than leaves some for the fallback
	if err != nil || fmt.Sprint(got) != "[7 7]" || by != "local@3" {
		t.Fatalf("%v by %q, %v", got, by, err)
	}
	broken.Store(false)
	if got, by, err := predict(t.Context(), loaded, 1); err != nil || got[0] != 2 || by != "" {
		t.Errorf("%v by %q, %v", got, by, err)
	}
	if err := loaded.(io.Closer).Close(); err != nil || released.Load() != 1 {
		t.Errorf("released %d times, %v", released.Load(), err)
	}
}

func TestBreakerSparesAServerThatIsDown(t *testing.T) {
	var calls atomic.Int64
	m := open(t, config(), sum(remote.OIP, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	})))
	for range 40 {
		if _, _, err := predict(t.Context(), m, 1); !fault.Is(err, fault.Unavailable) {
			t.Fatal(err)
		}
	}
	if n := calls.Load(); n > 15 {
		t.Errorf("a server that is down was asked %d times for 40 calls", n)
	}
}

func TestEmbeddings(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Input []string }
		_ = json.NewDecoder(r.Body).Decode(&asked)
		var data []map[string]any
		for i := len(asked.Input) - 1; i >= 0; i-- { // not in order
			var v any = []float64{float64(len(asked.Input[i])), 0.5}
			if i == 1 {
				v = "AACAPwAAAD8=" // 1, 0.5
			}
			data = append(data, map[string]any{"object": "embedding", "index": i, "embedding": v})
		}
		if r.URL.Path != "/v1/embeddings" || r.Header.Get("Api-Key") != "pa55-w0rd" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": data, "usage": map[string]int{"total_tokens": 3}})
	})
	m := open(t, config(), remote.Manifest{Protocol: remote.OpenAI, URL: address + "/v1", Model: "small",
		Auth: remote.Auth{Kind: remote.Header, Header: "api-key", Secret: "env:KEY"}})
	b := array.NewRecordBuilder(memory.DefaultAllocator, model.SchemaOf(m.Signature().Inputs))
	b.Field(0).(*array.StringBuilder).AppendValues([]string{"four", "x", "seven77"}, nil)
	in := b.NewRecordBatch()
	out, err := m.Predict(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	got := out.Column(0).(*array.String)
	if got.Value(0) != "[4,0.5]" || got.Value(1) != "[1,0.5]" || got.Value(2) != "[7,0.5]" {
		t.Errorf("%v", got)
	}
}

// Many callers ask at once, of a server that answers in any order: everybody
// gets their own rows.
func TestNobodyGetsAnothersRows(t *testing.T) {
	m := sum(remote.OIP, serve(t, oipSum))
	m.MaxRows, m.Concurrency = 7, 64
	loaded := open(t, config(), m)
	var group sync.WaitGroup
	for caller := range 12 {
		group.Go(func() {
			for i := range 20 {
				xs := make([]float64, 1+(caller+i)%30)
				for k := range xs {
					xs[k] = float64(caller*1_000_000 + i*1000 + k)
				}
				got, _, err := predict(t.Context(), loaded, xs...)
				if err != nil {
					t.Error(err)
					return
				}
				for k := range xs {
					if got[k] != xs[k]+1 {
						t.Errorf("caller %d got %v for %v", caller, got[k], xs[k])
					}
				}
			}
		})
	}
	group.Wait()
}

func TestManifestsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*remote.Manifest){
		"protocol": func(m *remote.Manifest) { m.Protocol = "grpc" },
		"address":  func(m *remote.Manifest) { m.URL = "ftp://host" },
		"password": func(m *remote.Manifest) { m.URL = "https://me:secret@host/" },
		"no model": func(m *remote.Manifest) { m.Model = "" },
		"attempts": func(m *remote.Manifest) { m.Attempts = 1000 },
		"auth":     func(m *remote.Manifest) { m.Auth = remote.Auth{Kind: remote.Bearer} },
		"header": func(m *remote.Manifest) {
			m.Auth = remote.Auth{Kind: remote.Header, Header: "a: b\r\n", Secret: "env:X"}
		},
		"inputs":      func(m *remote.Manifest) { m.Signature.Inputs = nil },
		"type":        func(m *remote.Manifest) { m.Signature.Outputs[0].Type = "vector" },
		"tensors":     func(m *remote.Manifest) { m.Inputs = []remote.Tensor{{Name: "all", Datatype: "FP32", Width: 9}} },
		"wide tensor": func(m *remote.Manifest) { m.Inputs = []remote.Tensor{{Name: "all", Datatype: "FP32", Width: -9}} },
	} {
		m := sum(remote.OIP, "https://models.example.com")
		change(&m)
		if _, err := m.WithDefaults().Files(); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
