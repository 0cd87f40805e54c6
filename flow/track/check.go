package track

import (
	"path"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/fault"
)

// Bounds of what is logged. Lengths are in characters.
const (
	maxKey             = 250
	maxParam           = 6000
	maxTag             = 8000
	maxExperimentTag   = 20000
	maxExperimentName  = 500
	maxLocation        = 2048
	maxDatasetName     = 500
	maxDatasetDigest   = 36
	maxDatasetSchema   = 1<<20 - 1
	maxDatasetSource   = 1<<16 - 1
	maxDatasetProfile  = 1<<24 - 1
	maxDatasetTagKey   = 255
	maxDatasetTagValue = 500
	maxDatasets        = 1000 // of a run
	maxLinks           = 1000 // models that a run read or wrote, each
	maxRunName         = 8000
	maxPairsKept       = 20_000 // parameters of a run or model, and again tags
	maxMetricsKept     = 50_000 // metrics of a run or model, by their last values

	// MaxMetrics, MaxPairs and MaxBatch bound one Batch.
	MaxMetrics = 1000
	MaxPairs   = 100 // parameters, and again tags
	MaxBatch   = 1000
)

// checkKey refuses what cannot be the key of a metric, parameter or tag: it is
// a relative path, because some stores make files of it.
func checkKey(what, key string) error {
	switch {
	case key == "":
		return fault.New(fault.Invalid, "a %s needs a key", what)
	case utf8.RuneCountInString(key) > maxKey:
		return fault.New(fault.Invalid, "the key of a %s has %d characters; %d is the most", what, utf8.RuneCountInString(key), maxKey)
	case strings.ContainsFunc(key, odd):
		return fault.New(fault.Invalid, "%q cannot be the key of a %s", key, what).
			Hint("letters, digits, underscore, dash, dot, space, colon and slash may be in a key")
	case path.Clean(key) != key || key == "." || key == ".." || strings.HasPrefix(key, "../") || strings.HasPrefix(key, "/"):
		return fault.New(fault.Invalid, "%q cannot be the key of a %s", key, what).
			Hint("a key is unique as a path: no //, no . or .. between slashes, no slash at an end")
	}
	return nil
}

func odd(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && !strings.ContainsRune("/_.- :", r)
}

// cut bounds a value: one that is too long keeps its beginning.
func cut(value string, most int) string {
	if len(value) <= most {
		return value
	}
	n := 0
	for at := range value {
		if n == most {
			return value[:at]
		}
		n++
	}
	return value
}

func checkLength(what, value string, most int) error {
	if n := utf8.RuneCountInString(value); n > most {
		return fault.New(fault.Invalid, "the %s has %d characters; %d is the most", what, n, most)
	}
	return nil
}

// checkPairs checks parameters or tags, cuts what may be cut, and refuses a
// key that stands twice where once is asked for.
func checkPairs(what string, pairs []Pair, most int, once bool) ([]Pair, error) {
	checked := make([]Pair, len(pairs))
	seen := map[string]bool{}
	for i, p := range pairs {
		if err := checkKey(what, p.Key); err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "%ss[%d]", what, i)
		}
		if once && seen[p.Key] {
			return nil, fault.New(fault.Invalid, "the %s %q stands twice in one call", what, p.Key)
		}
		seen[p.Key] = true
		checked[i] = Pair{p.Key, cut(p.Value, most)}
	}
	return checked, nil
}

func checkMetric(m Metric) error {
	if err := checkKey("metric", m.Key); err != nil {
		return err
	}
	if m.At < 0 {
		return fault.New(fault.Invalid, "the timestamp of metric %q is %d; it is milliseconds since 1970", m.Key, m.At)
	}
	return nil
}

// badNames are the characters that no name of a logged model has, because
// addresses are made of it.
const badNames = `/:.%"'`

func checkModelName(name string) error {
	if strings.ContainsAny(name, badNames) {
		return fault.New(fault.Invalid, "%q cannot be the name of a logged model", name).
			Hint("none of / : . %% and quotes may be in it")
	}
	return checkLength("name of the model", name, maxExperimentName)
}

// checkKept bounds what is kept of one run or model, which is written as a
// whole.
func checkKept(params, tags Pairs, metrics []Metric) error {
	if len(params) > maxPairsKept || len(tags) > maxPairsKept || len(metrics) > maxMetricsKept {
		return fault.New(fault.Invalid, "%d parameters, %d tags and %d metrics are too much", len(params), len(tags), len(metrics)).
			Hint("at most %d, %d and %d have different keys", maxPairsKept, maxPairsKept, maxMetricsKept)
	}
	return nil
}

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][\w-]{0,255}$`)

// checkID refuses what no run or model can have as its id.
func checkID(what, id string) error {
	if !idPattern.MatchString(id) {
		return fault.New(fault.Invalid, "%.100q cannot be the id of a %s", id, what)
	}
	return nil
}
