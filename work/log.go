package work

import (
	"context"
	"log/slog"
)

// quiet returns a logger for the library: its records become debug records.
// It reports as errors what is normal here (a run that was cancelled, a call
// that is repeated); what matters comes back as errors of its calls.
func quiet(log *slog.Logger) *slog.Logger {
	return slog.New(quietHandler{log.Handler()})
}

type quietHandler struct{ slog.Handler }

func (h quietHandler) Enabled(ctx context.Context, _ slog.Level) bool {
	return h.Handler.Enabled(ctx, slog.LevelDebug)
}

func (h quietHandler) Handle(ctx context.Context, r slog.Record) error {
	r = r.Clone()
	r.AddAttrs(slog.String("library_level", r.Level.String()))
	r.Level = slog.LevelDebug
	return h.Handler.Handle(ctx, r)
}

func (h quietHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quietHandler{h.Handler.WithAttrs(attrs)}
}

func (h quietHandler) WithGroup(name string) slog.Handler {
	return quietHandler{h.Handler.WithGroup(name)}
}

// span begins a span around a step, where somebody traces.
func (e *Engine) span(ctx context.Context, name string) (context.Context, func(error)) {
	if e.config.Span == nil {
		return ctx, func(error) {}
	}
	return e.config.Span(ctx, name)
}
