package process

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/spec"
)

// FileName is the file of an artifact that says what to run.
const FileName = "process.json"

// Manifest is process.json.
type Manifest struct {
	Version int `json:"version"` // 1
	// Command is the program and its arguments, run in the model's folder; a
	// first word with a slash is a file of the folder. Exactly one of Command
	// and Python is given.
	Command []string `json:"command,omitempty"`
	Python  *Python  `json:"python,omitempty"`
	// Transport is "pipe", the worker's stdin and stdout, or "socket", a Unix
	// socket that it connects to. Empty means pipe.
	Transport string `json:"transport,omitempty"`
	// Files of the model, which the worker finds in LEAT_MODEL_DIR.
	Files []string `json:"files"`
	// Signature of the model; what a worker says of itself must fit.
	Signature model.Signature `json:"signature"`
	// Workers is how many processes there are, 1 to 64.
	Workers int `json:"workers"`
	// Timeout is how long a worker may take to answer one call of at most
	// 8,192 rows, and Start how long it may take to begin.
	Timeout spec.Duration `json:"timeout"`
	Start   spec.Duration `json:"start"`
	// Memory bounds the address space of a worker, CPU the time that one
	// process may compute before it is replaced; 0: unbounded. OpenFiles
	// bounds its files.
	Memory    spec.Bytes    `json:"memory,omitempty"`
	CPU       spec.Duration `json:"cpu,omitempty"`
	OpenFiles int           `json:"open_files"`
	// Threads is what numeric libraries are told to use; 1 when 0.
	Threads int `json:"threads,omitempty"`
	// Env names variables of the server that a worker sees, besides PATH.
	Env []string `json:"env,omitempty"`
}

// Python says how leat_worker.py serves the folder.
type Python struct {
	// Kind is "mlflow", a folder that MLflow wrote, or "function", a file
	// with a function predict.
	Kind string `json:"kind"`
	// File has the function, of kind function.
	File string `json:"file,omitempty"`
	// Interpreter runs it; the server's (LEAT_WORKER_PYTHON, python3) when
	// empty.
	Interpreter string `json:"interpreter,omitempty"`
}

// The kinds of Python models and the transports.
const (
	MLflow   = "mlflow"
	Function = "function"
	Pipe     = "pipe"
	Socket   = "socket"
)

const (
	maxManifest = 16 << 20
	maxFiles    = 4096
	maxContent  = 4 << 30 // bytes of all files
)

func readManifest(files fs.FS) (m Manifest, err error) {
	data, err := readBounded(files, FileName, maxManifest)
	if err != nil {
		return m, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, fault.Wrap(err, fault.Invalid, "%s cannot be read", FileName)
	}
	if _, err := d.Token(); err != io.EOF {
		return m, fault.New(fault.Invalid, "%s goes on after its end", FileName)
	}
	return m, m.check()
}

func readBounded(files fs.FS, name string, limit int64) ([]byte, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the model has no file %s", name).Because(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, fault.Wrap(err, fault.Corrupt, "the file %s of the model cannot be read", name)
	case int64(len(data)) > limit:
		return nil, fault.New(fault.TooLarge, "the file %s of the model is larger than %d bytes", name, limit)
	}
	return data, nil
}

// read reads the files that the manifest lists.
func (m Manifest) read(files fs.FS) (map[string][]byte, error) {
	content := make(map[string][]byte, len(m.Files))
	left := int64(maxContent)
	for _, name := range m.Files {
		data, err := readBounded(files, name, left)
		if err != nil {
			return nil, err
		}
		left -= int64(len(data))
		content[name] = data
	}
	return content, nil
}

// complete fills in the defaults and the files' names.
func (m Manifest) complete(files map[string][]byte) (Manifest, error) {
	m.Version = 1
	m.Files = slices.Sorted(maps.Keys(files))
	if m.Transport == "" {
		m.Transport = Pipe
	}
	m.Workers = max(m.Workers, 1)
	if m.Timeout == 0 {
		m.Timeout = spec.Duration(defaultTimeout)
	}
	if m.Start == 0 {
		m.Start = spec.Duration(defaultStart)
	}
	if m.OpenFiles == 0 {
		m.OpenFiles = defaultFiles
	}
	return m, m.check()
}

// pack writes the artifact.
func (m Manifest) pack(files map[string][]byte) (map[string][]byte, error) {
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "%s cannot be written", FileName)
	}
	packed := make(map[string][]byte, len(files)+1)
	maps.Copy(packed, files)
	packed[FileName] = append(text, '\n')
	return packed, nil
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// check reports every mistake of a manifest.
func (m Manifest) check() error {
	var l fault.List
	bad := func(format string, args ...any) { l.Add(fault.New(fault.Invalid, format, args...)) }
	if m.Version != 1 {
		return fault.New(fault.Unsupported, "%s has version %d, not 1", FileName, m.Version)
	}
	if (len(m.Command) > 0) == (m.Python != nil) {
		bad("a process model has a command or a Python part, exactly one of them")
	}
	if m.Transport != Pipe && m.Transport != Socket {
		bad("the transport %q is not pipe or socket", m.Transport)
	}
	if m.Workers < 1 || m.Workers > maxWorkers {
		bad("a model has 1 to %d workers, not %d", maxWorkers, m.Workers)
	}
	if m.Timeout <= 0 || m.Start <= 0 || m.CPU < 0 || m.Memory < 0 || m.OpenFiles < 16 || m.Threads < 0 {
		bad("timeout, start and open_files (16 at least) must be positive, and no other bound negative")
	}
	for _, name := range m.Env {
		if !variable.MatchString(name) || strings.HasPrefix(name, "LEAT_") {
			bad("%q is not a variable to hand to a worker", name)
		}
	}
	for _, word := range append(slices.Clone(m.Command), m.interpreter()) {
		if strings.ContainsRune(word, 0) {
			bad("the command has a NUL in it")
		}
	}
	l.Add(m.checkFiles())
	l.Add(m.checkPython())
	return l.Err()
}

func (m Manifest) checkFiles() error {
	if len(m.Files) > maxFiles {
		return fault.New(fault.TooLarge, "a process model has at most %d files, not %d", maxFiles, len(m.Files))
	}
	seen := map[string]bool{}
	for _, name := range m.Files {
		if !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "\\\x00") || seen[name] {
			return fault.New(fault.Invalid, "%q cannot be the name of a model's file", name)
		}
		if name == FileName {
			return fault.New(fault.Invalid, "%s is the manifest, not a file of the model", FileName)
		}
		seen[name] = true
	}
	// A file that another one needs as a folder could not be written.
	for _, name := range m.Files {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if seen[dir] {
				return fault.New(fault.Invalid, "%q is a file and a folder of the model", dir)
			}
		}
	}
	return nil
}

func (m Manifest) checkPython() error {
	switch p := m.Python; {
	case p == nil:
		return nil
	case p.Kind == MLflow && p.File == "":
		if !slices.Contains(m.Files, "MLmodel") {
			return fault.New(fault.Invalid, "the folder has no file MLmodel, so MLflow did not write it")
		}
		return nil
	case p.Kind == Function && slices.Contains(m.Files, p.File):
		return nil
	case p.Kind == Function:
		return fault.New(fault.NotFound, "the folder has no file %q with the function predict", p.File)
	}
	return fault.New(fault.Invalid, "a Python model is of kind mlflow or function, not %q", m.Python.Kind)
}

func (m Manifest) interpreter() string {
	if m.Python == nil {
		return ""
	}
	return m.Python.Interpreter
}

// merged holds what a worker says of itself against the manifest: what the
// manifest leaves open is the worker's to say.
func (m Manifest) merged(said *model.Signature) (model.Signature, error) {
	s := m.Signature
	if said == nil {
		said = &model.Signature{}
	}
	if s.Task == "" {
		s.Task = said.Task
	}
	if s.Task == "" {
		s.Task = model.Custom
	}
	if len(s.Inputs) == 0 {
		s.Inputs = said.Inputs
	}
	if len(s.Outputs) == 0 {
		s.Outputs = said.Outputs
	}
	if len(s.Classes) == 0 {
		s.Classes = said.Classes
	}
	var l fault.List
	if len(s.Inputs) == 0 || len(s.Outputs) == 0 {
		l.Add(fault.New(fault.Invalid, "nobody says the inputs and outputs of the model").
			Hint("declare inputs and outputs in the Model resource, or log the model with a signature"))
	}
	for _, fields := range [][]model.Field{s.Inputs, s.Outputs} {
		seen := map[string]bool{}
		for _, f := range fields {
			if f.Name == "" || f.Type.Arrow() == nil || seen[f.Name] {
				l.Add(fault.New(fault.Invalid, "column %q of type %q, of the model's signature", f.Name, f.Type))
			}
			seen[f.Name] = true
		}
	}
	return s, l.Err()
}
