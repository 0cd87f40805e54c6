package proto_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/internal/corpus"
	"github.com/leat-ai/leat/internal/realdata"
	"github.com/leat-ai/leat/model/onnx"
	"github.com/leat-ai/leat/model/onnx/onnxtest"
	"github.com/leat-ai/leat/model/onnx/proto"
)

// field appends a field with a length to a message.
func field(m []byte, number protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(m, number, protowire.BytesType), v)
}

// integer appends a field with a number.
func integer(m []byte, number protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(m, number, protowire.VarintType), uint64(v))
}

// small is a sound file that adds a constant to its input.
func small() *onnxtest.File {
	return &onnxtest.File{
		Inputs:    []onnxtest.Values{{Name: "x", Dims: []int64{0, 2}, Floats: []float32{}}},
		Constants: []onnxtest.Values{{Name: "c", Dims: []int64{2}, Floats: []float32{1, 2}}},
		Nodes: []onnxtest.Node{
			{Op: "Add", Inputs: []string{"x", "c"}, Outputs: []string{"sum"}},
			{Op: "Neg", Inputs: []string{"sum"}, Outputs: []string{"y"}, Attributes: []onnx.Attribute{onnx.Int("axis", -3)}},
		},
		Outputs: []string{"y"},
	}
}

// with returns a file with one more initializer, given as a message.
func with(tensor []byte) []byte {
	f := small().Bytes()
	// A second graph field would be refused, so the graph is taken out and put
	// back larger.
	return rebuild(f, func(graph []byte) []byte { return field(graph, 5, tensor) })
}

func rebuild(file []byte, change func(graph []byte) []byte) []byte {
	var out []byte
	for len(file) > 0 {
		number, kind, n := protowire.ConsumeField(file)
		part := file[:n]
		if number == 7 && kind == protowire.BytesType {
			_, _, tag := protowire.ConsumeTag(part)
			graph, _ := protowire.ConsumeBytes(part[tag:])
			part = field(nil, 7, change(slices.Clone(graph)))
		}
		out, file = append(out, part...), file[n:]
	}
	return out
}

func TestWhatIsRefused(t *testing.T) {
	change := func(f func(*onnxtest.File)) []byte {
		file := small()
		f(file)
		return file.Bytes()
	}
	location := func(path string) []byte {
		entry := field(field(nil, 1, []byte("location")), 2, []byte(path))
		m := field(integer(integer(nil, 1, 2), 2, 1), 8, []byte("outside"))
		return integer(field(m, 13, entry), 14, 1)
	}
	lying := func(dims []int64, raw int) []byte {
		var m []byte
		for _, d := range dims {
			m = integer(m, 1, d)
		}
		return field(field(integer(m, 2, 1), 8, []byte("lies")), 9, make([]byte, raw))
	}
	deep := []byte{}
	for range 12 {
		attribute := integer(field(field(nil, 1, []byte("body")), 6, field(nil, 1, append(field(nil, 4, []byte("If")), deep...))), 20, 5)
		deep = field(nil, 5, attribute)
	}
	sound := small().Bytes()
	cases := map[string]struct {
		file []byte
		kind fault.Kind
		says string
	}{
		"nothing":            {nil, fault.Invalid, "no graph"},
		"text":               {[]byte("PMML, not ONNX"), fault.Invalid, ""},
		"half":               {sound[:len(sound)/2], fault.Invalid, "breaks off"},
		"twice":              {append(slices.Clone(sound), sound...), fault.Invalid, "more than one graph"},
		"a cycle":            {change(func(f *onnxtest.File) { f.Nodes[0].Inputs[1] = "y" }), fault.Invalid, "cycle: node 0 (Add"},
		"its own input":      {change(func(f *onnxtest.File) { f.Nodes[0].Inputs[1] = "sum" }), fault.Invalid, "cycle"},
		"nothing computes":   {change(func(f *onnxtest.File) { f.Nodes[1].Inputs[0] = "sun" }), fault.Invalid, `node 1 (Neg "Neg") reads "sun"`},
		"computed twice":     {change(func(f *onnxtest.File) { f.Nodes[1].Outputs[0] = "sum" }), fault.Invalid, `computes "sum"`},
		"over an input":      {change(func(f *onnxtest.File) { f.Nodes[1].Outputs[0] = "x" }), fault.Invalid, `computes "x"`},
		"no output":          {change(func(f *onnxtest.File) { f.Outputs = nil }), fault.Invalid, "no outputs"},
		"an unknown output":  {change(func(f *onnxtest.File) { f.Outputs = []string{"z"} }), fault.Invalid, `output "z"`},
		"inputs twice":       {change(func(f *onnxtest.File) { f.Inputs = append(f.Inputs, f.Inputs[0]) }), fault.Invalid, `input "x" is defined twice`},
		"initializers twice": {change(func(f *onnxtest.File) { f.Constants = append(f.Constants, f.Constants[0]) }), fault.Invalid, `"c" is defined twice`},
		"outside":            {with(location("weights.bin")), fault.Unsupported, `initializer "outside": the tensor's data lies outside the file`},
		"far outside":        {with(location("../../etc/passwd")), fault.Unsupported, "outside the file"},
		"too few bytes":      {with(lying([]int64{2, 3}, 20)), fault.Invalid, "20 bytes are not the 6 elements"},
		"too many bytes":     {with(lying([]int64{2, 3}, 28)), fault.Invalid, "28 bytes"},
		"an absurd shape":    {with(lying([]int64{1 << 40, 1 << 40}, 8)), fault.Invalid, "cannot lie in a file"},
		"a product over":     {with(lying([]int64{1 << 16, 1 << 16, 1 << 16, 1 << 16}, 8)), fault.Invalid, "cannot lie in a file"},
		"a negative shape":   {with(lying([]int64{-1}, 0)), fault.Invalid, "negative"},
		"many dimensions":    {with(lying(slices.Repeat([]int64{1}, 17), 4)), fault.Invalid, "16 dimensions"},
		"a node of nothing":  {rebuild(sound, func(g []byte) []byte { return field(g, 1, nil) }), fault.Invalid, "names no operator"},
		"graphs in graphs":   {rebuild(sound, func(g []byte) []byte { return field(g, 1, append(field(nil, 4, []byte("If")), deep...)) }), fault.Invalid, "deep"},
		"many small parts":   {rebuild(sound, func(g []byte) []byte { return append(g, many(1<<20)...) }), fault.TooLarge, "small parts"},
		"a group":            {append(slices.Clone(sound), 0x0b, 0x0c), fault.Invalid, "no protobuf"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := proto.Read(c.file)
			if !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", fault.KindOf(err), err)
			}
		})
	}
	_, err := proto.Read(with(location("../../etc/passwd")))
	if !strings.Contains(err.Error(), "../../etc/passwd") && !strings.Contains(err.Error(), "location") {
		t.Errorf("it does not say from where: %v", err)
	}
	if _, err := proto.Read(sound); err != nil {
		t.Fatal(err)
	}
}

// many is nodes that have nothing but an operator.
func many(n int) []byte {
	var out []byte
	node := field(nil, 4, []byte("a"))
	for range n {
		out = field(out, 1, node)
	}
	return out
}

func TestOutsideSaysFromWhere(t *testing.T) {
	for _, path := range []string{"weights.bin", "../../etc/passwd"} {
		entry := field(field(nil, 1, []byte("location")), 2, []byte(path))
		tensor := integer(field(field(integer(integer(nil, 1, 2), 2, 1), 8, []byte("w")), 13, entry), 14, 1)
		if _, err := proto.Read(with(tensor)); !strings.Contains(err.Error(), path) {
			t.Errorf("%q is not in %v", path, err)
		}
		attribute := integer(field(field(nil, 1, []byte("value")), 5, tensor), 20, 4)
		node := field(field(field(nil, 2, []byte("k")), 4, []byte("Constant")), 5, attribute)
		file := rebuild(small().Bytes(), func(g []byte) []byte { return field(g, 1, node) })
		if _, err := proto.Read(file); !fault.Is(err, fault.Unsupported) || !strings.Contains(err.Error(), path) {
			t.Errorf("in an attribute: %v", err)
		}
	}
}

// TestReadingTakesLittleMemory measures what is allocated for files of the
// data, and for hostile ones.
func TestReadingTakesLittleMemory(t *testing.T) {
	files := map[string][]byte{
		"many small parts": rebuild(small().Bytes(), func(g []byte) []byte { return append(g, many(1<<20)...) }),
		"many names": rebuild(small().Bytes(), func(g []byte) []byte {
			for range 1 << 20 {
				g = field(g, 11, nil)
			}
			return g
		}),
		"many dimensions": rebuild(small().Bytes(), func(g []byte) []byte {
			var shape []byte
			for range 1 << 20 {
				shape = field(shape, 1, nil)
			}
			return field(g, 11, field(nil, 2, field(nil, 1, field(nil, 2, shape))))
		}),
	}
	for _, name := range []string{"adult-pipeline-logistic", "adult-random-forest", "wine-forest-multiclass"} {
		data, err := os.ReadFile(realdata.Path(t, "model-onnx/"+name+"/model.onnx"))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = data
	}
	for name, file := range files {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = proto.Read(file)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > uint64(4*len(file)+2<<20) {
			t.Errorf("%s: %d bytes were allocated for a file of %d", name, took, len(file))
		}
	}
}

// TestNodesAreSorted shuffles a chain of nodes.
func TestNodesAreSorted(t *testing.T) {
	f := small()
	f.Nodes, f.Outputs = nil, []string{"y40"}
	last := "x"
	for i := range 41 {
		next := "y" + string(rune('0'+i/10)) + string(rune('0'+i%10))
		f.Nodes = append(f.Nodes, onnxtest.Node{Op: "Add", Inputs: []string{last, "c"}, Outputs: []string{next}})
		last = next
	}
	f.Outputs = []string{last}
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(len(f.Nodes), func(i, j int) { f.Nodes[i], f.Nodes[j] = f.Nodes[j], f.Nodes[i] })
	m, err := proto.Read(f.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]bool{"x": true, "c": true}
	for _, n := range m.Graph.Nodes {
		if !made[n.Inputs[0]] {
			t.Fatalf("%v comes before its input", n.Outputs)
		}
		made[n.Outputs[0]] = true
	}
}

// TestTensorsInEveryEncoding reads numbers as raw bytes, packed and one by one.
func TestTensorsInEveryEncoding(t *testing.T) {
	floats := []float32{1.5, -2, float32(math.Inf(1))}
	var packed, loose, raw []byte
	for _, v := range floats {
		packed = protowire.AppendFixed32(packed, math.Float32bits(v))
		loose = protowire.AppendFixed32(protowire.AppendTag(loose, 4, protowire.Fixed32Type), math.Float32bits(v))
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	head := field(integer(integer(nil, 1, 3), 2, 1), 8, []byte("w"))
	for name, body := range map[string][]byte{
		"packed": field(slices.Clone(head), 4, packed), "one by one": append(slices.Clone(head), loose...), "raw": field(slices.Clone(head), 9, raw),
	} {
		m, err := proto.Read(with(body))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := m.Graph.Initializers[1].Floats(); !slices.Equal(got, floats) {
			t.Errorf("%s: %v", name, got)
		}
	}
	ints := field(integer(integer(nil, 1, 3), 2, 6), 8, []byte("w"))
	for _, v := range []int64{-7, 0, 9} {
		ints = integer(ints, 5, v)
	}
	m, err := proto.Read(with(ints))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Graph.Initializers[1].Ints(); !slices.Equal(got, []int64{-7, 0, 9}) {
		t.Errorf("int32: %v", got)
	}
	if a := m.Graph.Nodes[1].Attributes[0]; a.Name != "axis" || a.Int() != -3 {
		t.Errorf("the attribute is %v", a)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(small().Bytes())
	f.Add(with(integer(integer(nil, 1, 3), 2, 7)))
	f.Add(rebuild(small().Bytes(), func(g []byte) []byte { return append(g, many(9)...) }))
	corpus.Add(f)
	f.Fuzz(func(_ *testing.T, file []byte) {
		m, err := proto.Read(file)
		if err != nil {
			return
		}
		for i := range m.Graph.Initializers {
			c := &m.Graph.Initializers[i]
			switch c.Type {
			case proto.Float:
				_ = c.Floats()
			case proto.Double:
				_ = c.Doubles()
			case proto.String:
				_ = c.Texts()
			default:
				_ = c.Ints()
			}
		}
		for i := range m.Graph.Nodes {
			for k := range m.Graph.Nodes[i].Attributes {
				a := &m.Graph.Nodes[i].Attributes[k]
				_, _, _, _, _, _, _ = a.Int(), a.Float(), a.Text(), a.Ints(), a.Floats(), a.Texts(), a.Tensor()
			}
		}
	})
}
