package mlflow_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/registry/intake"
	"github.com/leat-ai/leat/flow/registry/mlflow"
	"github.com/leat-ai/leat/guard/egress"
)

// answers is a server that says what it is told to, by path.
type answers map[string]string

func (a answers) start(t testing.TB) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, key := range []string{r.URL.Path + "?" + r.URL.RawQuery, r.URL.Path} {
			if text, ok := a[key]; ok {
				if status, body, ok := strings.Cut(text, "|"); ok && status == "401" {
					w.WriteHeader(http.StatusUnauthorized)
					text = body
				}
				_, _ = io.WriteString(w, text)
				return
			}
		}
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(map[string]string{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no " + r.URL.Path})
	}))
	t.Cleanup(s.Close)
	return "mlflow+" + s.URL
}

const (
	get      = "/api/2.0/mlflow/model-versions/get"
	download = "/api/2.0/mlflow/model-versions/get-download-uri"
	list     = "/api/2.0/mlflow-artifacts/artifacts"
)

func version(more answers) answers {
	all := answers{
		get:      `{"model_version":{"name":"m","version":"1","source":"models:/m-1"}}`,
		download: `{"artifact_uri":"mlflow-artifacts:/0/models/m-1/artifacts"}`,
	}
	for path, text := range more {
		all[path] = text
	}
	return all
}

func TestServersAreNotBelieved(t *testing.T) {
	deep := answers{list: `{"files":[{"path":"again","is_dir":true}]}`}
	for name, c := range map[string]struct {
		answers answers
		kind    fault.Kind
	}{
		"nothing there":           {answers{}, fault.NotFound},
		"not JSON":                {answers{get: "<html>"}, fault.Unavailable},
		"another JSON":            {answers{get: "[]"}, fault.Unavailable},
		"no files":                {version(answers{list: `{}`}), fault.NotFound},
		"folders without end":     {version(deep), fault.Invalid},
		"a name that leads out":   {version(answers{list: `{"files":[{"path":".."}]}`}), fault.Invalid},
		"a name with a backslash": {version(answers{list: `{"files":[{"path":"a\\b"}]}`, list + `/0/models/m-1/artifacts/a\b`: "x"}), fault.Invalid},
		"a name without a file":   {version(answers{list: `{"files":[{"path":"gone"}]}`}), fault.NotFound},
		"twice the same name":     {version(answers{list: `{"files":[{"path":"a"},{"path":"x/a"}]}`, list + "/0/models/m-1/artifacts/a": "x"}), fault.Invalid},
		"files on a disk":         {version(answers{download: `{"artifact_uri":"file:///etc"}`}), fault.Unsupported},
		"files in a bucket":       {version(answers{download: `{"artifact_uri":"s3://user:key@bucket/x?sig=1"}`}), fault.Unsupported},
		"no address":              {version(answers{download: `{}`}), fault.Unsupported},
		"a login":                 {answers{get: "401|who are you"}, fault.Forbidden},
	} {
		t.Run(name, func(t *testing.T) {
			f := mlflow.New(must(egress.Parse("127.0.0.1"))(t))
			_, err := f.Fetch(t.Context(), c.answers.start(t)+"/models/m/1", "")
			if !fault.Is(err, c.kind) {
				t.Fatalf("%v, want %s", err, c.kind)
			}
			for _, told := range []string{"key", "sig="} {
				if strings.Contains(err.Error(), told) {
					t.Errorf("the error tells %q: %v", told, err)
				}
			}
		})
	}
}

// A path that leads upwards is one below the server's artifacts all the same.
func TestAddressesStayBelowTheArtifacts(t *testing.T) {
	asked := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case get:
			_, _ = io.WriteString(w, version(nil)[get])
		case download:
			_, _ = io.WriteString(w, `{"artifact_uri":"mlflow-artifacts://other.example/../../secret"}`)
		default:
			asked = r.URL.Path + "?" + r.URL.RawQuery
		}
	}))
	defer s.Close()
	_, _ = mlflow.New(must(egress.Parse("127.0.0.1"))(t)).Fetch(t.Context(), "mlflow+"+s.URL+"/models/m/1", "")
	if asked != list+"?path=secret" {
		t.Errorf("it asked for %s", asked)
	}
}

func TestSecretsGoToTheServer(t *testing.T) {
	for secret, want := range map[string]string{"": "", "abc": "Bearer abc", "ada:pw": "Basic YWRhOnB3"} {
		got := "none"
		s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") }))
		_, _ = mlflow.New(must(egress.Parse("127.0.0.1"))(t)).Fetch(t.Context(), "mlflow+"+s.URL+"/models/m/1", secret)
		s.Close()
		if got != want {
			t.Errorf("%q was sent as %q", secret, got)
		}
	}
}

func TestAddresses(t *testing.T) {
	f := mlflow.New(egress.Policy{})
	for _, address := range []string{
		"", "mlflow+https://", "https://h/models/m/1", "mlflow+https://h/m/1", "mlflow+https://h/models/", "mlflow+https://h/models/m/x",
		"mlflow+https://h/models/m/0", "mlflow+https://h/models/m@", "mlflow+https://h/models/m/-1", "mlflow+https://h/models/m/1?x=y",
		"mlflow+https://u:p@h/models/m/1", "mlflow+ftp://h/models/m/1", "mlflow+https://h/models/m/1/2",
	} {
		if _, err := f.Fetch(t.Context(), address, ""); !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.Unsupported) {
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, address := range []string{"mlflow+http://127.0.0.1:1/models/m/1", "mlflow+https://localhost:1/models/m@a", "mlflow+https://169.254.169.254/models/m"} {
		if _, err := f.Fetch(t.Context(), address, ""); !fault.Is(err, fault.Forbidden) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"mlflow+https://h/models/m/1", "mlflow+https://h/p/models/m@a", "mlflow+http://h/models/m/latest", "mlflow+https://[::1]/models/m/@x"} {
		f.Add(seed)
	}
	none := mlflow.New(egress.Policy{})
	f.Fuzz(func(t *testing.T, address string) {
		if !strings.HasPrefix(address, "mlflow+http://") { // without TLS nobody is asked
			return
		}
		if got, err := none.Fetch(t.Context(), address, ""); err == nil {
			t.Fatalf("%q gave %v", address, got)
		}
	})
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

var _ intake.Fetcher = (*mlflow.Fetcher)(nil)
