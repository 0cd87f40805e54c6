package app

import (
	"context"
	"path/filepath"

	"github.com/leat-ai/leat/backends"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/guard/secret"
)

// openBus reads which brokers there are. The bus within the process starts
// when the first stream or trigger asks for it, unless others are to connect
// to it: a server without streams does not pay for one.
func (a *App) openBus(ctx context.Context) (func(context.Context) error, error) {
	policy, err := egress.Parse(a.config.Egress)
	if err != nil {
		return nil, err
	}
	root, err := filepath.Abs(a.config.Project)
	if err != nil {
		return nil, err
	}
	a.buses, err = backends.NewBuses(backends.BusConfig{
		Root: root, Brokers: a.config.Bus, Folder: filepath.Join(a.config.Home, "bus"),
		Policy: policy, Secret: resolveSecret(secret.NewResolver(nil)),
	})
	if err != nil {
		return nil, err
	}
	if err := a.buses.Start(ctx); err != nil {
		return nil, err
	}
	return func(context.Context) error { return a.buses.Close() }, nil
}
