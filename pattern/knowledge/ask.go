package knowledge

import (
	"context"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide"
)

// Paths is what the pattern needs of the decision path's router.
type Paths interface {
	Decide(ctx context.Context, endpoint string, q decide.Request) (*decide.Answer, error)
}

// Driver asks assistants questions. It is safe for many goroutines.
type Driver struct {
	paths Paths
}

// NewDriver returns a driver of the live paths.
func NewDriver(paths Paths) *Driver { return &Driver{paths: paths} }

// Ask answers a question for the principal of the context. Faults say why
// there is no answer; that the sources have none is an answer, Abstained.
func (d *Driver) Ask(ctx context.Context, q Question) (Answer, error) {
	return Answer{}, fault.New(fault.Unsupported, "questions are not answered yet")
}
