package app

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/leat-ai/leat/backends"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/guard/secret"
	"github.com/leat-ai/leat/model"
)

// newRuntimes says what the models of this server may do.
func (a *App) newRuntimes() (backends.Runtimes, error) {
	policy, err := egress.Parse(a.config.Egress)
	if err != nil {
		return backends.Runtimes{}, err
	}
	// What a former process left, that had no time to end its programs.
	workers := filepath.Join(a.scratch(), "workers")
	if err := errors.Join(os.RemoveAll(workers), os.MkdirAll(workers, 0o700)); err != nil {
		return backends.Runtimes{}, fault.Wrap(err, fault.Unavailable, "there is no folder for programs of models")
	}
	return backends.Runtimes{
		Programs: a.programs, Temp: workers, Log: func(line string) { a.log.Warn(line) },
		Policy: policy, Secret: resolveSecret(secret.NewResolver(nil)), Hold: a.hold,
	}, nil
}

// programs says whether models may be programs: where the operator said so,
// and where only this machine is listened to. A server that others reach runs
// no code of a model without being told to.
func (a *App) programs() error {
	if a.config.AllowProcess || a.config.Silent || loopback(a.config.Server.Listen) {
		return nil
	}
	return fault.New(fault.Forbidden, "models that are programs do not run on this server, which others can reach").
		Hint("start it with --allow-process if who may apply here may run programs here")
}

// loopback tells whether an address to listen on is this machine's alone.
func loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// hold holds a version that another one is made of. That the id is the same
// is what pins the part: a registry that was restored from elsewhere may have
// another version of the number.
func (a *App) hold(ctx context.Context, r model.Reference) (model.Model, func(), error) {
	v, err := a.registry.Version(ctx, r.Model, strconv.Itoa(r.Version))
	if err != nil {
		return nil, nil, err
	}
	if v.ID != r.ID {
		return nil, nil, fault.New(fault.Corrupt, "version %d of model %s is not the one that is referred to", r.Version, r.Model).
			Hint("the registry was replaced or restored from elsewhere; apply again")
	}
	return a.registry.Hold(ctx, v)
}
