package spec

// Action says what a plan does to a resource.
type Action string

// The actions.
const (
	Create Action = "create"
	Update Action = "update"
	Delete Action = "delete"
)

// Plan is what turns one set of resources into another.
type Plan struct {
	Changes []Change `json:"changes"` // in the order to apply them
}

// Change is what a plan does to one resource.
type Change struct {
	Action Action    `json:"action"`
	Kind   Kind      `json:"kind"`
	Name   string    `json:"name"`
	Fields []Field   `json:"fields,omitempty"` // of an update: what differs
	Old    *Resource `json:"-"`                // nil for a create
	New    *Resource `json:"-"`                // nil for a delete
}

// Field is a difference inside a resource.
type Field struct {
	Path string `json:"path"`          // limits.rate, steps[0].train.seed
	Old  string `json:"old,omitempty"` // JSON; "" where it was absent
	New  string `json:"new,omitempty"` // JSON; "" where it becomes absent
}

// Diff compares two sets of resources, at most one of each kind and name.
// Positions do not count.
func Diff(old, new []Resource) Plan { return Plan{} }

// Empty tells whether there is nothing to do.
func (p Plan) Empty() bool { return len(p.Changes) == 0 }
