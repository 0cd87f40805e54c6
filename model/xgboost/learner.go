package xgboost

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/model/tree"
)

// learner is what a model file says, its trees built already.
type learner struct {
	version    string
	names      []string // of features; empty when the file has none
	types      []string // of features; "c" is categorical
	attributes map[string]string
	objective  string
	booster    string
	features   int
	classes    int // 0 when the objective has none
	targets    int
	base       []float32 // as the file has it: before the link, one or one for each output
	drop       []float32 // of dart: the weight of each tree
	groups     []int32   // of each tree, its output
	forest     forest
	weights    []float32 // of gblinear: by feature and output, those of the bias last
	categories []categories
}

// Bounds of what is kept of attributes, which are free text.
const (
	mostAttributes = 32
	longAttribute  = 200
)

// read reads a whole model.
func (d *document) read() (*learner, error) {
	l := &learner{targets: 1, attributes: map[string]string{}}
	if err := d.object(l.member(d)); err != nil {
		return nil, err
	}
	if t, err := d.lex.next(); err != nil {
		return nil, err
	} else if t.kind != end {
		return nil, malformed(d.lex.offset(), "there is more behind its end")
	}
	return l, nil
}

// member reads the outermost members. What Booster.serialize writes has the
// model one level further in.
func (l *learner) member(d *document) func(string) error {
	return func(name string) error {
		switch name {
		case "version":
			return d.ofVersion(l)
		case "Model":
			return d.object(l.member(d))
		case "learner":
			return d.object(func(name string) error { return l.learnerMember(d, name) })
		}
		return d.skip()
	}
}

func (d *document) ofVersion(l *learner) error {
	parts, err := d.ints(nil)
	if err != nil {
		return err
	}
	words := make([]string, 0, 3)
	for _, p := range parts[:min(3, len(parts))] {
		words = append(words, strconv.Itoa(int(p)))
	}
	l.version = strings.Join(words, ".")
	return nil
}

func (l *learner) learnerMember(d *document, name string) (err error) {
	switch name {
	case "attributes":
		return d.object(func(name string) error { return l.attribute(d, name) })
	case "feature_names":
		l.names, err = d.texts()
	case "feature_types":
		l.types, err = d.texts()
	case "gradient_booster":
		return d.object(func(name string) error { return l.boosterMember(d, name) })
	case "learner_model_param":
		return d.object(func(name string) error { return l.param(d, name) })
	case "objective":
		return d.object(func(name string) error {
			if name != "name" {
				return d.skip()
			}
			l.objective, err = d.text()
			return err
		})
	default:
		return d.skip()
	}
	return err
}

func (l *learner) attribute(d *document, name string) error {
	value, err := d.text()
	if err == nil && len(l.attributes) < mostAttributes && len(name)+len(value) < longAttribute {
		l.attributes[name] = value
	}
	return err
}

// texts reads an array of strings, one for each feature.
func (d *document) texts() ([]string, error) {
	var texts []string
	err := d.array(func(t token) error {
		if t.kind != text {
			return d.wrong(t, "a string")
		}
		if len(texts) == encode.MaxColumns {
			return d.invalid("there are more than %d features", encode.MaxColumns)
		}
		texts = append(texts, string(t.text))
		return nil
	})
	return texts, err
}

func (l *learner) param(d *document, name string) (err error) {
	switch name {
	case "base_score":
		l.base, err = d.baseScore()
	case "num_class":
		l.classes, err = d.count(tree.MaxOutputs)
	case "num_target":
		l.targets, err = d.count(tree.MaxOutputs)
	case "num_feature":
		l.features, err = d.count(encode.MaxColumns)
	default:
		return d.skip()
	}
	return err
}

// baseScore reads a number, or several in brackets, that stand in quotes.
func (d *document) baseScore() ([]float32, error) {
	s, err := d.text()
	if err != nil {
		return nil, err
	}
	parts := strings.Split(strings.Trim(s, "[]"), ",")
	if len(parts) > tree.MaxOutputs {
		return nil, d.invalid("it has %d numbers, more than %d", len(parts), tree.MaxOutputs)
	}
	scores := make([]float32, len(parts))
	for i, part := range parts {
		v, err := strconv.ParseFloat(strings.TrimSpace(part), 32)
		if err != nil {
			return nil, d.invalid("%q is not a number", shorten(part))
		}
		scores[i] = float32(v)
	}
	return scores, nil
}

// boosterMember reads what a booster has. That of dart has a gbtree inside.
func (l *learner) boosterMember(d *document, name string) (err error) {
	switch name {
	case "name":
		var booster string
		if booster, err = d.text(); l.booster != "dart" {
			l.booster = booster
		}
	case "gbtree":
		return d.object(func(name string) error {
			if name == "name" {
				return d.skip()
			}
			return l.boosterMember(d, name)
		})
	case "weight_drop":
		l.drop, err = d.floats(nil)
	case "model":
		return d.object(func(name string) error { return l.modelMember(d, name) })
	default:
		return d.skip()
	}
	return err
}

func (l *learner) modelMember(d *document, name string) (err error) {
	switch name {
	case "weights":
		l.weights, err = d.floats(nil)
	case "tree_info":
		l.groups, err = d.ints(nil)
	case "cats":
		l.categories, err = d.cats()
	case "trees":
		l.forest = forest{}
		return d.array(func(t token) error {
			if t.kind != objectOpen {
				return d.wrong(t, "a tree")
			}
			d.path[len(d.path)-1] = fmt.Sprintf("trees[%d]", len(l.forest.nodes))
			defer func() { d.path[len(d.path)-1] = "trees" }()
			return l.forest.read(d)
		})
	default:
		return d.skip()
	}
	return err
}
