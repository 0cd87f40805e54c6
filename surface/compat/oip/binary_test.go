package oip_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/surface/server"
)

const lengthHeader = "Inference-Header-Content-Length"

// post sends a body and returns the status, the headers and what is answered.
func post(t testing.TB, url, body string, headers ...string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v2/models/echo/infer", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	answer, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.StatusCode, w.Header, string(answer)
}

func doubles(values ...float64) string {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return string(b)
}

// binaryBody is a matrix of one row as bytes.
const binaryHead = `{"id":"a\"]}","parameters":{"binary_data_output":true},"inputs":[{"name":"x","shape":[1,2],"datatype":"FP64","parameters":{"binary_data_size":16}}]}`

func TestBinaryTensors(t *testing.T) {
	url, _ := listen(t, server.AuthLocal, ab...)
	for range 2 { // the second answer is the stored one
		code, header, got := post(t, url, binaryHead+doubles(1.5, math.NaN()), lengthHeader, strconv.Itoa(len(binaryHead)), "Idempotency-Key", "k")
		n, err := strconv.Atoi(header.Get(lengthHeader))
		if code != 200 || err != nil || n > len(got) || header.Get("Content-Type") != "application/octet-stream" {
			t.Fatalf("%d %v %q, %v", code, header, got, err)
		}
		var answer struct {
			ID      string
			Outputs []struct {
				Name       string
				Parameters map[string]int
			}
		}
		if err := json.Unmarshal([]byte(got[:n]), &answer); err != nil || len(answer.Outputs) != 2 || answer.ID != `a"]}` || answer.Outputs[1].Parameters["binary_data_size"] != 8 {
			t.Fatalf("%+v of %s, %v", answer, got[:n], err)
		}
		if a, b := got[n:n+8], got[n+8:]; a != doubles(1.5) || !math.IsNaN(math.Float64frombits(binary.LittleEndian.Uint64([]byte(b)))) {
			t.Errorf("%q", got[n:])
		}
	}
}

func TestBinaryThatLies(t *testing.T) {
	url, _ := listen(t, server.AuthLocal, ab...)
	head := func(size, shape string) string {
		return fmt.Sprintf(`{"inputs":[{"name":"x","shape":%s,"datatype":"FP64","parameters":{"binary_data_size":%s}}]}`, shape, size)
	}
	good := head("16", "[1,2]")
	for name, c := range map[string]struct{ head, blob, length string }{
		"a length that is none":         {good, doubles(1, 2), "many"},
		"a negative length":             {good, doubles(1, 2), "-1"},
		"a length over the body's":      {good, doubles(1, 2), "100000"},
		"a length over every number":    {good, doubles(1, 2), "99999999999999999999"},
		"a length within the JSON":      {good, doubles(1, 2), "10"},
		"no length":                     {good, doubles(1, 2), ""},
		"more bytes than there are":     {head("24", "[1,2]"), doubles(1, 2), ""},
		"fewer bytes than there are":    {head("8", "[1,1]"), doubles(1, 2), "+"},
		"a negative size":               {head("-16", "[1,2]"), doubles(1, 2), "+"},
		"a size over every number":      {head("1e30", "[1,2]"), doubles(1, 2), "+"},
		"a shape of more than is there": {head("16", "[5000,2]"), doubles(1, 2), "+"},
		"a shape that overflows":        {head("16", "[9223372036854775807,2]"), doubles(1, 2), "+"},
		"a shape over every number":     {head("16", "[92233720368547758080,2]"), doubles(1, 2), "+"},
		"data and a size":               {strings.Replace(good, `"shape"`, `"data":[1,2],"shape"`, 1), doubles(1, 2), "+"},
		"deep JSON":                     {strings.Repeat("[", 100_000), "", ""},
		"deep data":                     {`{"inputs":[{"name":"x","shape":[1,2],"data":` + strings.Repeat("[", 100_000) + `}]}`, "", ""},
		"one name twice":                {`{"inputs":[],"inputs":[]}`, "", ""},
	} {
		if c.length == "+" {
			c.length = strconv.Itoa(len(c.head))
		}
		headers := []string{"X-A", "b"}
		if c.length != "" {
			headers = []string{lengthHeader, c.length}
		}
		if code, _, got := post(t, url, c.head+c.blob, headers...); code != 400 || !strings.HasPrefix(got, `{"error":`) {
			t.Errorf("%s: %d %.300s", name, code, got)
		}
	}
}

func TestPackedBodiesAreBounded(t *testing.T) {
	url, _ := listen(t, server.AuthLocal, ab...)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	zeros := make([]byte, 1<<20)
	for range 20 { // MiB; the endpoint's bound is 16
		_, _ = w.Write(zeros)
	}
	_ = w.Close()
	if code, _, got := post(t, url, packed.String(), "Content-Encoding", "gzip"); code != 413 || !strings.Contains(got, "unpacked") {
		t.Errorf("%d %.300s", code, got)
	}
	for encoding, body := range map[string]string{"gzip": "not packed", "deflate": packed.String(), "br": "x"} {
		if code, _, got := post(t, url, body, "Content-Encoding", encoding); code != 400 || !strings.HasPrefix(got, `{"error":`) {
			t.Errorf("%s: %d %.300s", encoding, code, got)
		}
	}
}

// FuzzBinary wants every body answered in the protocol's shape.
func FuzzBinary(f *testing.F) {
	f.Add([]byte(binaryHead+doubles(1, 2)), len(binaryHead))
	text := `{"inputs":[{"name":"s","shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":5}}]}`
	f.Add([]byte(text+"\x01\x00\x00\x00x"), len(text))
	url, _ := listen(f, server.AuthLocal, append(append([]model.Field{}, ab...), model.Field{Name: "s", Type: frame.String})...)
	f.Fuzz(func(t *testing.T, body []byte, length int) {
		code, header, got := post(t, url, string(body), lengthHeader, strconv.Itoa(length))
		if n, err := strconv.Atoi(header.Get(lengthHeader)); err == nil && n <= len(got) {
			got = got[:n]
		}
		if code >= 500 || !json.Valid([]byte(got)) {
			t.Errorf("%d %q", code, got)
		}
	})
}
