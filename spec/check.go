package spec

import (
	"fmt"
	"maps"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/robfig/cron/v3"

	"github.com/leat-ai/leat/base/fault"
)

// checker holds a filled spec against the rules of its tags, fills in the
// defaults, and gathers what the spec refers to. It finds the place of a
// mistake by the path of its field; a spec made in code has paths only.
type checker struct {
	*document
	mistakes *mistakes
	refs     []reference
}

// reference is a name that must exist elsewhere in the project.
type reference struct {
	from  *checker
	path  string
	name  string
	kinds []string
}

// bad notes a mistake of a field, unless the field has one already.
func (c *checker) bad(path, format string, args ...any) *fault.Error {
	err := fault.New(fault.Invalid, format, args...)
	if c.failed[path] {
		return err
	}
	c.failed[path] = true
	at, written := c.place(path)
	if !written {
		err.Where = strings.TrimSuffix(fmt.Sprintf("%s %s: %s", c.kind, c.name, path), ": ")
	}
	c.mistakes.put(at, err)
	return err
}

// place finds where a field is written, or the nearest that holds it.
func (c *checker) place(path string) (Position, bool) {
	for {
		if at, ok := c.places[path]; ok {
			return at, true
		}
		if path == "" {
			return Position{}, false
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}

// given tells whether a field is written in the file.
func (c *checker) given(path string) bool {
	_, ok := c.places[path]
	return ok
}

// fields checks a struct and fills in its defaults.
func (c *checker) fields(v reflect.Value, path string) {
	var choices []string
	chosen := 0
	for _, r := range RulesOf(v.Type()) {
		field, at := v.Field(r.index), below(path, r.Name)
		if r.OneOf {
			choices = append(choices, r.Name)
			if c.given(at) || !field.IsZero() || c.failed[at] {
				chosen++
			}
		}
		c.field(field, r, at)
	}
	switch {
	case len(choices) == 0 || chosen == 1 || c.strange[path] || c.failed[path]:
	case chosen == 0:
		c.bad(path, "%s has none of %s", label(path), join(choices)).Hint("give it one")
	default:
		c.bad(path, "%s has %d of %s", label(path), chosen, join(choices)).Hint("it wants exactly one; make several of it")
	}
}

func (c *checker) field(v reflect.Value, r Rules, path string) {
	if c.failed[path] {
		return
	}
	if !v.IsZero() {
		c.filled(v, r, path)
		return
	}
	switch {
	case r.Required && c.given(path):
		c.bad(path, "%s is empty", label(path))
	case r.Required:
		c.bad(path, "%s is missing", label(path)).Hint("add %s: …", r.Name)
	case c.given(path) && v.Kind() != reflect.Struct && (r.Default != "" || r.Min != nil && *r.Min > 0):
		c.bad(path, "%s is zero or empty", label(path)).Hint("leave the line out%s", otherwise(r))
	case v.Kind() == reflect.Struct:
		c.fields(v, path)
	case r.Default != "":
		fill(v, r.Default)
	}
}

func otherwise(r Rules) string {
	if r.Default != "" {
		return " for the default, " + r.Default
	}
	return ""
}

// fill sets a field to the default of its tag. That every default reads is
// proved by a test over all tags.
func fill(v reflect.Value, text string) {
	d := decoder{document: newDocument(""), mistakes: new(mistakes)}
	d.value(scalarNode(text), v, Rules{Scalar: true}, "default")
}

// filled checks a value that is not zero.
func (c *checker) filled(v reflect.Value, r Rules, path string) {
	switch v.Kind() {
	case reflect.Pointer:
		c.filled(v.Elem(), r, path)
	case reflect.Struct:
		c.fields(v, path)
	case reflect.Slice:
		if f, ok := v.Interface().(Features); ok {
			for _, x := range f {
				if at := below(path, x.Name); x.Aggregate != nil {
					c.fields(reflect.ValueOf(x.Aggregate).Elem(), at)
				} else {
					c.expression(x.Expr, at)
				}
			}
			return
		}
		if (r.Required || r.OneOf) && v.Len() == 0 {
			c.bad(path, "%s is empty", label(path))
		}
		for i := range v.Len() {
			c.filled(v.Index(i), r, element(path, i))
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, k := range keys {
			c.filled(v.MapIndex(k), r, below(path, k.String()))
		}
	case reflect.String:
		c.word(v.String(), r, path)
	case reflect.Int, reflect.Int64:
		c.bounds(float64(v.Int()), r, path)
	case reflect.Float64:
		c.bounds(v.Float(), r, path)
	}
}

func (c *checker) bounds(x float64, r Rules, path string) {
	text := strconv.FormatFloat(x, 'f', -1, 64)
	if r.Min != nil && x < *r.Min {
		c.bad(path, "%s is %s, less than %v", label(path), text, *r.Min)
	}
	if r.Max != nil && x > *r.Max {
		c.bad(path, "%s is %s, more than %v", label(path), text, int64(*r.Max))
	}
}

// word checks text against the rules of its field.
func (c *checker) word(s string, r Rules, path string) {
	switch {
	case s == "":
		if !r.Scalar {
			c.bad(path, "%s is empty", label(path))
		}
	case r.Enum != nil && !slices.Contains(r.Enum, s):
		c.bad(path, "%s has no value %s", label(path), quote([]byte(s))).Hint("%s", meant(s, r.Enum))
	case r.Refs != nil:
		c.refs = append(c.refs, reference{c, path, s, r.Refs})
	case r.Gate:
		c.gate(s, path)
	case r.Expr:
		c.expression(s, path)
	case r.Cron:
		c.schedule(s, path)
	case r.Secret:
		c.secret(s, path)
	case r.Location:
		c.location(s, path)
	}
}

func (c *checker) schedule(s, path string) {
	var err error
	// The parser's own handling of a time zone without a space after it ends
	// in a panic.
	if strings.Contains(s, "TZ=") && !strings.Contains(s, " ") {
		err = fault.New(fault.Invalid, "a time zone alone says no time")
	} else {
		_, err = cron.ParseStandard(s)
	}
	if err != nil {
		c.bad(path, "%s is not a schedule: %s", label(path), quote([]byte(s))).
			Hint("write @daily, @every 10m, or five fields: minute, hour, day, month, weekday, as in 0 2 * * *")
	}
}

var (
	secretReference = regexp.MustCompile(`^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$`)
	passwordInURL   = regexp.MustCompile(`://[^/@:\s]*:[^/@\s]+@`)
	resourceName    = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)
	secretName      = regexp.MustCompile(`(?i)(password|passwd|secret|secret_key|access_key|token|api_?key)$`)
	modelReference  = regexp.MustCompile(`^([^@]*)(?:@([A-Za-z0-9_-]+))?$`)
)

func (c *checker) secret(s, path string) {
	if !secretReference.MatchString(s) {
		// The value is not shown: it may be the secret.
		c.bad(path, "%s is not a reference to a secret", label(path)).
			Hint("write env:NAME or file:PATH; a secret itself never stands in a resource file")
	}
}

// secrets refuses settings that are secrets by their name.
func (c *checker) secrets(settings map[string]string, path string) {
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if at := below(path, name); secretName.MatchString(name) {
			c.bad(at, "%s looks like a secret", label(at)).
				Hint("name it by secret: env:NAME or file:PATH; a secret itself never stands in a resource file")
		}
	}
}

func (c *checker) location(s, where string) {
	if passwordInURL.MatchString(s) {
		c.bad(where, "%s has a password in it", label(where)).
			Hint("take it out and name it by secret: env:NAME")
		return
	}
	if _, err := path.Match(s, ""); err != nil && !strings.Contains(s, "://") {
		c.bad(where, "%s is not a valid glob: %s", label(where), quote([]byte(s))).Hint("a [ needs its ]")
	}
}

// scheme checks that an address begins with one of the schemes; "" stands for
// a file.
func (c *checker) scheme(s, path string, schemes ...string) {
	name, _, found := strings.Cut(s, "://")
	if !found {
		name = ""
	}
	if s == "" || slices.Contains(schemes, name) {
		return
	}
	if name == "nats" || name == "kafka" {
		c.bad(path, "%s cannot be %s://: events are read by a Stream", label(path), name).
			Hint("write a Stream with from: %s and keep: lake://…", s)
		return
	}
	var known []string
	for _, s := range schemes {
		if s == "" {
			known = append(known, "a file")
		} else {
			known = append(known, s+"://")
		}
	}
	what := name + "://"
	if name == "" {
		what = "a file"
	}
	c.bad(path, "%s cannot be %s", label(path), what).Hint("it can be %s", join(known))
}

// resource checks a whole spec: its rules, its name, what its kind adds.
func (c *checker) resource(s Spec) {
	c.fields(reflect.ValueOf(s).Elem(), "")
	if name := s.name(); name != "" && !resourceName.MatchString(name) {
		c.bad("name", "%s is not a name", quote([]byte(name))).
			Hint("a name has small letters, digits, - and _, begins with a letter and has at most 63 characters")
	}
	switch s := s.(type) {
	case *Source:
		s.check(c)
	case *FeatureView:
		s.check(c)
	case *Pipeline:
		s.check(c)
	case *Endpoint:
		s.check(c)
	case *Batch:
		s.check(c)
	case *Assistant:
		s.check(c)
	case *Prompt:
		s.check(c)
	case *Stream:
		s.check(c)
	case *Knowledge:
		s.check(c)
	case *Monitor:
		s.check(c)
	case *Trigger:
		s.check(c)
	case *Environment:
		s.check(c)
	case *Model:
		s.check(c)
	case *LLM:
		s.check(c)
	}
}

// Validate fills in the defaults of a spec made in code and checks it alone,
// not what it refers to. Every mistake is reported at once, with the name of
// the resource and the path of the field as its place.
func Validate(s Spec) error {
	c := &checker{document: newDocument(""), mistakes: new(mistakes)}
	c.kind, c.name = s.Kind(), s.name()
	c.resource(s)
	return c.mistakes.err()
}
