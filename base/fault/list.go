package fault

import (
	"errors"
	"fmt"
	"strings"
)

// List gathers mistakes so that all of them are reported at once. The zero
// List is empty and ready to use.
type List struct{ errs []error }

// Add appends err unless it is nil. A List's own error is taken apart.
func (l *List) Add(err error) {
	if err == nil {
		return
	}
	if many, ok := errors.AsType[*Many](err); ok {
		l.errs = append(l.errs, many.Errs...)
		return
	}
	l.errs = append(l.errs, err)
}

// Len returns how many mistakes there are.
func (l *List) Len() int { return len(l.errs) }

// Err returns nil for no mistake, the mistake itself for one, and a *Many for
// more.
func (l *List) Err() error {
	switch len(l.errs) {
	case 0:
		return nil
	case 1:
		return l.errs[0]
	}
	return &Many{Errs: l.errs}
}

// Many is several mistakes of one input, in the order they were found.
type Many struct{ Errs []error }

// Error gives the number of mistakes and each on a line of its own.
func (m *Many) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d mistakes", len(m.Errs))
	for _, err := range m.Errs {
		b.WriteString("\n  " + err.Error())
	}
	return b.String()
}

// Unwrap returns every mistake, for errors.Is and errors.As.
func (m *Many) Unwrap() []error { return m.Errs }

// Each calls f with every single mistake in err: the members of a Many, or
// err itself.
func Each(err error, f func(error)) {
	if many, ok := errors.AsType[*Many](err); ok {
		for _, e := range many.Errs {
			f(e)
		}
		return
	}
	if err != nil {
		f(err)
	}
}
