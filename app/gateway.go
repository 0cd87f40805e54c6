package app

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/backends"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide/record"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/guard/secret"
	"github.com/leat-ai/leat/llm/gateway"
	"github.com/leat-ai/leat/spec"
)

// tidyLedger is how often old calls of language models are let go.
const tidyLedger = time.Hour

// openGateway makes the way to language models; converge puts the LLMs of the
// project in force.
func (a *App) openGateway(ctx context.Context) (func(context.Context) error, error) {
	policy, err := egress.Parse(a.config.Egress)
	if err != nil {
		return nil, err
	}
	prices, err := pricesOf(filepath.Join(a.config.Home, "prices.json"))
	if err != nil {
		return nil, err
	}
	open := backends.LLMs{Policy: policy, Secret: resolveSecret(secret.NewResolver(nil)), Root: a.config.Project}
	a.gateway, err = gateway.New(ctx, gateway.Deps{
		DB: a.catalog, Space: a.config.Env, Open: open.Open, Who: asksLLM, Recorder: newLLMRecorder(a.records),
		Prices: prices, Clock: a.clock, Log: a.log, Telemetry: a.tel,
	})
	if err != nil {
		return nil, err
	}
	return a.gateway.Close, nil
}

// maxPrices bounds the file of prices, in bytes.
const maxPrices = 8 << 20

// pricesOf are the built-in prices, and before them those of a file, if there
// is one.
func pricesOf(file string) (gateway.Prices, error) {
	prices, err := gateway.KnownPrices()
	if err != nil {
		return nil, err
	}
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return prices, nil
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the file of prices cannot be read")
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPrices))
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the file of prices cannot be read")
	}
	own, err := gateway.ParsePrices(text)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "%s", file)
	}
	maps.Copy(prices, own)
	return prices, nil
}

// convergeGateway puts the LLMs of the project in force.
func (a *App) convergeGateway(list []spec.Resource) { a.gateway.Converge(spec.All[*spec.LLM](list)) }

// asksLLM says who makes a call of a language model.
func asksLLM(ctx context.Context) gateway.Caller {
	p, ok := identity.From(ctx)
	if !ok {
		return gateway.Caller{}
	}
	return gateway.Caller{Name: p.Name, Groups: p.Groups, May: p.May}
}

// llmRecorder keeps calls of language models in the decision log: what was
// asked is the input, what was answered the output.
type llmRecorder struct {
	records         *record.Writer
	inputs, outputs *arrow.Schema
}

func newLLMRecorder(w *record.Writer) llmRecorder {
	return llmRecorder{w,
		frame.SchemaOf([]frame.Column{{Name: "operation", Type: frame.String}, {Name: "question", Type: frame.String}}),
		frame.SchemaOf([]frame.Column{
			{Name: "answer", Type: frame.String}, {Name: "finish", Type: frame.String}, {Name: "served", Type: frame.String},
			{Name: "input_tokens", Type: frame.Int}, {Name: "output_tokens", Type: frame.Int}, {Name: "cost", Type: frame.Double},
		})}
}

// Record meets gateway.Recorder.
func (r llmRecorder) Record(ctx context.Context, e gateway.Entry) error {
	c := &e.Call
	inputs, outputs := cellsOf(frame.String, frame.String), cellsOf(frame.String, frame.String, frame.String, frame.Int, frame.Int, frame.Double)
	// Text that is no UTF-8 cannot be kept as text.
	question := e.Question
	if c.Via != "" {
		// It holds passages and documents, which not everybody may read who may
		// read decisions; the assistant's own decision says what was asked.
		question = ""
	}
	for i, text := range []string{string(c.Operation), question} {
		inputs[i].TextString(strings.ToValidUTF8(text, "\uFFFD"))
	}
	for i, text := range []string{e.Answer, string(c.Finish), c.Served} {
		outputs[i].TextString(strings.ToValidUTF8(text, "\uFFFD"))
	}
	outputs[3].Int(int64(c.Usage.Input))
	outputs[4].Int(int64(c.Usage.Output))
	outputs[5].Double(c.Cost.USD())
	in, out := frame.BatchOf(r.inputs, inputs, 1), frame.BatchOf(r.outputs, outputs, 1)
	defer in.Release()
	defer out.Release()
	entry := record.Entry{
		At: c.At, Pattern: "llm", Endpoint: c.LLM, Variant: c.Deployment, Model: c.Model, Caller: c.Caller, Latency: c.Duration, Cost: c.Cost.USD(),
		Required: e.Required, IDs: []string{c.ID}, Inputs: in, Output: out,
	}
	if c.Error != "" {
		entry.Errors = []error{errorText(c.Error)}
	}
	return r.records.Record(ctx, &entry)
}

// errorText is the kind of an error, as the decision log keeps it.
type errorText string

func (e errorText) Error() string { return string(e) }

func cellsOf(types ...frame.Type) []*frame.Cells {
	cells := make([]*frame.Cells, len(types))
	for i, t := range types {
		cells[i] = frame.NewCells(t, 1)
	}
	return cells
}
