package spec

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/frame"
)

// What each kind asks for beyond the rules of its tags, and the defaults that
// depend on other fields.

func (s *Source) check(c *checker) {
	c.scheme(s.From, "from", "", "s3", "azblob", "postgres", "postgresql", "https", "http")
	database := regexp.MustCompile(`^postgres(ql)?://`).MatchString(s.From)
	switch {
	case database && s.Query == "" && !c.failed["query"]:
		c.bad("from", `"from" is a database, and there is no query`).Hint(`add a field like query: "select * from orders"`)
	case !database && s.Query != "" && s.From != "":
		c.bad("query", `"query" is for databases, and "from" is none`)
	}
	if s.Delimiter != "" && (utf8.RuneCountInString(s.Delimiter) != 1 || s.Delimiter == "\n" || s.Delimiter == `"`) {
		c.bad("delimiter", `"delimiter" is not one character: %s`, quote([]byte(s.Delimiter))).Hint(`write "," or ";" or "\t"`)
	}
	c.secrets(s.Options, "options")
	if len(s.Schema) == 0 {
		return
	}
	t := newTable(s.Name, s.Schema)
	for i, src := range s.Expect {
		path := element("expect", i)
		if typ, ok := c.bind(src, path, t); ok && typ != frame.Bool {
			c.bad(path, "%s is a %s, not true or false", label(path), typ).Hint("compare it with something, as in %s > 0", src)
		}
	}
}

func (p *Pipeline) check(c *checker) {
	var trained *TrainStep
	for i, step := range p.Steps {
		at := element("steps", i)
		switch {
		case step.Train != nil:
			step.Train.check(c, below(at, "train"))
			trained = step.Train
		case step.Evaluate != nil:
			step.Evaluate.check(c, below(at, "evaluate"))
		case step.Gate != nil && trained != nil:
			for k, gate := range step.Gate {
				trained.measures(c, gate, element(below(at, "gate"), k))
			}
		case step.Gate != nil:
			c.bad(below(at, "gate"), "a gate stands before any train step: there is no candidate to judge").Hint("put it after the train step")
		case step.Register != nil && trained == nil:
			c.bad(below(at, "register"), "register stands before any train step: there is no candidate to register").Hint("put it after the train step")
		}
	}
}

func (t *TrainStep) check(c *checker, at string) {
	if t.Trainer == "command" && len(t.Command) == 0 {
		c.bad(below(at, "trainer"), "the trainer command has no command").Hint("add a field like command: [python3, train.py]")
	}
	if t.Trainer != "command" && len(t.Command) > 0 {
		c.bad(below(at, "command"), "%s is for the trainer command, not %s", label(below(at, "command")), t.Trainer).Hint("add trainer: command")
	}
	if t.Trainer == "import" && t.From == "" {
		c.bad(below(at, "trainer"), "the trainer import does not say which model").Hint("add a field like from: models/churn.ubj")
	}
	if t.Trainer != "import" && t.From != "" {
		c.bad(below(at, "from"), "%s is for the trainer import, not %s", label(below(at, "from")), t.Trainer).Hint("add trainer: import")
	}
	if t.Split.By != "" && t.Split.Every != 0 {
		c.bad(below(at, "split"), "%s has both by and every", label(below(at, "split"))).Hint("keep one of them")
	}
	if t.Split.Test >= 1 {
		c.bad(below(at, "split.test"), "%s leaves no row to learn from", label(below(at, "split.test")))
	}
	if x, err := strconv.ParseFloat(t.Threshold, 64); t.Threshold != "f1" && (err != nil || !(x >= 0 && x <= 1)) {
		c.bad(below(at, "threshold"), "%s is %s", label(below(at, "threshold")), quote([]byte(t.Threshold))).
			Hint("write f1 or a number between 0 and 1")
	}
	for _, name := range slices.Sorted(maps.Keys(t.Monotone)) {
		if t.Monotone[name] == 0 {
			c.bad(below(at, "monotone."+name), "%s is 0", label(below(at, "monotone."+name))).Hint("write 1 or -1, or leave it out")
		}
	}
}

// measures checks that a gate asks only for slices that the training reports.
func (t *TrainStep) measures(c *checker, gate, path string) {
	e, err := expr.Parse(gate)
	if err != nil {
		return // reported already
	}
	for _, r := range e.Refs() {
		if r.Over != "" && !slices.Contains(t.Slices, r.Column) {
			c.bad(path, "the gate asks for %s, but the train step reports no slices by %s", quote([]byte(r.Name)), quote([]byte(r.Column))).
				Hint("add %s to slices of the train step", r.Column)
		}
	}
}

func (e *Endpoint) check(c *checker) {
	if e.SLO.Availability == 1 {
		c.bad("slo.availability", "nothing is available 100 %% of the time").Hint("write what you can keep, such as 99.9%%")
	}
	if e.Decide.OnAbove != "" && e.Decide.OnAbove == e.Decide.OnBelow {
		c.bad("decide.on_below", "both sides of the threshold decide %s", quote([]byte(e.Decide.OnAbove)))
	}
}

func (b *Batch) check(c *checker) {
	c.scheme(b.From, "from", "", "lake", "s3", "azblob")
	c.scheme(b.To, "to", "", "lake", "s3", "azblob")
	lake := regexp.MustCompile(`^lake://([A-Za-z_][A-Za-z0-9_-]*)(@\d+)?$`)
	for _, f := range []struct {
		path, value string
		snapshot    bool
	}{{"from", b.From, true}, {"to", b.To, false}} {
		if len(f.value) < 7 || f.value[:7] != "lake://" {
			continue
		}
		m := lake.FindStringSubmatch(f.value)
		switch {
		case m == nil:
			c.bad(f.path, "%s is not a table of the lake: %s", label(f.path), quote([]byte(f.value))).Hint("write lake://table or lake://table@snapshot")
		case m[2] != "" && !f.snapshot:
			c.bad(f.path, "%s names a snapshot, which cannot be written to", label(f.path)).Hint("write lake://%s", m[1])
		}
	}
}

// The thresholds over which a signal fires when it gives none.
const (
	abovePSI       = 0.2
	aboveMissing   = 0.1
	aboveNew       = 0.05
	aboveSkew      = 0.01
	aboveFreshness = 3600
)

func (m *Monitor) check(c *checker) {
	if len(m.Signals) == 0 && !c.failed["signals"] {
		m.Signals = []Signal{{PSI: "*"}, {PSI: "prediction"}, {Missing: "*"}, {New: "*"}}
	}
	for i := range m.Signals {
		s := &m.Signals[i]
		if s.Above != nil {
			continue
		}
		above := abovePSI
		switch {
		case s.Missing != "":
			above = aboveMissing
		case s.New != "":
			above = aboveNew
		case s.Skew != "":
			above = aboveSkew
		case s.Freshness != "":
			above = aboveFreshness
		}
		s.Above = &above
	}
}

func (e *Environment) check(c *checker) {
	c.scheme(e.Server, "server", "http", "https")
	name := regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	c.secrets(e.Vars, "vars")
	for _, v := range slices.Sorted(maps.Keys(e.Vars)) {
		if !name.MatchString(v) {
			c.bad(below("vars", v), "%s is not the name of a variable", quote([]byte(v))).Hint("use letters, digits and _")
		}
	}
}
