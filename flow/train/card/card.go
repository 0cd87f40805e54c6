// Package card draws a model version as one HTML page: what it is for, how
// good it is and for whom, what it looks at, what the gates said, where it
// came from.
//
// Write is what to call, with a Card that the caller fills from the version
// and its evaluation report. The page is self-contained: no script, no link to
// anything outside, figures as inline SVG. It allows itself nothing but its
// own style sheet, by a Content-Security-Policy with that sheet's hash, so it
// can be mailed, stored and served anywhere; it follows the reader's light or
// dark setting and prints well.
package card

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/train/evaluate"
	"github.com/leat-ai/leat/model"
)

// Card is what the page shows. Everything but Model and Report may be empty,
// and is then left out.
type Card struct {
	Model       string
	Version     int
	ID          string // content hash
	Aliases     []string
	Description string
	Owner       string
	CreatedAt   time.Time
	CreatedBy   string
	Format      string
	Signature   model.Signature
	Report      *evaluate.Report
	Params      map[string]float64
	Gates       []Gate
	Lineage     []Entry // in the order to show them
}

// Gate is the verdict of one gate.
type Gate struct {
	Gate    string // the expression as written
	Passed  bool
	Reason  string
	Figures map[string]float64 // value of each name in the expression
}

// Entry is a name with what it stands for.
type Entry struct{ Name, Value string }

//go:embed card.html
var page string

//go:embed card.css
var style string

// Write writes the page.
func Write(w io.Writer, c Card) error {
	if c.Report == nil {
		return fault.New(fault.Invalid, "model %s has no evaluation report to draw", c.Model)
	}
	t, err := template.New("card").Funcs(template.FuncMap{
		"metric": number, "percent": percent, "count": count, "short": short,
	}).Parse(page)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "the page of the model card is not a template")
	}
	var out bytes.Buffer // so that a failure writes nothing
	if err := t.Execute(&out, newView(c)); err != nil {
		return fault.Wrap(err, fault.Internal, "the model card cannot be drawn")
	}
	_, err = w.Write(out.Bytes())
	return fault.Wrap(err, fault.KindOf(err), "the model card cannot be written")
}

// policy allows the page its own style sheet, by its hash, and nothing else.
func policy() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
}
