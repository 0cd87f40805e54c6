// Package ort executes ONNX graphs in ONNX Runtime, for whose operators Leat
// has none of its own.
//
// The library is not part of Leat: it is loaded when the first graph needs it,
// from where Find looks. A graph was read and found sound by package proto
// before it comes here, so that the library sees no lying lengths, no deep
// recursion and no paths to other files; it is still a large program in C++
// that runs in this process, and whoever may register models trusts it with
// them.
//
// What it takes is bounded: one thread for each run, as many runs at a time as
// there are processors, and one arena for all sessions together.
package ort

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	onnxruntime "github.com/yalue/onnxruntime_go"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model/onnx/graph"
	"github.com/leat-ai/leat/model/onnx/proto"
)

// Variable names the environment variable with the path of the library.
const Variable = "LEAT_ONNXRUNTIME"

// maxMemory bounds the tensors and constants of all sessions together, in
// bytes.
const maxMemory = 2 << 30

// Runtime opens graphs. The zero value is ready.
type Runtime struct{}

var _ graph.Runtime = Runtime{}

// Find returns the path of the library: the file that LEAT_ONNXRUNTIME names,
// or libonnxruntime beside this program or in the system's folders for
// libraries. There being none is an Unsupported fault that says how to get it.
func Find() (string, error) {
	if path := os.Getenv(Variable); path != "" {
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			return "", absent("%s names %q, which is no file", Variable, path)
		}
		return path, nil
	}
	for _, folder := range folders() {
		for _, name := range names() {
			path := filepath.Join(folder, name)
			if info, err := os.Stat(path); err == nil && !info.IsDir() {
				return path, nil
			}
		}
	}
	return "", absent("the graph needs ONNX Runtime, which is not installed")
}

func absent(format string, args ...any) error {
	return fault.New(fault.Unsupported, format, args...).Hint("%s", howTo())
}

// howTo says where the library comes from.
func howTo() string {
	return "get the library, version 1.24 or newer, and put " + names()[0] + " beside leat or its path into " + Variable + ": " +
		"`npm pack onnxruntime-node@1.24.3` and in the tarball bin/napi-v6/linux/x64/libonnxruntime.so.1, " +
		"`pip download onnxruntime` and in the wheel onnxruntime/capi/libonnxruntime.so.*, " +
		"or lib/ of a release of github.com/microsoft/onnxruntime; in a container image the file goes to /usr/local/lib. docs/guides/onnx.md has the steps"
}

func names() []string {
	switch runtime.GOOS {
	case "windows":
		return []string{"onnxruntime.dll"}
	case "darwin":
		return []string{"libonnxruntime.dylib"}
	}
	return []string{"libonnxruntime.so", "libonnxruntime.so.1"}
}

func folders() []string {
	var all []string
	if program, err := os.Executable(); err == nil {
		all = append(all, filepath.Dir(program))
	}
	switch runtime.GOOS {
	case "windows":
		return all
	case "darwin":
		return append(all, "/opt/homebrew/lib", "/usr/local/lib")
	}
	machine := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[runtime.GOARCH]
	return append(all, "/usr/local/lib", "/usr/lib/"+machine, "/usr/lib64", "/usr/lib")
}

// environment is the library of this process: there can be one.
type environment struct {
	turns chan struct{} // as many runs at a time
	err   error
}

// load loads the library, once: it cannot be unloaded.
var load = sync.OnceValue(func() environment {
	e := environment{turns: make(chan struct{}, runtime.GOMAXPROCS(0))}
	path, err := Find()
	if err != nil {
		e.err = err
		return e
	}
	onnxruntime.SetSharedLibraryPath(path)
	if err := onnxruntime.InitializeEnvironment(onnxruntime.WithLogLevelFatal()); err != nil {
		e.err = fault.New(fault.Unsupported, "%s cannot be used as ONNX Runtime", path).Because(err).
			Hint("Leat needs version 1.24 or newer for %s/%s; %s", runtime.GOOS, runtime.GOARCH, howTo())
		return e
	}
	_ = onnxruntime.DisableTelemetry() // where there is none it says so
	e.err = limit()
	return e
})

// limit makes the arena that all sessions share.
func limit() error {
	memory, err := onnxruntime.GetMemoryInfo()
	if err != nil {
		return broken(err, "tells nothing of its memory")
	}
	arena, err := onnxruntime.NewArenaCfg(maxMemory, 1, -1, -1)
	if err != nil {
		return broken(err, "takes no bound of its memory")
	}
	defer arena.Destroy()
	if err := onnxruntime.CreateAndRegisterAllocator(memory, arena); err != nil {
		return broken(err, "takes no bound of its memory")
	}
	return nil
}

func broken(err error, what string) error {
	return fault.Wrap(err, fault.Unsupported, "ONNX Runtime %s", what)
}

// Version returns the version of the library, loading it if need be.
func Version() (string, error) {
	if _, err := Find(); err != nil {
		return "", err
	}
	if e := load(); e.err != nil {
		return "", e.err
	}
	return onnxruntime.GetVersion(), nil
}

// Open makes a session of a file. See graph.Runtime.
func (Runtime) Open(ctx context.Context, file []byte, m *proto.Model) (graph.Engine, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if _, err := Find(); err != nil { // it may have come since load looked
		return nil, err
	}
	e := load()
	if e.err != nil {
		return nil, e.err
	}
	options, err := settings()
	if err != nil {
		return nil, err
	}
	defer func() { _ = options.Destroy() }() // the session has its own copy
	s := &session{turns: e.turns}
	var inputs []string
	for _, v := range m.Graph.Inputs {
		inputs = append(inputs, v.Name)
	}
	for _, v := range m.Graph.Outputs {
		s.outputs = append(s.outputs, v.Name)
	}
	s.session, err = onnxruntime.NewDynamicAdvancedSessionWithONNXData(file, inputs, s.outputs, options)
	if err != nil {
		return nil, refused(err)
	}
	return s, nil
}

// settings are those of every session.
func settings() (*onnxruntime.SessionOptions, error) {
	options, err := onnxruntime.NewSessionOptions()
	if err != nil {
		return nil, broken(err, "makes no session")
	}
	for _, set := range []func() error{
		func() error { return options.SetIntraOpNumThreads(1) },
		func() error { return options.SetInterOpNumThreads(1) },
		func() error { return options.SetMemPattern(false) },
		func() error { return options.SetLogSeverityLevel(onnxruntime.LoggingLevelFatal) },
		func() error { return options.AddSessionConfigEntry("session.use_env_allocators", "1") },
		func() error { return options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0") },
	} {
		if err := set(); err != nil {
			_ = options.Destroy() // what is wrong is told
			return nil, broken(err, "takes no settings")
		}
	}
	return options, nil
}

// refused says that the library does not take a file. Its text names places in
// its own source, which help nobody; the rest does.
func refused(err error) error {
	text := err.Error()
	if at := strings.LastIndex(text, "Status Message: "); at >= 0 {
		text = text[at+len("Status Message: "):]
	}
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return fault.New(fault.Invalid, "ONNX Runtime does not take the graph: %s", text)
}
