package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// Kind names a sort of resource.
type Kind string

// The kinds, in the order in which documentation and plans show them.
const (
	KindEnvironment Kind = "Environment"
	KindSource      Kind = "Source"
	KindFeatureView Kind = "FeatureView"
	KindModel       Kind = "Model"
	KindEndpoint    Kind = "Endpoint"
	KindBatch       Kind = "Batch"
	KindStream      Kind = "Stream"
	KindKnowledge   Kind = "Knowledge"
	KindPrompt      Kind = "Prompt"
	KindAssistant   Kind = "Assistant"
	KindMonitor     Kind = "Monitor"
	KindPipeline    Kind = "Pipeline"
	KindTrigger     Kind = "Trigger"
	KindLLM         Kind = "LLM"
)

// Spec is what a resource says: a pointer to one of the structs of kinds.go.
type Spec interface {
	Kind() Kind
	name() string
}

// Kind returns KindEnvironment.
func (s *Environment) Kind() Kind { return KindEnvironment }

func (s *Environment) name() string { return s.Name }

// Kind returns KindSource.
func (s *Source) Kind() Kind { return KindSource }

func (s *Source) name() string { return s.Name }

// Kind returns KindFeatureView.
func (s *FeatureView) Kind() Kind { return KindFeatureView }

func (s *FeatureView) name() string { return s.Name }

// Kind returns KindModel.
func (s *Model) Kind() Kind { return KindModel }

func (s *Model) name() string { return s.Name }

// Kind returns KindEndpoint.
func (s *Endpoint) Kind() Kind { return KindEndpoint }

func (s *Endpoint) name() string { return s.Name }

// Kind returns KindBatch.
func (s *Batch) Kind() Kind { return KindBatch }

func (s *Batch) name() string { return s.Name }

// Kind returns KindMonitor.
func (s *Monitor) Kind() Kind { return KindMonitor }

func (s *Monitor) name() string { return s.Name }

// Kind returns KindPipeline.
func (s *Pipeline) Kind() Kind { return KindPipeline }

func (s *Pipeline) name() string { return s.Name }

// Kinds lists every kind in the order of documentation.
func Kinds() []Kind {
	return []Kind{KindEnvironment, KindSource, KindFeatureView, KindModel,
		KindEndpoint, KindBatch, KindStream, KindKnowledge, KindPrompt, KindAssistant, KindMonitor, KindPipeline, KindTrigger, KindLLM}
}

// New returns an empty spec of a kind, or nil for a kind that does not exist.
func New(kind Kind) Spec {
	switch kind {
	case KindEnvironment:
		return new(Environment)
	case KindSource:
		return new(Source)
	case KindFeatureView:
		return new(FeatureView)
	case KindModel:
		return new(Model)
	case KindEndpoint:
		return new(Endpoint)
	case KindBatch:
		return new(Batch)
	case KindStream:
		return new(Stream)
	case KindKnowledge:
		return new(Knowledge)
	case KindPrompt:
		return new(Prompt)
	case KindAssistant:
		return new(Assistant)
	case KindMonitor:
		return new(Monitor)
	case KindPipeline:
		return new(Pipeline)
	case KindTrigger:
		return new(Trigger)
	case KindLLM:
		return new(LLM)
	}
	return nil
}

// Position is a place in a file of a project; lines and columns begin at 1.
type Position struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// String gives file:line:column, or "" for the zero Position.
func (p Position) String() string {
	if p.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Resource is one document of a project in its canonical form: defaults are
// filled in, names resolved, and Hash names what it says. The spec is shared
// and read-only.
type Resource struct {
	Kind Kind
	Name string
	Spec Spec
	Hash string   // SHA-256, in hex, of the canonical JSON of Spec
	At   Position // where it is written; not part of Hash
}

// Of makes the resource of a spec made in code: it fills in defaults in the
// spec, checks it alone (not what it refers to) and hashes it. Every mistake
// is reported at once, with the path of its field.
func Of(s Spec) (Resource, error) {
	if err := Validate(s); err != nil {
		return Resource{}, err
	}
	return resource(s, Position{}), nil
}

func resource(s Spec, at Position) Resource {
	return Resource{Kind: s.Kind(), Name: s.name(), Spec: s, Hash: Hash(s), At: at}
}

// ID gives Kind/name, unique in a project.
func (r Resource) ID() string { return string(r.Kind) + "/" + r.Name }

// Hash returns the SHA-256, in hex, of the canonical JSON of a spec.
func Hash(s Spec) string {
	sum := sha256.Sum256(canonical(s))
	return hex.EncodeToString(sum[:])
}

type wireResource struct {
	Kind Kind            `json:"kind"`
	Name string          `json:"name"`
	Hash string          `json:"hash"`
	At   Position        `json:"at,omitzero"`
	Spec json.RawMessage `json:"spec"`
}

// MarshalJSON writes the resource with its canonical spec.
func (r Resource) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireResource{r.Kind, r.Name, r.Hash, r.At, canonical(r.Spec)})
}

// UnmarshalJSON reads what MarshalJSON wrote, and refuses a spec that does not
// match its hash.
func (r *Resource) UnmarshalJSON(data []byte) error {
	var w wireResource
	if err := json.Unmarshal(data, &w); err != nil {
		return fault.Wrap(err, fault.Corrupt, "a stored resource is not readable")
	}
	s := New(w.Kind)
	if s == nil {
		return fault.New(fault.Unsupported, "a stored resource is of kind %q, which this version does not know", w.Kind)
	}
	if err := json.Unmarshal(w.Spec, s); err != nil {
		return fault.Wrap(err, fault.Corrupt, "the stored %s %q is not readable", w.Kind, w.Name)
	}
	*r = Resource{Kind: w.Kind, Name: w.Name, Spec: s, Hash: w.Hash, At: w.At}
	if Hash(s) != w.Hash || s.name() != w.Name {
		return fault.New(fault.Corrupt, "the stored %s %q does not match its hash", w.Kind, w.Name)
	}
	return nil
}

// Project is a checked folder of resource files.
type Project struct {
	Environment string     // whose variables were used; "" when none were needed
	Resources   []Resource // by kind in the order of Kinds, then by name
}

// Find returns the spec of the named resource, whose kind is that of S, such
// as Find[*Endpoint](resources, "fraud").
func Find[S Spec](resources []Resource, name string) (S, bool) {
	for _, r := range resources {
		if s, ok := r.Spec.(S); ok && r.Name == name {
			return s, true
		}
	}
	var none S
	return none, false
}

// All returns the specs of one kind in their order, such as
// All[*Source](resources).
func All[S Spec](resources []Resource) []S {
	var all []S
	for _, r := range resources {
		if s, ok := r.Spec.(S); ok {
			all = append(all, s)
		}
	}
	return all
}

// sorted orders resources by kind, then by name.
func sorted(resources []Resource) []Resource {
	slices.SortFunc(resources, func(a, b Resource) int {
		if a.Kind != b.Kind {
			return slices.Index(Kinds(), a.Kind) - slices.Index(Kinds(), b.Kind)
		}
		return strings.Compare(a.Name, b.Name)
	})
	return resources
}
