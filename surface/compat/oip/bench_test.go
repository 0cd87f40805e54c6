package oip_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/surface/compat/compattest"
	"github.com/leat-ai/leat/surface/compat/oip"
	"github.com/leat-ai/leat/surface/compat/oip/pb"
	"github.com/leat-ai/leat/surface/server"
)

// wide are thirty columns of doubles, and a row of them as bytes.
func wide() (fields []model.Field, row []byte) {
	for i := range 30 {
		fields = append(fields, model.Field{Name: fmt.Sprintf("f%d", i), Type: frame.Double})
		row = binary.LittleEndian.AppendUint64(row, math.Float64bits(float64(i)))
	}
	return fields, row
}

// BenchmarkREST is one row of thirty doubles through the handler.
func BenchmarkREST(b *testing.B) {
	fields, row := wide()
	s, front := compattest.Serve(b, server.Config{}, compattest.Echo("echo", fields...))
	oip.Register(s, oip.Services{Front: front})
	h := s.Handler()
	head := `{"parameters":{"binary_data_output":true},"outputs":[{"name":"f0"}],"inputs":[{"name":"x","shape":[1,30],"datatype":"FP64","parameters":{"binary_data_size":240}}]}`
	text := `{"outputs":[{"name":"f0"}],"inputs":[{"name":"x","shape":[1,30],"datatype":"FP64","data":[` + strings.TrimSuffix(strings.Repeat("0.12345,", 30), ",") + `]}]}`
	for name, c := range map[string]struct{ body, length string }{"binary": {head + string(row), strconv.Itoa(len(head))}, "JSON": {text, ""}} {
		b.Run(name, func(b *testing.B) {
			ctx := identity.With(b.Context(), identity.Local())
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/v2/models/echo/infer", strings.NewReader(c.body))
				if c.length != "" {
					r.Header.Set(lengthHeader, c.length)
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != 200 {
					b.Fatal(w.Body)
				}
			}
		})
	}
}

// BenchmarkGRPC is the same by a connection.
func BenchmarkGRPC(b *testing.B) {
	fields, row := wide()
	_, address := listen(b, server.AuthLocal, fields...)
	c := dial(b, address)
	q := &pb.ModelInferRequest{ModelName: "echo", Inputs: list(input("x", "FP64", nil, 1, 30)), RawInputContents: [][]byte{row},
		Outputs: []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "out_f0"}}}
	b.ReportAllocs()
	b.SetBytes(int64(proto.Size(q)))
	for b.Loop() {
		if _, err := c.ModelInfer(b.Context(), q); err != nil {
			b.Fatal(err)
		}
	}
}
