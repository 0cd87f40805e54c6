package lightgbm

import (
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/model/tree"
)

// header is what stands above the trees.
type header struct {
	version      string
	outputs      int // num_tree_per_iteration: trees take turns to add to one output each
	classes      int // num_class
	features     int
	objective    string // with its parameters
	average      bool   // a forest: the mean of the trees instead of their sum
	names, infos tokens // of the features
	sizes        *tokens
}

// tail is what stands below the trees.
type tail struct {
	categorical string // indices of the categorical features, as the parameters say
	boosting    string
	pandas      string // JSON
}

// The lines that end the trees. Files of LightGBM 2.0 have only the last ones.
var endings = [...]string{"end of trees", "feature importances:", "feature_importances:", "parameters:"}

// readHeader reads up to the first tree.
func readHeader(l *lines) (*header, error) {
	first, _ := l.next()
	if strings.TrimSpace(first) != "tree" {
		return nil, corrupt("the text does not begin with %q", "tree").At("%s:1", File).
			Hint("a LightGBM model is the text that Booster.save_model writes; its JSON dump and pickles are not read")
	}
	values := map[string]string{}
	for {
		before := l.at
		line, ok := l.next()
		if !ok || strings.HasPrefix(line, "Tree=") || ending(line) {
			l.at = before
			break
		}
		key, value, _ := strings.Cut(line, "=")
		switch key {
		case "version", "num_class", "num_tree_per_iteration", "max_feature_idx", "objective",
			"average_output", "feature_names", "feature_infos", "tree_sizes":
			values[key] = value
		}
	}
	return newHeader(values)
}

func newHeader(values map[string]string) (*header, error) {
	h := &header{
		version: values["version"], objective: values["objective"],
		names: tokens(values["feature_names"]), infos: tokens(values["feature_infos"]),
	}
	switch h.version {
	case "v2", "v3", "v4":
	case "":
		return nil, corrupt("the header has no version").At(File)
	default:
		return nil, fault.New(fault.Unsupported, "the model has the version %.40q; v2, v3 and v4 are read", h.version).At(File)
	}
	_, h.average = values["average_output"]
	if sizes, ok := values["tree_sizes"]; ok {
		h.sizes = (*tokens)(&sizes)
	}
	var err error
	if h.classes, err = headerInt(values, "num_class", 1, tree.MaxOutputs); err != nil {
		return nil, err
	}
	h.outputs = h.classes
	if _, ok := values["num_tree_per_iteration"]; ok {
		if h.outputs, err = headerInt(values, "num_tree_per_iteration", 1, tree.MaxOutputs); err != nil {
			return nil, err
		}
	}
	last, err := headerInt(values, "max_feature_idx", 0, encode.MaxColumns-1)
	if err != nil {
		return nil, err
	}
	h.features = last + 1
	if n := h.names.count(); n != h.features {
		return nil, corrupt("feature_names has %d names where max_feature_idx needs %d", n, h.features).At(File).
			Hint("names hold no spaces; LightGBM itself does not load such a file either")
	}
	return h, nil
}

func headerInt(values map[string]string, key string, least, most int) (int, error) {
	text, ok := values[key]
	if !ok {
		return 0, corrupt("the header has no %s", key).At(File)
	}
	v, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return 0, corrupt("%s is %.40q, not a whole number", key, text).At(File)
	}
	if v < least || v > most {
		return 0, invalid("%s is %d, which is not within %d and %d", key, v, least, most).At(File)
	}
	return v, nil
}

func ending(line string) bool {
	for _, e := range endings {
		if strings.HasPrefix(line, e) {
			return true
		}
	}
	return false
}

// readTrees calls f with the text of each tree, and checks that all of them
// are there: a text that was cut short has no line that ends the trees.
func readTrees(l *lines, h *header, f func(number int, text string) error) error {
	number := 0
	for {
		start := l.at
		line, ok := l.next()
		if !ok {
			return corrupt("the text ends before the trees do").At("tree %d", number).
				Hint("the file was cut short; write or copy it again")
		}
		if ending(line) {
			break
		}
		if !strings.HasPrefix(line, "Tree=") {
			if strings.TrimSpace(line) != "" {
				return corrupt("%.40q stands where a tree is expected", line).At("tree %d", number)
			}
			continue
		}
		fields := l.at
		skipTree(l)
		if err := checkSize(h, number, l.text[start:l.at]); err != nil {
			return err
		}
		if err := f(number, l.text[fields:l.at]); err != nil {
			return err
		}
		number++
	}
	if h.sizes != nil {
		if rest := h.sizes.count(); rest > 0 {
			return corrupt("tree_sizes has %d trees, of which %d are there", number+rest, number).At(File)
		}
	}
	return nil
}

// skipTree goes to the next tree, or to what ends the trees.
func skipTree(l *lines) {
	for {
		before := l.at
		line, ok := l.next()
		if !ok {
			return
		}
		if strings.HasPrefix(line, "Tree=") || ending(line) {
			l.at = before
			return
		}
	}
}

// checkSize compares the length of a tree's text with what the header says.
// Line ends that became "\r\n" on the way are not held against a file, nor is
// the blank line that the oldest ones have behind their last tree.
func checkSize(h *header, number int, text string) error {
	if h.sizes == nil {
		return nil
	}
	word := h.sizes.next()
	if word == "" {
		return corrupt("tree_sizes ends before the trees do").At("tree %d", number)
	}
	want, err := strconv.Atoi(word)
	if err != nil {
		return corrupt("tree_sizes has %.40q, which is not a whole number", word).At("tree %d", number)
	}
	got := len(text) - strings.Count(text, "\r\n")
	last := tokens(*h.sizes)
	if got != want && (got != want+1 || last.next() != "") {
		return corrupt("the text of the tree has %d bytes where tree_sizes says %d", got, want).At("tree %d", number)
	}
	return nil
}

// readTail reads what is known of the rest.
func readTail(l *lines) (*tail, error) {
	t := &tail{}
	inside := false // the parameters
	for {
		line, ok := l.next()
		if !ok {
			break
		}
		switch {
		case line == "parameters:":
			inside = true
		case line == "end of parameters":
			inside = false
		case inside:
			t.parameter(line)
		case strings.HasPrefix(line, pandasKey):
			t.pandas = strings.TrimPrefix(line, pandasKey)
		}
	}
	if inside {
		return nil, corrupt("the text ends within the parameters").At(File).Hint("the file was cut short; write or copy it again")
	}
	return t, nil
}

const pandasKey = "pandas_categorical:"

// parameter reads a line such as "[boosting: gbdt]".
func (t *tail) parameter(line string) {
	line, bracketed := strings.CutPrefix(line, "[")
	line, closed := strings.CutSuffix(line, "]")
	key, value, named := strings.Cut(line, ": ")
	if !bracketed || !closed || !named {
		return
	}
	switch key {
	case "categorical_feature":
		t.categorical = value
	case "boosting":
		t.boosting = value
	}
}
