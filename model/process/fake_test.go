package process_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// The test's own binary is the worker of most tests: run with the argument
// "worker" and the name of a behaviour. It is written from the description of
// the protocol and shares no code with the package.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "worker" {
		behave(os.Args[2])
		return
	}
	os.Exit(m.Run())
}

type wire struct {
	in  io.Reader
	out io.Writer
}

func (w wire) send(kind byte, call uint32, payload []byte) {
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
	head = append(head, kind, 0, 0, 0)
	head = binary.LittleEndian.AppendUint32(head, call)
	_, _ = w.out.Write(append(head, payload...))
}

func (w wire) next() (kind byte, call uint32, payload []byte) {
	head := make([]byte, 12)
	if _, err := io.ReadFull(w.in, head); err != nil {
		os.Exit(0)
	}
	payload = make([]byte, binary.LittleEndian.Uint32(head))
	if _, err := io.ReadFull(w.in, payload); err != nil {
		os.Exit(0)
	}
	return head[4], binary.LittleEndian.Uint32(head[8:]), payload
}

// behave is the worker. Its model adds x and the length of the text s; special
// values of x make it do what workers should not.
func behave(how string) {
	w := wire{os.Stdin, os.Stdout}
	if path := os.Getenv("LEAT_SOCKET"); path != "" {
		conn, err := net.Dial("unix", path)
		if err != nil {
			os.Exit(9)
		}
		w = wire{conn, conn}
	}
	encoding, inflight := "json", 1
	switch how {
	case "arrow":
		encoding, inflight = "arrow", 3
	case "exits":
		fmt.Fprintln(os.Stderr, "no weights here")
		os.Exit(3)
	case "prints":
		fmt.Println("hello, I am no frame")
	case "silent":
		time.Sleep(time.Hour)
	case "huge":
		w.send(1, 0, make([]byte, 65<<20))
	case "future":
		w.send(1, 0, []byte(`{"leat": "worker", "protocol": 2, "encoding": "json"}`))
	}
	w.send(1, 0, fmt.Appendf(nil, `{"leat": "worker", "protocol": 1, "encoding": %q, "inflight": %d, "library": "fake",
		"signature": {"task": "regression", "inputs": [{"name": "x", "type": "double"}, {"name": "s", "type": "string"}, {"name": "n", "type": "int"}],
		"outputs": [{"name": "score", "type": "double"}]}}`, encoding, inflight))
	for {
		kind, call, payload := w.next()
		switch {
		case kind == 5:
			w.send(6, call, nil)
		case kind == 2 && encoding == "arrow":
			w.send(3, call, scoreArrow(payload[4:]))
		case kind == 2:
			w.score(call, payload[4:])
		}
	}
}

func (w wire) score(call uint32, payload []byte) {
	var rows struct {
		Rows    int
		Columns struct {
			X []any
			S []*string
			N []*int64
		}
	}
	if err := json.Unmarshal(payload, &rows); err != nil {
		w.send(4, call, []byte(`{"kind": "internal", "message": "no JSON"}`))
		return
	}
	scores := make([]float64, rows.Rows)
	for i := range scores {
		x, _ := rows.Columns.X[i].(float64)
		switch x {
		case 666001: // dies
			os.Exit(7)
		case 666002: // hangs
			_ = os.WriteFile("hanging", nil, 0o600)
			time.Sleep(time.Hour)
		case 666003: // writes what is no frame
			_, _ = w.out.Write([]byte("Traceback (most recent call last):\n"))
		case 666004: // answers a call that nobody made
			w.send(3, call+1000, []byte(`{"columns": {"score": [1]}}`))
		case 666005: // loses a row
			scores = scores[:len(scores)-1]
		case 666006: // refuses
			w.send(4, call, []byte(`{"kind": "invalid", "message": "x is too odd", "hint": "send an even one"}`))
			return
		case 666007: // takes all memory there is
			var hog [][]byte
			for {
				block := make([]byte, 64<<20)
				for at := 0; at < len(block); at += 4096 {
					block[at] = 1
				}
				if hog = append(hog, block); len(hog) > 1<<20 {
					return
				}
			}
		case 666008: // a child of it outlives it, and holds its pipes
			cmd := exec.Command("sleep", "3600")
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			_ = cmd.Start()
			fmt.Fprintf(os.Stderr, "child %d\n", cmd.Process.Pid)
			os.Exit(8)
		case 666009: // claims a large frame
			_, _ = w.out.Write([]byte{255, 255, 255, 255, 3, 0, 0, 0, 1, 0, 0, 0})
		}
		if i < len(scores) {
			scores[i] = value(x, rows.Columns.S[i], rows.Columns.N[i])
		}
	}
	text, err := json.Marshal(map[string]any{"columns": map[string]any{"score": scores, "extra": []string{"ignored"}}})
	if err != nil {
		text = []byte("{")
	}
	w.send(3, call, text)
}

func value(x float64, s *string, n *int64) float64 {
	if s != nil {
		x += float64(len(*s))
	}
	if n != nil {
		x += float64(*n % 1000)
	}
	return math.Min(math.Max(x, -1e300), 1e300)
}

func scoreArrow(stream []byte) []byte {
	r, err := ipc.NewReader(bytes.NewReader(stream))
	if err != nil || !r.Next() {
		return nil
	}
	in := r.RecordBatch()
	xs, ss, ns := in.Column(0).(*array.Float64), in.Column(1).(*array.String), in.Column(2).(*array.Int64)
	b := array.NewFloat64Builder(memory.DefaultAllocator)
	for i := range xs.Len() {
		var s *string
		var n *int64
		x := 0.0
		if xs.IsValid(i) && !math.IsNaN(xs.Value(i)) {
			x = xs.Value(i)
		}
		if ss.IsValid(i) {
			v := ss.Value(i)
			s = &v
		}
		if ns.IsValid(i) {
			v := ns.Value(i)
			n = &v
		}
		b.Append(value(x, s, n))
	}
	schema := arrow.NewSchema([]arrow.Field{{Name: "score", Type: arrow.PrimitiveTypes.Float64}}, nil)
	var out bytes.Buffer
	wr := ipc.NewWriter(&out, ipc.WithSchema(schema))
	_ = wr.Write(array.NewRecordBatch(schema, []arrow.Array{b.NewArray()}, int64(xs.Len())))
	_ = wr.Close()
	return out.Bytes()
}
