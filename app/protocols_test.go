package app

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/surface/compat/oip"
	"github.com/leat-ai/leat/surface/compat/oip/pb"
	"github.com/leat-ai/leat/surface/server"
)

// listeningGRPC lets an app be asked over the network by both wires.
func listeningGRPC(c *Config) {
	listening(c)
	c.GRPC = "127.0.0.1:0"
}

func (l *loop) dial() *grpc.ClientConn {
	l.Helper()
	c, err := grpc.NewClient(l.GRPC(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = c.Close() })
	return c
}

// typed and raw are the rows as a message of gRPC.
func typed(rows []payment) *pb.ModelInferRequest {
	n := int64(len(rows))
	amount, age, country, online, at := &pb.InferTensorContents{}, &pb.InferTensorContents{}, &pb.InferTensorContents{}, &pb.InferTensorContents{}, &pb.InferTensorContents{}
	for _, p := range rows {
		row := p.row()
		text := func(name string) []byte { return fmt.Append(nil, row[name]) }
		amount.Fp64Contents = append(amount.Fp64Contents, p.amount)
		online.BoolContents = append(online.BoolContents, row["online"].(bool))
		country.BytesContents = append(country.BytesContents, text("country"))
		at.BytesContents = append(at.BytesContents, text("at"))
		v, _ := strconv.ParseInt(string(text("age")), 10, 64)
		age.Int64Contents = append(age.Int64Contents, v)
	}
	q := &pb.ModelInferRequest{ModelName: "risk"}
	for _, t := range []struct {
		name, datatype string
		contents       *pb.InferTensorContents
	}{{"amount", "FP64", amount}, {"age", "INT64", age}, {"country", "BYTES", country}, {"online", "BOOL", online}, {"at", "BYTES", at}} {
		q.Inputs = append(q.Inputs, &pb.ModelInferRequest_InferInputTensor{Name: t.name, Datatype: t.datatype, Shape: []int64{n}, Contents: t.contents})
	}
	return q
}

func raw(rows []payment) *pb.ModelInferRequest {
	q := typed(rows)
	for _, in := range q.GetInputs() {
		q.RawInputContents = append(q.RawInputContents, bytesOf(in.GetContents()))
		in.Contents = nil
	}
	return q
}

func bytesOf(c *pb.InferTensorContents) (b []byte) {
	for _, v := range c.GetFp64Contents() {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	for _, v := range c.GetInt64Contents() {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	for _, v := range c.GetBoolContents() {
		b = append(b, map[bool]byte{true: 1}[v])
	}
	for _, v := range c.GetBytesContents() {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(v))), v...)
	}
	return b
}

// over asks by gRPC.
func (l *loop) over(q *pb.ModelInferRequest, rows int) ([]outputs, error) {
	r, err := pb.NewGRPCInferenceServiceClient(l.dial()).ModelInfer(l.Context(), q)
	if err != nil {
		return nil, err
	}
	return tensors(r, rows), nil
}

// tensors are the rows of an answer.
func tensors(r *pb.ModelInferResponse, rows int) []outputs {
	list := make([]outputs, rows)
	for i := range list {
		list[i] = outputs{}
		for k, t := range r.GetOutputs() {
			c := t.GetContents()
			switch {
			case len(c.GetFp64Contents()) > 0:
				list[i].put(t.GetName(), c.GetFp64Contents()[i])
			case len(c.GetBytesContents()) > 0:
				list[i].put(t.GetName(), string(c.GetBytesContents()[i]))
			case t.GetDatatype() == "FP64":
				list[i].put(t.GetName(), math.Float64frombits(binary.LittleEndian.Uint64(r.GetRawOutputContents()[k][8*i:])))
			default: // texts of a raw answer
				rest := r.GetRawOutputContents()[k]
				for range i {
					rest = rest[4+binary.LittleEndian.Uint32(rest):]
				}
				list[i].put(t.GetName(), string(rest[4:4+binary.LittleEndian.Uint32(rest)]))
			}
		}
	}
	return list
}

// predict asks by a protocol whose answer is a list of objects.
func (l *loop) predict(path, before, after string, rows []payment, pick func(answer []byte) ([]map[string]any, error)) ([]outputs, error) {
	var list []map[string]any
	for _, p := range rows {
		list = append(list, p.row())
	}
	text, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	var answer json.RawMessage
	if err := l.post(path, json.RawMessage(before+string(text)+after), &answer); err != nil {
		return nil, err
	}
	predictions, err := pick(answer)
	var all []outputs
	for _, p := range predictions {
		o := outputs{}
		for name, v := range p {
			o.put(name, v)
		}
		all = append(all, o)
	}
	return all, err
}

// known are the rows without a value that is not known: gRPC has none for
// integers and texts.
func known(rows []payment) []payment {
	return slices.DeleteFunc(rows, func(p payment) bool {
		return slices.Contains(slices.Collect(maps.Values(p.row())), nil)
	})
}

// TestProtocolsAnswerAlike: the same rows have the same outputs to the last
// bit, by whichever protocol they are asked.
func TestProtocolsAnswerAlike(t *testing.T) {
	const n = 2000
	l := newLoop(t, n, listeningGRPC)
	l.run("Pipeline", "learn", "first")
	list := func(answer []byte) (v []map[string]any, err error) { return v, json.Unmarshal(answer, &v) }
	predictions := func(answer []byte) ([]map[string]any, error) {
		var v struct{ Predictions []map[string]any }
		err := json.Unmarshal(answer, &v)
		return v.Predictions, err
	}
	for _, size := range []int{1, 3, 200} {
		rows := known(good(n))[:size]
		_, want, err := l.score(rows)
		if err != nil {
			t.Fatal(err)
		}
		for name, ask := range map[string]func() ([]outputs, error){
			"gRPC":      func() ([]outputs, error) { return l.over(typed(rows), size) },
			"gRPC, raw": func() ([]outputs, error) { return l.over(raw(rows), size) },
			"v1": func() ([]outputs, error) {
				return l.predict("/v1/models/risk:predict", `{"instances":`, `}`, rows, predictions)
			},
			"invocations": func() ([]outputs, error) {
				return l.predict("/invocations", `{"dataframe_records":`, `}`, rows, predictions)
			},
			"Azure ML": func() ([]outputs, error) { return l.predict("/score", `{"data":`, `}`, rows, list) },
		} {
			if got, err := ask(); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%d rows by %s: %v, %v\nwant %v", size, name, got[:min(len(got), 3)], err, want[:min(size, 3)])
			}
		}
	}
}

// TestUnloadedStaysSo: what is taken out of service by the repository comes
// back when it is loaded, and not by a restart.
func TestUnloadedStaysSo(t *testing.T) {
	l := newLoop(t, 2000, listeningGRPC)
	l.run("Pipeline", "learn", "first")
	l.run("Pipeline", "relearn", "second")
	index := func() (list []oip.Model) {
		l.must("POST", "/v2/repository/index", "", 200, &list)
		return slices.DeleteFunc(list, func(m oip.Model) bool { return m.Name != "risk" })
	}
	ready := []oip.Model{{Name: "risk", Version: "2", State: "READY"}}
	if got := index(); !slices.Equal(got, ready) {
		t.Fatalf("%+v", got)
	}
	l.must("POST", "/v2/repository/models/risk/unload", `{"parameters":{"unload_dependents":false}}`, 200, nil)
	l.must("GET", "/v2/models/risk/ready", "", 404, nil)
	l.must("POST", "/v2/repository/models/risk/unload", "", 404, nil)
	l.restart()
	l.must("GET", "/v2/models/risk/ready", "", 404, nil)
	if got := index(); len(got) != 1 || got[0].State != "UNAVAILABLE" || got[0].Reason != "it was unloaded" {
		t.Errorf("%+v", got)
	}
	changes, err := l.releases.History(t.Context(), "risk")
	if err != nil || changes[0].Why != "unload" || changes[0].By != "local" {
		t.Errorf("%+v, %v", changes, err)
	}
	l.must("POST", "/v2/repository/models/risk/load", "", 200, nil)
	if got := index(); !slices.Equal(got, ready) {
		t.Errorf("%+v", got)
	}
	l.must("POST", "/v2/repository/models/none/load", "", 404, nil)
}

// TestEveryMethodAsksForAKey, but those that only tell that the server lives.
func TestEveryMethodAsksForAKey(t *testing.T) {
	l := newLoop(t, 10, listeningGRPC, func(c *Config) { c.Server.Auth = server.AuthKeys })
	methods := l.grpc.Methods()
	var free []string
	for name, open := range methods {
		if open {
			free = append(free, name)
		}
	}
	slices.Sort(free)
	if want := []string{"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/List", "/grpc.health.v1.Health/Watch",
		"/inference.GRPCInferenceService/ServerLive", "/inference.GRPCInferenceService/ServerReady"}; !slices.Equal(free, want) {
		t.Errorf("open to anybody: %v", free)
	}
	c := l.dial()
	for _, name := range slices.Sorted(maps.Keys(methods)) {
		s, err := c.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, name)
		if err == nil {
			_ = s.SendMsg(&pb.ServerLiveRequest{}) // an empty message is one of every type
			_ = s.CloseSend()
			err = s.RecvMsg(&pb.ServerLiveResponse{})
		}
		if refused := status.Code(err) == codes.Unauthenticated; refused == methods[name] {
			t.Errorf("%s without a key: %v", name, err)
		}
	}
}

func TestGRPCPort(t *testing.T) {
	busy, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	l := newLoop(t, 10, listening, func(c *Config) { c.GRPC, c.GRPCOptional = busy.Addr().String(), true })
	if l.GRPC() != "" {
		t.Errorf("gRPC at %s", l.GRPC())
	}
	l.must("GET", "/healthz", "", http.StatusOK, nil)
	config := l.config
	config.GRPCOptional, config.Home = false, t.TempDir()
	if _, err := Start(t.Context(), config); !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.HintOf(err), "--grpc") {
		t.Errorf("%v", err)
	}
}

// TestRootSaysHealthy, as probes of the local inference server expect.
func TestRootSaysHealthy(t *testing.T) {
	l := newLoop(t, 10, listening)
	res, err := http.Get(l.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 200 || string(text) != "Healthy" {
		t.Errorf("%d %s, %v", res.StatusCode, text, err)
	}
}
