package spec

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/leat-ai/leat/base/fault"
)

// vars are what ${name} stands for. Only the text of one value is replaced,
// after the document was read, so a variable can never add a field or a
// document.
type vars struct {
	environment string            // the chosen one, "" for none
	choices     []string          // all of them
	values      map[string]string // nil: nothing may be substituted here
}

// substitute replaces every ${name} in a scalar; $${ stands for ${.
func (d *decoder) substitute(n *yaml.Node, path string) (string, bool) {
	if d.vars == nil || !strings.Contains(n.Value, "${") {
		return n.Value, true
	}
	var b strings.Builder
	rest := n.Value
	for {
		head, tail, found := strings.Cut(rest, "${")
		if !found {
			b.WriteString(rest)
			return b.String(), true
		}
		if escaped, ok := strings.CutSuffix(head, "$"); ok {
			b.WriteString(escaped + "${")
			rest = tail
			continue
		}
		name, after, closed := strings.Cut(tail, "}")
		if !closed {
			d.fail(n, path, "%s has ${ without }", label(path)).Hint("write $${ for the two characters themselves")
			return "", false
		}
		value, ok := d.vars.values[name]
		if !ok {
			d.noVariable(n, path, name)
			return "", false
		}
		b.WriteString(head + value)
		rest = after
	}
}

func (d *decoder) noVariable(n *yaml.Node, path, name string) {
	v := d.vars
	err := d.fail(n, path, "%s uses the variable %s, which is not known", label(path), quote([]byte(name)))
	switch {
	case v.environment != "":
		if best := fault.Nearest(name, slices.Sorted(maps.Keys(v.values))); best != "" {
			err.Hint("did you mean %q?", best)
			return
		}
		err.Hint("add it to vars of Environment %q", v.environment)
	case len(v.choices) > 1:
		err.Hint("say which environment is meant: %s", join(v.choices))
	default:
		err.Hint("add an Environment whose vars have it")
	}
}

// chooseVars picks the environment that a project is read for.
func chooseVars(environments []*Environment, wanted string, m *mistakes) *vars {
	v := &vars{}
	for _, e := range environments {
		v.choices = append(v.choices, e.Name)
	}
	if wanted == "" && len(environments) == 1 {
		wanted = environments[0].Name
	}
	for _, e := range environments {
		if e.Name == wanted {
			v.environment, v.values = e.Name, e.Vars
		}
	}
	if wanted != "" && v.environment == "" {
		m.add(Position{}, fault.NotFound, "the project has no Environment %s", quote([]byte(wanted))).
			Hint("%s", meant(wanted, v.choices))
	}
	return v
}
