package track

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"unique"

	"github.com/leat-ai/leat/base/fault"
)

// Pair is a parameter or a tag.
type Pair struct {
	Key   string `json:"k"`
	Value string `json:"v"`
}

// Pairs are parameters or tags, in the order of their keys, each key once.
type Pairs []Pair

func (p Pairs) find(key string) (int, bool) {
	return slices.BinarySearchFunc(p, key, func(a Pair, key string) int { return strings.Compare(a.Key, key) })
}

// Get returns the value of a key.
func (p Pairs) Get(key string) (string, bool) {
	if i, ok := p.find(key); ok {
		return p[i].Value, true
	}
	return "", false
}

// with returns p with a key set.
func (p Pairs) with(key, value string) Pairs {
	i, ok := p.find(key)
	if ok {
		p[i].Value = value
		return p
	}
	return slices.Insert(p, i, Pair{key, value})
}

// without returns p without a key; ok is false when it had none.
func (p Pairs) without(key string) (_ Pairs, ok bool) {
	i, ok := p.find(key)
	if !ok {
		return p, false
	}
	return slices.Delete(p, i, i+1), true
}

// intern lets equal keys share their memory: runs log the same ones over and
// over.
func (p Pairs) intern() {
	for i := range p {
		p[i].Key = unique.Make(p[i].Key).Value()
	}
}

func (p Pairs) withAll(more []Pair) Pairs {
	for _, m := range more {
		p = p.with(m.Key, m.Value)
	}
	return p
}

// Metric is one value of a metric. Model and data set are of metrics that
// tell of a logged model; they are empty otherwise.
type Metric struct {
	Key           string
	Value         float64 // NaN and the infinities are values
	At            int64   // milliseconds since 1970
	Step          int64
	Run           string // that logged it
	Model         string // id of a logged model
	DatasetName   string
	DatasetDigest string
}

// later tells whether m is the one to show of two values of a metric.
func (m Metric) later(than Metric) bool {
	return cmp.Or(cmp.Compare(m.Step, than.Step), cmp.Compare(m.At, than.At), cmp.Compare(bits(m.Value), bits(than.Value))) > 0
}

// storedMetric is a Metric as JSON.
type storedMetric struct {
	Key           string `json:"k"`
	Bits          int64  `json:"b"`
	At            int64  `json:"t"`
	Step          int64  `json:"s,omitempty"`
	Run           string `json:"r,omitempty"`
	DatasetName   string `json:"dn,omitempty"`
	DatasetDigest string `json:"dd,omitempty"`
}

// bits turns a float into an integer that sorts as the floats do, NaN after
// all others: JSON and SQLite know neither NaN nor, in part, the infinities.
func bits(f float64) int64 {
	if math.IsNaN(f) {
		return math.MaxInt64
	}
	b := int64(math.Float64bits(f))
	return b ^ (b>>63)&math.MaxInt64
}

// float is the reverse of bits.
func float(b int64) float64 {
	if b == math.MaxInt64 {
		return math.NaN()
	}
	return math.Float64frombits(uint64(b ^ (b>>63)&math.MaxInt64))
}

func encodeMetrics(metrics []Metric) (string, error) {
	stored := make([]storedMetric, len(metrics))
	for i, m := range metrics {
		stored[i] = storedMetric{m.Key, bits(m.Value), m.At, m.Step, m.Run, m.DatasetName, m.DatasetDigest}
	}
	return encode(stored)
}

// decodeMetrics reads stored metrics. A run or model that they all tell of is
// given rather than stored with each.
func decodeMetrics(text, run, model string) ([]Metric, error) {
	var stored []storedMetric
	if err := decode(text, &stored); err != nil || len(stored) == 0 {
		return nil, err
	}
	metrics := make([]Metric, len(stored))
	for i, m := range stored {
		metrics[i] = Metric{Key: unique.Make(m.Key).Value(), Value: float(m.Bits), At: m.At, Step: m.Step, Run: cmp.Or(run, m.Run), Model: model,
			DatasetName: m.DatasetName, DatasetDigest: m.DatasetDigest}
	}
	return metrics, nil
}

func encode(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), fault.Wrap(err, fault.Invalid, "what is logged cannot be kept")
}

func decode(text string, v any) error {
	return fault.Wrap(json.Unmarshal([]byte(text), v), fault.Corrupt, "a row of the tracking cannot be read")
}

// View says which rows are asked for, by their mark of deletion.
type View int

// The views.
const (
	Active View = iota
	Deleted
	All
)

func (v View) shows(deleted bool) bool { return v == All || deleted == (v == Deleted) }

// Page says which part of a search's answer is asked for.
type Page struct {
	Size  int    // most rows; at least 1
	After string // the token that the page before ended with; "" for the first
}
