package backends

import (
	"context"
	"net/http"
	"os"

	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/guard/secret/azure"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/compose"
	"github.com/leat-ai/leat/model/process"
	"github.com/leat-ai/leat/model/remote"
)

// Runtimes is what models of a server may do beyond computing: run programs,
// ask other servers, be made of other models.
type Runtimes struct {
	// Programs says whether models may run programs here; nil: they may.
	Programs func() error
	// Temp is where the folders of programs are; the system's when empty.
	Temp string
	// Log is told of programs that end and begin.
	Log func(line string)
	// Policy says whom models may ask.
	Policy egress.Policy
	// Secret resolves a reference to a secret.
	Secret func(ctx context.Context, reference string) (string, error)
	// Hold returns another version's model until it is released.
	Hold func(ctx context.Context, r model.Reference) (m model.Model, release func(), err error)
}

// Formats lists the model formats of a server: those of every program, and
// those that need a server around them.
func (r Runtimes) Formats() []model.Format {
	all := []model.Format{remote.Format{Config: r.Remote()}, compose.Format{Config: r.Compose()}, process.Format{Config: r.Process()}}
	for _, f := range Formats() {
		if f.Name() != process.FormatName {
			all = append(all, f)
		}
	}
	return all
}

// Remote is the configuration of models on other servers.
func (r Runtimes) Remote() remote.Config {
	tokens := azure.New(azure.Config{})
	return remote.Config{
		Client: func(maxBody int64) *http.Client {
			return egress.Client(r.Policy, egress.Options{MaxBody: maxBody, Redirects: -1})
		},
		Secret: r.Secret, Hold: r.Hold,
		Token: func(ctx context.Context, id remote.Identity, scope string) (string, error) {
			return tokens.Token(ctx, azure.Identity(id), scope)
		},
	}
}

// Process is the configuration of models that are programs.
func (r Runtimes) Process() process.Config {
	return process.Config{Allowed: r.Programs, Python: os.Getenv("LEAT_WORKER_PYTHON"), Temp: r.Temp, Log: r.Log}
}

// Compose is the configuration of models that are made of others.
func (r Runtimes) Compose() compose.Config { return compose.Config{Hold: r.Hold} }
