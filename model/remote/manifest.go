package remote

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/spec"
)

// FileName is the one file of an artifact.
const FileName = "remote.json"

// The protocols.
const (
	OIP     = "oip"     // Open Inference Protocol v2 over REST
	MLflow  = "mlflow"  // MLflow's scoring server, POST /invocations
	AzureML = "azureml" // Azure ML's online endpoints, POST /score
	OpenAI  = "openai"  // POST /embeddings: a text in, its vector as JSON text out
)

// Manifest is remote.json.
type Manifest struct {
	Version  int    `json:"version"` // 1
	Protocol string `json:"protocol"`
	URL      string `json:"url"` // the server's; the path of the protocol is added
	// Model is its name there, for oip and openai; ModelVersion is that of oip.
	Model        string `json:"model,omitempty"`
	ModelVersion string `json:"model_version,omitempty"`
	// Deployment is asked instead of the endpoint's traffic rules, for azureml.
	Deployment string `json:"deployment,omitempty"`
	// Result is the member of the answer that has the predictions, for
	// azureml, where the usual names are not used.
	Result string `json:"result,omitempty"`
	// Dimensions shortens vectors, for openai.
	Dimensions int  `json:"dimensions,omitempty"`
	Auth       Auth `json:"auth,omitzero"`
	// Timeout is that of one attempt.
	Timeout     spec.Duration `json:"timeout"`
	Attempts    int           `json:"attempts"`
	Concurrency int           `json:"concurrency"`  // calls at once
	MaxRows     int           `json:"max_rows"`     // of one call
	MaxResponse spec.Bytes    `json:"max_response"` // of one call
	// Inputs and Outputs say how columns go as tensors, for oip; where they
	// are absent each column is a tensor of its own.
	Inputs    []Tensor         `json:"inputs,omitempty"`
	Outputs   []Tensor         `json:"outputs,omitempty"`
	Signature model.Signature  `json:"signature"`
	Fallback  *model.Reference `json:"fallback,omitempty"`
}

// Auth says how the server knows who asks.
type Auth struct {
	// Kind is "" for nobody, "bearer" or "header" for a secret, "entra" for a
	// token of Microsoft Entra.
	Kind   string `json:"kind,omitempty"`
	Header string `json:"header,omitempty"` // of kind header: its name
	Secret string `json:"secret,omitempty"` // a reference; of entra that of the client
	Tenant string `json:"tenant,omitempty"`
	Client string `json:"client,omitempty"`
	Scope  string `json:"scope,omitempty"`
}

// The kinds of Auth.
const (
	Bearer = "bearer"
	Header = "header"
	Entra  = "entra"
)

// Tensor is one tensor and the columns that it holds, in the order of the
// signature.
type Tensor struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"` // FP32, INT64, BYTES, …
	// Width is how many columns it holds: with 0 the tensor has the shape [n]
	// and one column, otherwise [n, width].
	Width int `json:"width,omitempty"`
}

func (t Tensor) columns() int { return max(t.Width, 1) }

// Bounds of a manifest.
const (
	maxManifest        = 4 << 20
	defaultTimeout     = 5 * time.Second
	defaultAttempts    = 3
	defaultConcurrency = 16
	defaultRows        = 1000
	defaultResponse    = 64 << 20
	maxRows            = 100_000
	maxConcurrency     = 1024
)

func readManifest(files fs.FS) (m Manifest, err error) {
	f, err := files.Open(FileName)
	if err != nil {
		return m, fault.Wrap(err, fault.Invalid, "a remote model needs the file %s", FileName)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return m, fault.Wrap(err, fault.Corrupt, "%s cannot be read", FileName)
	}
	if len(data) > maxManifest {
		return m, fault.New(fault.TooLarge, "%s is larger than %d bytes", FileName, maxManifest)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, fault.Wrap(err, fault.Invalid, "%s cannot be read", FileName)
	}
	if _, err := d.Token(); err != io.EOF {
		return m, fault.New(fault.Invalid, "%s goes on after its end", FileName)
	}
	return m, m.Check()
}

// Files writes the artifact, the same bytes each time.
func (m Manifest) Files() (map[string][]byte, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "%s cannot be written", FileName)
	}
	return map[string][]byte{FileName: append(text, '\n')}, nil
}

// WithDefaults fills in what is not given.
func (m Manifest) WithDefaults() Manifest {
	m.Version = 1
	or := func(v *int, otherwise int) {
		if *v == 0 {
			*v = otherwise
		}
	}
	if m.Timeout == 0 {
		m.Timeout = spec.Duration(defaultTimeout)
	}
	if m.MaxResponse == 0 {
		m.MaxResponse = defaultResponse
	}
	or(&m.Attempts, defaultAttempts)
	or(&m.Concurrency, defaultConcurrency)
	if m.Protocol == OpenAI {
		or(&m.MaxRows, 256)
		m.Signature = embeddingSignature(m.Signature)
	}
	or(&m.MaxRows, defaultRows)
	if m.Signature.Task == "" {
		m.Signature.Task = model.Custom
	}
	if m.Auth.Kind == Entra && m.Auth.Scope == "" {
		m.Auth.Scope = "https://ml.azure.com/.default"
		if m.Protocol == OpenAI {
			m.Auth.Scope = "https://cognitiveservices.azure.com/.default"
		}
	}
	return m
}

var headerName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,63}$`)

// Check reports every mistake of a manifest.
func (m Manifest) Check() error {
	if m.Version != 1 {
		return fault.New(fault.Unsupported, "%s has version %d, not 1", FileName, m.Version)
	}
	var l fault.List
	bad := func(format string, args ...any) { l.Add(fault.New(fault.Invalid, format, args...)) }
	u, err := url.Parse(m.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.Fragment != "" {
		bad("the address of a model server is not one: it begins with https:// and has no password")
	}
	switch m.Protocol {
	case OIP, OpenAI:
		if m.Model == "" {
			bad("the protocol %s needs the name of the model there", m.Protocol)
		}
	case MLflow, AzureML:
	default:
		bad("the protocol %q is not oip, mlflow, azureml or openai", m.Protocol)
	}
	if m.Timeout <= 0 || m.Attempts < 1 || m.Attempts > 10 || m.MaxRows < 1 || m.MaxRows > maxRows || m.MaxResponse < 1 ||
		m.Concurrency < 1 || m.Concurrency > maxConcurrency || m.Dimensions < 0 {
		bad("a bound is not one: timeout %s, %d attempts of 1 to 10, %d rows, %s, %d calls at once", m.Timeout, m.Attempts, m.MaxRows, m.MaxResponse, m.Concurrency)
	}
	l.Add(m.checkAuth())
	l.Add(checkFields(m.Signature.Inputs, m.Inputs, "input"))
	l.Add(checkFields(m.Signature.Outputs, m.Outputs, "output"))
	if m.Protocol == OpenAI {
		l.Add(checkEmbedding(m.Signature))
	}
	return l.Err()
}

func (m Manifest) checkAuth() error {
	a := m.Auth
	switch a.Kind {
	case "":
		return nil
	case Bearer, Header:
		if a.Secret == "" || (a.Kind == Header) != headerName.MatchString(a.Header) {
			return fault.New(fault.Invalid, "a secret is sent as bearer, or in a header that has a name")
		}
		return nil
	case Entra:
		if a.Scope == "" || a.Secret != "" && (a.Tenant == "" || a.Client == "") {
			return fault.New(fault.Invalid, "a client of Entra has a tenant, a client and a secret")
		}
		return nil
	}
	return fault.New(fault.Invalid, "who asks is shown by bearer, header or entra, not %q", a.Kind)
}

func checkFields(fields []model.Field, tensors []Tensor, what string) error {
	if len(fields) == 0 {
		return fault.New(fault.Invalid, "the model has no %ss", what).Hint("declare them in the Model resource, as %ss: {name: double}", what)
	}
	var l fault.List
	seen := map[string]bool{}
	for _, f := range fields {
		if f.Name == "" || seen[f.Name] || f.Type.Arrow() == nil {
			l.Add(fault.New(fault.Invalid, "the %s %q of type %q", what, f.Name, f.Type))
		}
		seen[f.Name] = true
	}
	total := 0
	for _, t := range tensors {
		if t.Name == "" || t.Width < 0 || !knownDatatype(t.Datatype) {
			l.Add(fault.New(fault.Invalid, "the tensor %q of type %q", t.Name, t.Datatype))
			return l.Err()
		}
		total += t.columns()
	}
	if len(tensors) > 0 && total != len(fields) {
		l.Add(fault.New(fault.Invalid, "the tensors have %d columns, the model %d %ss", total, len(fields), what))
	}
	return l.Err()
}

// standard is the datatype of a column's own tensor.
func standard(t frame.Type) string {
	switch t {
	case frame.Double:
		return "FP64"
	case frame.Bool:
		return "BOOL"
	case frame.String:
		return "BYTES"
	}
	return "INT64" // times are numbers
}

func knownDatatype(name string) bool { return typeOf(name) != "" }

// typeOf is the type of a tensor's values, "" for one that is not carried.
func typeOf(datatype string) frame.Type {
	switch strings.ToUpper(datatype) {
	case "FP64", "FP32", "FP16", "BF16":
		return frame.Double
	case "INT64", "INT32", "INT16", "INT8", "UINT64", "UINT32", "UINT16", "UINT8":
		return frame.Int
	case "BOOL":
		return frame.Bool
	case "BYTES":
		return frame.String
	}
	return ""
}

// tensors are those of the manifest, or one for each column.
func tensors(given []Tensor, fields []model.Field) []Tensor {
	if len(given) > 0 {
		return given
	}
	all := make([]Tensor, len(fields))
	for i, f := range fields {
		all[i] = Tensor{Name: f.Name, Datatype: standard(f.Type)}
	}
	return all
}
