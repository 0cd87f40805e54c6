package spec

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// What a Model asks for beyond the rules of its tags.

// Declared tells whether an apply registers a version of the model.
func (m *Model) Declared() bool { return m.Remote != nil || m.Process != nil || m.Compose != nil }

// Parts are the models that the model is made of, as written; a fallback is
// one of them.
func (m *Model) Parts() []string {
	var parts []string
	if m.Remote != nil && m.Remote.Fallback != "" {
		parts = append(parts, m.Remote.Fallback)
	}
	if c := m.Compose; c != nil {
		parts = slices.Concat(parts, c.Sequence, c.Average)
		for _, s := range c.Switch {
			parts = append(parts, s.Model)
		}
	}
	return parts
}

const defaultAlias = "champion"

var aliasName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,63}$`)

func (m *Model) check(c *checker) {
	ways := 0
	for _, given := range []bool{m.Remote != nil, m.Process != nil, m.Compose != nil} {
		if given {
			ways++
		}
	}
	if ways > 1 {
		c.bad("", "Model %q is declared in %d ways", m.Name, ways).Hint("keep one of remote, process and compose")
	}
	switch {
	case m.Declared() && m.Alias == "":
		m.Alias = defaultAlias
	case m.Declared() && (!aliasName.MatchString(m.Alias) || m.Alias == "latest"):
		c.bad("alias", "%s cannot be an alias", quote([]byte(m.Alias))).Hint("use a word such as champion")
	case !m.Declared():
		for field, given := range map[string]bool{"inputs": len(m.Inputs) > 0, "outputs": len(m.Outputs) > 0, "task": m.Task != "",
			"classes": len(m.Classes) > 0, "alias": m.Alias != ""} {
			if given {
				c.bad(field, "%s is for models that are declared, and this one is trained or imported", label(field)).
					Hint("add remote, process or compose")
			}
		}
	}
	m.checkTask(c)
	if m.Remote != nil {
		m.Remote.check(c)
	}
	if m.Process != nil {
		m.Process.check(c)
	}
	if m.Compose != nil {
		m.checkCompose(c)
	}
}

func (m *Model) checkTask(c *checker) {
	if m.Task == "" && len(m.Classes) > 0 {
		c.bad("classes", `"classes" belong to a task`).Hint("add task: binary or task: multiclass")
	}
	switch n := len(m.Classes); {
	case m.Task == "binary" && n != 2:
		c.bad("task", "a binary model has 2 classes, not %d", n).Hint("add classes: [no, yes], the positive one last")
	case m.Task == "multiclass" && n < 3:
		c.bad("task", "a multiclass model has 3 classes or more, not %d", n).Hint("add classes: [a, b, c]")
	case m.Task == "regression" && n != 0:
		c.bad("classes", "a regression has no classes")
	}
}

func (r *Remote) check(c *checker) {
	c.scheme(r.URL, "remote.url", "https", "http")
	only := func(field string, given bool, protocols ...string) {
		if given && !slices.Contains(protocols, r.Protocol) && r.Protocol != "" {
			at := below("remote", field)
			c.bad(at, "%s is for %s, not %s", label(at), join(protocols), r.Protocol)
		}
	}
	only("model", r.Model != "", "oip", "openai")
	only("version", r.Version != "", "oip")
	only("tensor", r.Tensor != "", "oip")
	only("deployment", r.Deployment != "", "azureml")
	only("result", r.Result != "", "azureml")
	only("dimensions", r.Dimensions != 0, "openai")
	if (r.Protocol == "oip" || r.Protocol == "openai") && r.Model == "" {
		c.bad("remote.model", "the protocol %s needs the name of the model there", r.Protocol).Hint("add model: …")
	}
	if r.Entra != nil && (r.Secret != "" || r.Header != "") {
		c.bad("remote.entra", "who asks is shown in two ways").Hint("keep secret or entra")
	}
	if r.Header != "" && r.Secret == "" {
		c.bad("remote.header", "there is a header for a secret, and no secret").Hint("add secret: env:NAME")
	}
	if e := r.Entra; e != nil && e.Secret != "" && (e.Tenant == "" || e.Client == "") {
		c.bad("remote.entra", "a client of Entra with a secret has a tenant and a client too")
	}
}

func (p *Process) check(c *checker) {
	if strings.Contains(p.From, "://") {
		c.bad("process.from", "%s is not a folder of the project", label("process.from"))
	}
	if path.Ext(p.From) == ".py" && p.Function != "" {
		c.bad("process.function", "from is a file already").Hint("leave function out, or name the folder as from")
	}
	if len(p.Command) > 0 && (p.Function != "" || p.Python != "" || path.Ext(p.From) == ".py") {
		c.bad("process.command", "a command stands beside a Python function").Hint("keep one of them")
	}
}

func (m *Model) checkCompose(c *checker) {
	if len(m.Outputs) > 0 || m.Task != "" {
		c.bad("compose", "a composition answers what its models answer").Hint("leave out outputs, task and classes")
	}
	if len(m.Inputs) > 0 && len(m.Compose.Switch) == 0 {
		c.bad("inputs", "a composition reads what its models read").Hint("leave inputs out; only the conditions of a switch may read more")
	}
	if n := len(m.Compose.Weights); n > 0 && n != len(m.Compose.Average) {
		c.bad("compose.weights", "there are %d weights for %d models of an average", n, len(m.Compose.Average))
	}
	for i, s := range m.Compose.Switch {
		at := element("compose.switch", i)
		switch last := i == len(m.Compose.Switch)-1; {
		case last && s.When != "":
			c.bad(below(at, "when"), "the last case has a condition, so that some rows would have no model").Hint("add a case with a model alone")
		case !last && s.When == "":
			c.bad(at, "the case has no condition, so that those after it would have no rows").Hint("add when: …, or put it last")
		}
	}
}

// cycles reports models that are made of themselves. A part of a fixed version
// is there already, so it cannot be one of those that the project declares.
func (l *loader) cycles() {
	parts := map[string][]string{}
	for _, x := range l.checked {
		if m, ok := x.spec.(*Model); ok {
			for _, p := range m.Parts() {
				if name, ref, _ := strings.Cut(p, "@"); ref == "" || !isNumber(ref) {
					parts[m.Name] = append(parts[m.Name], name)
				}
			}
		}
	}
	const open, done = 1, 2
	state := map[string]int{}
	var visit func(name string) bool // tells whether a cycle was met
	visit = func(name string) bool {
		switch state[name] {
		case open:
			return true
		case done:
			return false
		}
		state[name] = open
		defer func() { state[name] = done }()
		return slices.ContainsFunc(parts[name], visit)
	}
	for _, x := range l.checked {
		if m, ok := x.spec.(*Model); ok && state[m.Name] == 0 && visit(m.Name) {
			x.bad("", "Model %q is made of itself", m.Name).Hint("follow its compose and fallback: a model cannot be its own part")
		}
	}
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
