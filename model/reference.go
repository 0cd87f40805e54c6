package model

import "fmt"

// Reference names a version of another model that a model is made of: its
// fallback, or a part of its graph. The id is the version's content hash, so
// that who holds a version holds what it refers to.
type Reference struct {
	Model   string `json:"model"`
	Version int    `json:"version"`
	ID      string `json:"id"`
}

// String gives model@version.
func (r Reference) String() string { return fmt.Sprintf("%s@%d", r.Model, r.Version) }
