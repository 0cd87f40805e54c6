// Package refdoc writes the reference pages of docs/reference from the code
// that they are about, so that none of them can say what is not so.
//
// Pages is the one list of them. Names, bounds, defaults and codes come from
// the values that the program itself works with; sentences come from the
// comments beside them. The test of this package compares what is committed
// with what is written now; "go generate ./internal/refdoc" writes it anew.
// The resource language has a writer of its own, package specdoc.
package refdoc

import (
	"fmt"
	"strings"
)

//go:generate go test . -run TestGenerated -update

// Page is a file of docs/reference and what writes it.
type Page struct {
	File  string
	Write func(root string) ([]byte, error) // root is the folder of the repository
}

// Pages lists what this package writes.
func Pages() []Page {
	return []Page{
		{"openapi.json", openAPI},
		{"api.md", apiPage},
		{"cli.md", cliPage},
		{"errors.md", errorsPage},
		{"expressions.md", expressionsPage},
		{"trainers.md", trainersPage},
		{"metrics.md", metricsPage},
		{"measures.md", measuresPage},
		{"tables.md", tablesPage},
	}
}

// page is a Markdown file in the making.
type page struct{ strings.Builder }

func newPage(title, from string) *page {
	p := &page{}
	p.say("# %s\n\n<!-- Written by \"go generate ./internal/refdoc\" from %s; a test compares. -->\n", title, from)
	return p
}

func (p *page) say(format string, args ...any) { fmt.Fprintf(p, format, args...) }

// table begins a table with these heads, after an empty line.
func (p *page) table(heads ...string) {
	p.say("\n| %s |\n|%s\n", strings.Join(heads, " | "), strings.Repeat("---|", len(heads)))
}

// row adds a row; a bar inside a cell would end it.
func (p *page) row(cells ...string) {
	for i, c := range cells {
		cells[i] = strings.ReplaceAll(oneLine(c), "|", `\|`)
	}
	p.say("| %s |\n", strings.Join(cells, " | "))
}

func (p *page) bytes() []byte { return []byte(p.String()) }

func code(text string) string { return "`" + text + "`" }

// codes quotes each of some words.
func codes(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = code(w)
	}
	return strings.Join(quoted, ", ")
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
