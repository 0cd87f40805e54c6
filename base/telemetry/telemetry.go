// Package telemetry is how Leat speaks of itself while it runs: metrics for
// Prometheus, traces over OTLP, logs as structured lines.
//
// New gives one Telemetry per process, which the other packages are handed;
// there are no package variables to register with. Instruments are made once,
// at start, and are safe for many goroutines. A nil *Telemetry and the
// instruments it makes do nothing, so that code under test needs none.
package telemetry

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/leat-ai/leat/base/fault"
)

// Config says where the signals go.
type Config struct {
	Version string
	// OTLP is the address of a collector that takes traces over gRPC:
	// https://host:port, http://host:port without TLS, or host:port with it.
	// None are made when it is empty.
	OTLP   string
	Sample float64      // share of traces kept; 1 when 0
	Logger *slog.Logger // discards when nil
}

// Telemetry makes instruments and shows them.
type Telemetry struct {
	registry *prometheus.Registry
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	log      *slog.Logger
}

// New starts telemetry. Close ends it.
func New(ctx context.Context, c Config) (*Telemetry, error) {
	t := &Telemetry{registry: prometheus.NewRegistry(), log: c.Logger}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	t.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if c.OTLP == "" {
		return t, nil
	}
	address, plain := strings.CutPrefix(strings.TrimPrefix(c.OTLP, "https://"), "http://")
	options := []otlptracegrpc.Option{otlptracegrpc.WithEndpoint(strings.TrimRight(address, "/"))}
	if plain {
		options = append(options, otlptracegrpc.WithInsecure())
	}
	exporter, err := otlptracegrpc.New(ctx, options...)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "cannot send traces to %s", c.OTLP)
	}
	if c.Sample == 0 {
		c.Sample = 1
	}
	t.provider = sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(c.Sample))),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "leat"), attribute.String("service.version", c.Version))),
	)
	t.tracer = t.provider.Tracer("leat")
	return t, nil
}

// Log returns the logger of the process.
func (t *Telemetry) Log() *slog.Logger {
	if t == nil {
		return slog.New(slog.DiscardHandler)
	}
	return t.log
}

// Handler answers scrapes in the Prometheus text format.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// Close sends what is left of the traces.
func (t *Telemetry) Close(ctx context.Context) error {
	if t == nil || t.provider == nil {
		return nil
	}
	return fault.Wrap(t.provider.Shutdown(ctx), fault.Unavailable, "the last traces were not sent")
}

// Span starts a span named for what is done; the returned function ends it
// and notes the error, if any.
func (t *Telemetry) Span(ctx context.Context, name string, attrs ...slog.Attr) (context.Context, func(error)) {
	if t == nil || t.tracer == nil {
		return ctx, func(error) {}
	}
	pairs := make([]attribute.KeyValue, len(attrs))
	for i, a := range attrs {
		pairs[i] = attribute.String(a.Key, a.Value.String())
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithAttributes(pairs...))
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, string(fault.KindOf(err)))
		}
		span.End()
	}
}

// Remote returns a context in which spans belong to the trace that a caller's
// request headers name (W3C Trace Context).
func (t *Telemetry) Remote(ctx context.Context, header http.Header) context.Context {
	if t == nil || t.tracer == nil {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(header))
}

// Tracing tells whether spans go anywhere.
func (t *Telemetry) Tracing() bool { return t != nil && t.tracer != nil }

// Counter counts events; its name ends in _total.
type Counter struct{ vec *prometheus.CounterVec }

// Counter makes a counter with labels.
func (t *Telemetry) Counter(name, help string, labels ...string) Counter {
	if t == nil {
		return Counter{}
	}
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	t.registry.MustRegister(vec)
	return Counter{vec}
}

// Add adds n to the counter of the label values.
func (c Counter) Add(n float64, values ...string) {
	if c.vec != nil {
		c.vec.WithLabelValues(values...).Add(n)
	}
}

// With returns the counter of fixed label values, for hot paths.
func (c Counter) With(values ...string) BoundCounter {
	if c.vec == nil {
		return BoundCounter{}
	}
	return BoundCounter{c.vec.WithLabelValues(values...)}
}

// BoundCounter is a counter of fixed label values.
type BoundCounter struct{ c prometheus.Counter }

// Add adds n.
func (c BoundCounter) Add(n float64) {
	if c.c != nil {
		c.c.Add(n)
	}
}

// Gauge shows a present quantity, asked for at each scrape.
func (t *Telemetry) Gauge(name, help string, value func() float64) {
	if t != nil {
		t.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
}

// GaugeVec is a quantity that is set, by label values.
type GaugeVec struct{ vec *prometheus.GaugeVec }

// GaugeVec makes a gauge with labels.
func (t *Telemetry) GaugeVec(name, help string, labels ...string) GaugeVec {
	if t == nil {
		return GaugeVec{}
	}
	vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	t.registry.MustRegister(vec)
	return GaugeVec{vec}
}

// Set sets the gauge of the label values.
func (g GaugeVec) Set(v float64, values ...string) {
	if g.vec != nil {
		g.vec.WithLabelValues(values...).Set(v)
	}
}

// Histogram measures durations in seconds, from 50 µs to 30 s.
type Histogram struct{ vec *prometheus.HistogramVec }

// Histogram makes a histogram of durations with labels.
func (t *Telemetry) Histogram(name, help string, labels ...string) Histogram {
	if t == nil {
		return Histogram{}
	}
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: help,
		Buckets: []float64{.00005, .0001, .0002, .0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30},
	}, labels)
	t.registry.MustRegister(vec)
	return Histogram{vec}
}

// With returns the histogram of fixed label values, for hot paths.
func (h Histogram) With(values ...string) BoundHistogram {
	if h.vec == nil {
		return BoundHistogram{}
	}
	return BoundHistogram{h.vec.WithLabelValues(values...)}
}

// BoundHistogram is a histogram of fixed label values.
type BoundHistogram struct{ o prometheus.Observer }

// Observe adds one duration.
func (h BoundHistogram) Observe(d time.Duration) {
	if h.o != nil {
		h.o.Observe(d.Seconds())
	}
}
