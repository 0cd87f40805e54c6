package app

import (
	"context"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/surface/compat/oip"
	"github.com/leat-ai/leat/surface/server"
)

// openGRPC listens for gRPC beside HTTP. Where nobody asked for it, a port
// that something else has is no reason not to serve.
func (a *App) openGRPC(ctx context.Context) (func(context.Context) error, error) {
	if a.config.GRPC == "" || a.config.Silent {
		return nil, nil
	}
	g, err := server.NewGRPC(a.server, a.config.GRPC)
	if err != nil {
		return nil, err
	}
	oip.RegisterGRPC(g, a.inference)
	err = g.Start(ctx)
	if err != nil && a.config.GRPCOptional && fault.Is(err, fault.Unavailable) {
		a.log.Warn("gRPC is off", "error", err)
		return nil, g.Stop(ctx)
	}
	if err != nil {
		return nil, err
	}
	a.grpc = g
	return g.Stop, nil
}

// GRPC is host:port of where the app listens for gRPC, or "".
func (a *App) GRPC() string {
	if a.grpc == nil {
		return ""
	}
	return a.grpc.Address()
}
