// Package spec is the resource language: what may stand in the YAML files of
// a project, with defaults, checks and a JSON Schema.
//
// It stands at the bottom of the house beside base/, so every stage can read
// its own kind. Load a folder with Load; every mistake in it is reported at
// once, with file, line, column and what was meant. kinds.go has one struct a
// kind, and is the reference of the language.
package spec
