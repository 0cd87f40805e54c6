// Package process is the runtime of models that are programs: a worker in any
// language, started with the model, asked over a pipe or a Unix socket, and
// supervised.
//
// It stands below the contract package model, beside the other runtimes.
// Format loads an artifact: the files of a folder and process.json, the
// Manifest, which says what to run. Pack makes an artifact of a folder, asking
// the worker itself for a signature that the manifest lacks. The protocol is
// docs/reference/worker-protocol.md; leat_worker.py speaks it for Python
// models (an MLflow folder, or a file with a function predict) and is part of
// this binary.
//
// What is promised:
//
//   - Model code never runs in this process. A worker is a process group of
//     its own in a folder of its own, sees only the environment that it is
//     given, and is bounded in memory, files and CPU time where the system
//     can (Linux).
//   - A worker that does not answer in time, answers what is no frame, or
//     dies is killed with all that it started, and started again after a
//     jittered wait; how often is bounded by a budget. Who asks meanwhile
//     waits only while a worker is starting.
//   - An answer goes to who asked: frames carry the number of their call, and
//     rows are counted.
//   - What waits, how large a frame is, how long anything takes and how much
//     of a worker's stderr is kept are bounded.
package process

import (
	"context"
	"io/fs"
	"os"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// FormatName is the name of the format, as stored with a version.
const FormatName = "process"

// Config is what a server lets process models do. The zero Config lets them
// run, with the interpreter python3.
type Config struct {
	// Allowed says whether models may run programs here; nil: they may.
	Allowed func() error
	// Python is the interpreter of Python models whose manifest names none;
	// python3 when empty.
	Python string
	// Temp is where the folders of workers are made; the system's when empty.
	Temp string
	// Log is told of starts and ends of workers, a line each; nil: nobody is.
	Log func(line string)
}

func (c Config) allowed() error {
	if c.Allowed == nil {
		return nil
	}
	return c.Allowed()
}

func (c Config) log(line string) {
	if c.Log != nil {
		c.Log(line)
	}
}

// Format loads process models. It meets model.Format. A loaded model has its
// workers running, and is an io.Closer.
type Format struct{ Config Config }

// Name returns "process".
func (Format) Name() string { return FormatName }

// Load writes the files into a folder, starts the workers and waits for the
// first of them.
func (f Format) Load(ctx context.Context, files fs.FS) (model.Model, error) {
	if err := f.Config.allowed(); err != nil {
		return nil, err
	}
	m, err := readManifest(files)
	if err != nil {
		return nil, err
	}
	content, err := m.read(files)
	if err != nil {
		return nil, err
	}
	return start(ctx, f.Config, m, content)
}

// start makes a model of a manifest and its files.
func start(ctx context.Context, c Config, m Manifest, files map[string][]byte) (*Model, error) {
	running := c.interpreter(m)
	home, err := newFolder(c.Temp, running, files)
	if err != nil {
		return nil, err
	}
	p := newPool(c, running, home)
	if err := p.start(ctx); err != nil {
		p.close()
		_ = os.RemoveAll(home.root) // nothing runs in it, and the first error is the one to tell
		return nil, err
	}
	loaded := &Model{manifest: m, pool: p, home: home}
	for _, content := range files {
		loaded.size += int64(len(content))
	}
	if loaded.manifest.Signature, err = m.merged(p.hello().Signature); err != nil {
		_ = loaded.Close() // the first error is the one to tell
		return nil, err
	}
	return loaded, nil
}

// Model is a loaded process model. It meets model.Model, model.Describer,
// model.Sizer and io.Closer.
type Model struct {
	manifest Manifest
	pool     *pool
	home     folder
	size     int64
}

// Signature says what the model reads and writes.
func (m *Model) Signature() model.Signature { return m.manifest.Signature }

// Size is about how many bytes the model takes: its files and, where it is
// bounded, the memory of its workers.
func (m *Model) Size() int64 {
	return m.size + int64(m.manifest.Workers)*typicalWorker
}

// typicalWorker is what a Python process with its libraries takes.
const typicalWorker = 128 << 20

// Batching lets requests that come while every worker is busy go together: a
// worker takes about as long for some rows as for one.
func (m *Model) Batching() model.Batching {
	return model.Batching{Calls: m.manifest.Workers, Rows: rowsTogether}
}

// rowsTogether is the most rows of several requests in one call.
const rowsTogether = 1024

// Describe says what the worker said of itself.
func (m *Model) Describe() model.Description {
	h := m.pool.hello()
	return model.Description{Kind: "program", Library: h.Library, LibraryVersion: h.LibraryVersion, Runtime: "worker process",
		Notes: map[string]string{"encoding": h.Encoding}}
}

// Close ends the workers and removes their folder. It is safe to call twice.
func (m *Model) Close() error {
	m.pool.close()
	return fault.Wrap(os.RemoveAll(m.home.root), fault.Unavailable, "the folder of a model's workers cannot be removed")
}

// Predict asks a worker. Rows go in parts of a bounded size, to several
// workers at once where there are.
func (m *Model) Predict(ctx context.Context, in frame.Batch) (frame.Batch, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "the model was not asked in time")
	}
	rows, err := model.Select(in, m.manifest.Signature.Inputs)
	if err != nil {
		return nil, err
	}
	defer rows.Release()
	return m.predict(ctx, rows)
}

// Pack makes an artifact: the files given and process.json. Where the
// manifest has no signature, or no outputs, a worker is started to say them.
func Pack(ctx context.Context, c Config, m Manifest, files map[string][]byte) (map[string][]byte, model.Signature, error) {
	if err := c.allowed(); err != nil {
		return nil, model.Signature{}, err
	}
	m, err := m.complete(files)
	if err != nil {
		return nil, model.Signature{}, err
	}
	asking := m
	asking.Workers = 1
	loaded, err := start(ctx, c, asking, files)
	if err != nil {
		return nil, model.Signature{}, err
	}
	defer loaded.Close()
	m.Signature = loaded.Signature()
	packed, err := m.pack(files)
	return packed, m.Signature, err
}

// Repack makes the artifact of a model whose signature is known from before,
// as Pack would where the worker still says the same. It starts nothing: it is
// how to find out whether something changed.
func Repack(m Manifest, known model.Signature, files map[string][]byte) (map[string][]byte, model.Signature, error) {
	m, err := m.complete(files)
	if err != nil {
		return nil, model.Signature{}, err
	}
	if m.Signature, err = m.merged(&known); err != nil {
		return nil, model.Signature{}, err
	}
	packed, err := m.pack(files)
	return packed, m.Signature, err
}

// The bounds of everything that a manifest does not set.
const (
	defaultTimeout = 30 * time.Second
	defaultStart   = 2 * time.Minute
	defaultFiles   = 1024
	maxWorkers     = 64
	maxFrame       = 64 << 20 // bytes of a frame
	chunkRows      = 8192     // rows of one call
	maxWaiting     = 1024     // callers that wait for a worker
	maxStderr      = 16 << 10 // bytes kept of what a worker wrote last
)
