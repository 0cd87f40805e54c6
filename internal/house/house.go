// Package house keeps the shape of the source tree: which folder may import
// which, where drivers of third parties may stand, what every package says
// of itself, and that docs/architecture.md draws what is there.
//
// It has only tests. The rules are tables with their reasons (rules_test.go),
// written to be read by people; change one together with
// docs/architecture.md, and with a page in docs/decisions/ that says why.
package house
