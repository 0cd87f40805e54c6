package spec

import _ "embed"

//go:generate go test ../internal/specdoc -run TestGenerated -update

//go:embed schema.json
var schema []byte

// Schema returns the JSON Schema (draft 2020-12) of one resource document, for
// editors. It is generated from the structs of kinds.go.
func Schema() []byte { return append([]byte(nil), schema...) }
