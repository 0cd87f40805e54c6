// Command protocols measures scoring by each of the wires that Leat speaks: its
// own JSON, and the Open Inference Protocol as JSON, as binary tensors and over
// gRPC, with raw and with typed contents. All ask one server for the same rows;
// the scores are first held equal to the last bit. It is about the wires, so
// the peer of every figure is Leat's own JSON.
//
//	make build && go run ./bench/protocols -rows 100
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	program "github.com/leat-ai/leat/bench/internal/binary"
	"github.com/leat-ai/leat/bench/internal/duel"
	"github.com/leat-ai/leat/bench/internal/fixture"
	"github.com/leat-ai/leat/bench/internal/load"
	"github.com/leat-ai/leat/bench/internal/result"
	"github.com/leat-ai/leat/surface/compat/oip/pb"
)

type size struct {
	columns, rows, connections, rounds, bodies int
	seconds                                    float64
}

func main() {
	var s size
	flag.IntVar(&s.columns, "columns", 30, "features of a row, at least 8")
	flag.IntVar(&s.rows, "rows", 1, "of a request")
	flag.IntVar(&s.connections, "connections", 32, "of the load")
	flag.IntVar(&s.rounds, "rounds", 5, "")
	flag.IntVar(&s.bodies, "bodies", 500, "different requests")
	flag.Float64Var(&s.seconds, "seconds", 4*result.Scale(), "of load, each round and side")
	flag.Parse()
	runtime.GOMAXPROCS(runtime.NumCPU() + 1) // one for pace, which holds on to it
	if err := run(context.Background(), s); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, s size) error {
	dir, err := os.MkdirTemp("", "leat-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if _, err := fixture.Make(ctx, dir, s.columns); err != nil {
		return err
	}
	server, err := program.UpWith(ctx, dir, "--grpc", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer server.Stop()
	sides, err := sidesOf(s, server)
	if err != nil {
		return err
	}
	if err := equal(s, sides); err != nil {
		return err
	}
	for _, side := range sides {
		if _, err := side.Closed(ctx, s.connections, s.duration()/4); err != nil {
			return err
		}
	}
	return measure(ctx, s, sides, server.PID())
}

func (s size) duration() time.Duration { return time.Duration(s.seconds * float64(time.Second)) }

// side is one wire.
type side struct {
	*load.Target
	scores func(answer []byte) ([]float64, error)
	cpu    []float64 // seconds of processor per answer, by round
	took   [][3]float64
}

// sidesOf makes every wire's requests of the same rows; the first is the peer
// of the others.
func sidesOf(s size, server *program.Server) ([]*side, error) {
	var native, texts, binaries, raw, typed [][]byte
	header := 0
	drawn := fixture.Rows{Columns: s.columns, Seed: 2}.Draw(s.bodies * s.rows)
	for rows := range slices.Chunk(drawn, s.rows) {
		native = append(native, nativeBody(rows))
		texts = append(texts, tensorJSON(rows, true))
		head := tensorJSON(rows, false)
		header = len(head) // alike in every request: they have one shape
		binaries = append(binaries, append(head, doubles(rows)...))
		for _, m := range []struct {
			to    *[][]byte
			typed bool
		}{{&raw, false}, {&typed, true}} {
			text, err := proto.Marshal(message(rows, m.typed))
			if err != nil {
				return nil, err
			}
			*m.to = append(*m.to, text)
		}
	}
	const method = "/inference.GRPCInferenceService/ModelInfer"
	path := server.URL + "/v2/models/" + fixture.Endpoint + "/infer"
	own, err1 := load.New("JSON of its own", server.URL+"/v1/endpoints/"+fixture.Endpoint+"/score", native)
	text, err2 := load.New("v2, JSON", path, texts)
	binary, err3 := load.NewWith("v2, binary tensors", path, fmt.Sprintf("Content-Type: application/octet-stream\r\nInference-Header-Content-Length: %d\r\n", header), binaries)
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			return nil, err
		}
	}
	return []*side{
		{Target: own, scores: ownScores}, {Target: text, scores: textScores}, {Target: binary, scores: binaryScores},
		{Target: load.NewGRPC("v2, gRPC raw", server.GRPC, method, raw), scores: grpcScores},
		{Target: load.NewGRPC("v2, gRPC typed", server.GRPC, method, typed), scores: grpcScores},
	}, nil
}

func nativeBody(rows [][]float64) []byte {
	b := []byte(`{"rows":[`)
	for i, row := range rows {
		if i > 0 {
			b = append(b, ',')
		}
		for c, v := range row {
			b = append(b, "{,"[min(c, 1)])
			b = append(strconv.AppendQuote(b, fixture.ColumnName(c)), ':')
			b = strconv.AppendFloat(b, v, 'g', -1, 64)
		}
		b = append(b, '}')
	}
	return append(b, "]}"...)
}

// tensorJSON is a request for one matrix: with its data, or with their size and
// the wish for bytes.
func tensorJSON(rows [][]float64, data bool) []byte {
	b := []byte(`{"inputs":[`)
	if !data {
		b = []byte(`{"parameters":{"binary_data_output":true},"inputs":[`)
	}
	b = fmt.Appendf(b, `{"name":"rows","shape":[%d,%d],"datatype":"FP64",`, len(rows), len(rows[0]))
	if !data {
		return fmt.Appendf(b, `"parameters":{"binary_data_size":%d}}]}`, 8*len(rows)*len(rows[0]))
	}
	b = append(b, `"data":[`...)
	for i, v := range slices.Concat(rows...) {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendFloat(b, v, 'g', -1, 64)
	}
	return append(b, "]}]}"...)
}

func doubles(rows [][]float64) (b []byte) {
	for _, v := range slices.Concat(rows...) {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return b
}

func message(rows [][]float64, typed bool) *pb.ModelInferRequest {
	in := &pb.ModelInferRequest_InferInputTensor{Name: "rows", Datatype: "FP64", Shape: []int64{int64(len(rows)), int64(len(rows[0]))}}
	q := &pb.ModelInferRequest{ModelName: fixture.Endpoint, Inputs: []*pb.ModelInferRequest_InferInputTensor{in}}
	if typed {
		in.Contents = &pb.InferTensorContents{Fp64Contents: slices.Concat(rows...)}
	} else {
		q.RawInputContents = [][]byte{doubles(rows)}
	}
	return q
}

func ownScores(answer []byte) (scores []float64, err error) {
	var a struct{ Decisions []struct{ Score float64 } }
	err = json.Unmarshal(answer, &a)
	for _, d := range a.Decisions {
		scores = append(scores, d.Score)
	}
	return scores, err
}

// outputs is the JSON of an answer.
type outputs struct {
	Outputs []struct {
		Name       string
		Data       json.RawMessage
		Parameters struct {
			Size int `json:"binary_data_size"`
		}
	}
}

func textScores(answer []byte) (scores []float64, err error) {
	var a outputs
	if err := json.Unmarshal(answer, &a); err != nil {
		return nil, err
	}
	for _, o := range a.Outputs {
		if o.Name == "score" {
			return scores, json.Unmarshal(o.Data, &scores)
		}
	}
	return nil, fmt.Errorf("no scores in %s", answer)
}

func binaryScores(answer []byte) ([]float64, error) {
	var a outputs
	d := json.NewDecoder(bytes.NewReader(answer))
	if err := d.Decode(&a); err != nil {
		return nil, err
	}
	rest := answer[d.InputOffset():]
	for _, o := range a.Outputs {
		if o.Name == "score" {
			return read(rest[:o.Parameters.Size]), nil
		}
		rest = rest[o.Parameters.Size:]
	}
	return nil, fmt.Errorf("no scores")
}

func read(b []byte) (values []float64) {
	for ; len(b) >= 8; b = b[8:] {
		values = append(values, math.Float64frombits(binary.LittleEndian.Uint64(b)))
	}
	return values
}

func grpcScores(answer []byte) ([]float64, error) {
	a := new(pb.ModelInferResponse)
	if err := proto.Unmarshal(answer, a); err != nil {
		return nil, err
	}
	for i, o := range a.GetOutputs() {
		if o.GetName() == "score" && len(a.GetRawOutputContents()) > 0 {
			return read(a.GetRawOutputContents()[i]), nil
		}
		if o.GetName() == "score" {
			return o.GetContents().GetFp64Contents(), nil
		}
	}
	return nil, fmt.Errorf("no scores")
}

// equal asks by every wire with every row and compares the scores.
func equal(s size, sides []*side) error {
	var want [][]float64
	for _, side := range sides {
		var got [][]float64
		err := side.Each(func(_ int, answer []byte) error {
			scores, err := side.scores(answer)
			got = append(got, scores)
			if err == nil && len(scores) != s.rows {
				err = fmt.Errorf("%d scores for %d rows", len(scores), s.rows)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", side.Name, err)
		}
		if want == nil {
			want = got
		}
		if !slices.EqualFunc(got, want, slices.Equal) {
			return fmt.Errorf("%s answers otherwise", side.Name)
		}
	}
	fmt.Fprintf(os.Stderr, "%d answers of each wire are equal\n", len(want))
	return nil
}

// measure takes each wire's peak in turns, and then its times at half of it.
func measure(ctx context.Context, s size, sides []*side, pid int) error {
	turns := make([]func() (float64, error), len(sides))
	for i, side := range sides {
		turns[i] = func() (float64, error) {
			before := load.CPU(pid)
			rate, err := side.Closed(ctx, s.connections, s.duration())
			side.cpu = append(side.cpu, (load.CPU(pid)-before).Seconds()/(rate*s.seconds))
			return 1 / rate, err
		}
	}
	seconds, err := duel.Turns(s.rounds, turns...)
	if err != nil {
		return err
	}
	for range s.rounds {
		for i, side := range sides {
			took, err := side.Open(0.5/duel.Median(seconds[i]), s.connections, s.duration())
			if err != nil {
				return err
			}
			slices.Sort(took)
			at := func(q float64) float64 { return took[int(q*float64(len(took)-1))].Seconds() * 1e3 }
			side.took = append(side.took, [3]float64{at(0.5), at(0.95), at(0.99)})
		}
	}
	return report(s, sides, seconds)
}

func report(s size, sides []*side, seconds [][]float64) error {
	var figures []result.Figure
	for i, side := range sides[1:] {
		ratio, least, most := duel.Result{Ours: seconds[i+1], Theirs: seconds[0]}.Speedup()
		figures = append(figures, result.Figure{Name: side.Name + ": throughput over that of JSON of its own", Value: ratio, Unit: "×", Least: least, Most: most})
	}
	for i, side := range sides {
		figures = append(figures,
			result.Figure{Name: side.Name + ": peak", Value: 1 / duel.Median(seconds[i]), Unit: "answers/s", Least: 1 / slices.Max(seconds[i]), Most: 1 / slices.Min(seconds[i])},
			result.Figure{Name: side.Name + ": processor time of an answer", Value: 1e6 * duel.Median(side.cpu), Unit: "µs", Least: 1e6 * slices.Min(side.cpu), Most: 1e6 * slices.Max(side.cpu)})
		for q, name := range []string{"p50", "p95", "p99"} {
			var values []float64
			for _, took := range side.took {
				values = append(values, took[q])
			}
			figures = append(figures, result.Figure{Name: side.Name + ": " + name + " at half of its peak", Value: duel.Median(values), Unit: "ms", Least: slices.Min(values), Most: slices.Max(values)})
		}
	}
	return result.Keep(result.Entry{Bench: "protocols", Figures: figures, Setup: fmt.Sprintf(
		"%d rows of %d doubles in a request, %d trees, %d connections, %d rounds of %.1f s", s.rows, s.columns, fixture.Trees, s.connections, s.rounds, s.seconds)})
}
