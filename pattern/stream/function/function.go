// Package function runs a user's function over the rows of a stream: a
// WebAssembly module in a sandbox.
//
// Open compiles a module; Apply gives it the rows of a batch and returns the
// rows that it made of them. A module sees nothing but the rows: no files, no
// network, no environment, and a clock and random numbers that are the same in
// every run. Its memory and the time of a call are bounded.
//
// # What a module exports
//
//	memory                        its memory
//	alloc(size i32) → i32         a place in it with room for so many bytes
//	process(at i32, size i32) → i64
//
// The host asks for room, writes the rows there as a JSON array of objects
// (times as RFC 3339, NULL as null), and calls process. It returns the place of
// its answer in the upper 32 bits and the size in the lower 32: a JSON array
// with one entry for each row that it was given, in their order:
//
//	{…}        the row that it became
//	[{…}, …]   the rows that it became
//	null       none: the row is dropped
//	"…"        why the row cannot be dealt with: it is a dead letter
//
// The memory that alloc gave is the module's again once process returns; the
// answer is read before the next call. A module that wants to be initialised
// exports _initialize (Go, TinyGo and Rust do so by themselves); _start is not
// called. It may import wasi_snapshot_preview1, and nothing else.
//
// # What cannot happen
//
// A module that traps, does not return or takes too much memory loses its
// instance, and with it only the rows that made it do so: the batch is tried
// again in halves until they are found. A search takes no longer than
// searchTime times the bound of one call; rows that were not tried by then get
// a Timeout fault. A module should not remember rows: which instance sees which
// rows is not said.
package function

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/pattern/stream/codec"
)

const (
	// MaxModule bounds the bytes of a module.
	MaxModule = 64 << 20
	// searchTime is how many times the bound of one call the search for the
	// rows may take that break a module.
	searchTime = 10
	// openTime bounds what a module does to initialise itself.
	openTime = 10 * time.Second
	pageSize = 64 << 10
)

// Config bounds a function.
type Config struct {
	// Outputs are the columns of the rows that it returns.
	Outputs []frame.Column
	// Memory bounds that of one instance, in bytes; 64 MiB when 0.
	Memory int64
	// Timeout bounds one call; 1 s when 0.
	Timeout time.Duration
	// Instances bounds how many calls run at once; one a processor when 0.
	Instances int
}

// Function is a compiled module. It is safe for many goroutines.
type Function struct {
	config  Config
	codec   codec.Codec
	runtime wazero.Runtime
	module  wazero.CompiledModule
	slots   chan struct{} // one for each call that runs

	mu   sync.Mutex
	idle []*instance
	shut bool
}

// instance is one copy of the module, for one call at a time.
type instance struct {
	module  api.Module
	alloc   api.Function
	process api.Function
}

// Open compiles a module and tries that it starts. What is no module, or lacks
// an export, is an Invalid fault.
func Open(ctx context.Context, module []byte, c Config) (_ *Function, err error) {
	if len(module) > MaxModule {
		return nil, fault.New(fault.TooLarge, "the module has %d bytes, more than %d", len(module), MaxModule)
	}
	if c.Memory == 0 {
		c.Memory = 64 << 20
	}
	if c.Timeout == 0 {
		c.Timeout = time.Second
	}
	if c.Instances == 0 {
		c.Instances = runtime.GOMAXPROCS(0)
	}
	if c.Memory < pageSize || c.Memory > 4<<30 || c.Timeout < 0 || c.Instances < 1 || c.Instances > 1024 {
		return nil, fault.New(fault.Invalid, "the bounds of a function make no sense").Hint("memory is between 64KiB and 4GiB")
	}
	rows, err := codec.New(codec.Config{Columns: codec.Columns(c.Outputs, nil)})
	if err != nil {
		return nil, err
	}
	f := &Function{config: c, codec: rows, slots: make(chan struct{}, c.Instances)}
	f.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().
		WithMemoryLimitPages(uint32(c.Memory/pageSize)).WithCloseOnContextDone(true))
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, f.runtime); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the sandbox cannot be made")
	}
	if f.module, err = f.runtime.CompileModule(ctx, module); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the module is not WebAssembly that can be compiled")
	}
	if err := f.exports(); err != nil {
		return nil, err
	}
	i, err := f.instance(ctx)
	if err != nil {
		return nil, err
	}
	f.release(i)
	return f, nil
}

// exports checks that the module has what is called.
func (f *Function) exports() error {
	for name, want := range map[string]struct{ in, out []api.ValueType }{
		"alloc":   {[]api.ValueType{api.ValueTypeI32}, []api.ValueType{api.ValueTypeI32}},
		"process": {[]api.ValueType{api.ValueTypeI32, api.ValueTypeI32}, []api.ValueType{api.ValueTypeI64}},
	} {
		def, ok := f.module.ExportedFunctions()[name]
		if !ok || !bytes.Equal(def.ParamTypes(), want.in) || !bytes.Equal(def.ResultTypes(), want.out) {
			return fault.New(fault.Invalid, "the module exports no function %q of the right form", name).
				Hint("it exports alloc(i32) → i32 and process(i32, i32) → i64")
		}
	}
	if len(f.module.ExportedMemories()) == 0 {
		return fault.New(fault.Invalid, "the module exports no memory")
	}
	for _, def := range f.module.ImportedFunctions() {
		if from, name, _ := def.Import(); from != wasi_snapshot_preview1.ModuleName {
			return fault.New(fault.Invalid, "the module imports %s.%s, which there is not", from, name)
		}
	}
	return nil
}

// instance takes an idle instance, or starts one.
func (f *Function) instance(ctx context.Context) (*instance, error) {
	f.mu.Lock()
	if n := len(f.idle); n > 0 {
		i := f.idle[n-1]
		f.idle = f.idle[:n-1]
		f.mu.Unlock()
		return i, nil
	}
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	// What the configuration does not give, the module does not have: files,
	// arguments, environment; its clock stands in 2022 and its random numbers
	// are the same every time.
	m, err := f.runtime.InstantiateModule(ctx, f.module, wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
	if err != nil {
		return nil, broken(ctx, err, openTime)
	}
	return &instance{m, m.ExportedFunction("alloc"), m.ExportedFunction("process")}, nil
}

func (f *Function) release(i *instance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shut || len(f.idle) >= f.config.Instances {
		_ = i.module.Close(context.Background()) // it is memory, and gone
		return
	}
	f.idle = append(f.idle, i)
}

// Close ends all instances. Nothing may be called afterwards; it is safe to
// call twice.
func (f *Function) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shut {
		return nil
	}
	f.shut, f.idle = true, nil
	return f.runtime.Close(context.Background())
}

// Schema has the columns of the rows that Apply returns.
func (f *Function) Schema() []frame.Column { return f.config.Outputs }

// call gives rows to an instance and reads its answer while the memory is
// still the instance's. An instance that failed is closed.
func (f *Function) call(ctx context.Context, rows []byte, read func(answer []byte) error) error {
	i, err := f.instance(ctx)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, f.config.Timeout)
	defer cancel()
	answer, err := i.run(limited, rows)
	if err == nil {
		err = read(answer)
	}
	if err != nil {
		_ = i.module.Close(context.WithoutCancel(ctx)) // whatever state it is in
		if ctx.Err() != nil {
			return fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "the function was stopped")
		}
		return broken(limited, err, f.config.Timeout)
	}
	f.release(i)
	return nil
}

func (i *instance) run(ctx context.Context, rows []byte) ([]byte, error) {
	at, err := i.alloc.Call(ctx, uint64(len(rows)))
	if err != nil {
		return nil, err
	}
	memory := i.module.Memory()
	if !memory.Write(uint32(at[0]), rows) {
		return nil, fault.New(fault.Rejected, "the function gives no room for %d bytes", len(rows))
	}
	packed, err := i.process.Call(ctx, at[0], uint64(len(rows)))
	if err != nil {
		return nil, err
	}
	answer, ok := memory.Read(uint32(packed[0]>>32), uint32(packed[0]))
	if !ok {
		return nil, fault.New(fault.Rejected, "the function answers with a place outside of its memory")
	}
	return answer, nil
}

// broken says what went wrong in a module, without what it printed.
func broken(ctx context.Context, err error, bound time.Duration) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fault.New(fault.Rejected, "the function took longer than %s", bound).Hint("raise its timeout, or do less for a row")
	}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f
	}
	text := err.Error()
	if line, _, more := bytes.Cut([]byte(text), []byte("\n")); more {
		text = string(line)
	}
	return fault.New(fault.Rejected, "the function broke: %s", fmt.Sprintf("%.200s", text))
}
