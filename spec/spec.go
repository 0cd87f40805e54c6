// Package spec is the resource language: what may stand in the YAML files of
// a project, with defaults, checks and a JSON Schema.
//
// It stands at the bottom of the house beside base/, so every stage can read
// its own kind. kinds.go has one struct a kind, and is the reference of the
// language. Begin with Load, which reads a folder and reports every mistake
// in it at once, with file, line, column and what was meant; Find and All
// pick specs out of what it returns, Diff says what would change, Of makes a
// resource of a spec made in code, and Format writes YAML.
//
// Promises: reading is bounded in size, depth and number whatever the files
// hold; the canonical JSON of a spec, and so its hash, is the same for the
// same meaning and reads back to the same spec.
package spec
