package process

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	_ "embed"

	"github.com/leat-ai/leat/base/fault"
)

// folder is where the workers of a model live:
//
//	root/model/…          the model's files, not to be written
//	root/leat_worker.py   the helper of Python models
//	root/signature.json   what the manifest declares
//	root/work/            where workers run, their home and their TMPDIR
type folder struct {
	root    string
	program []string // with its arguments
	env     []string
}

//go:embed leat_worker.py
var pythonWorker []byte

func newFolder(temp string, m Manifest, files map[string][]byte) (f folder, err error) {
	root, err := os.MkdirTemp(temp, "leat-worker-")
	if err == nil {
		// A worker's paths must hold where its working folder is another.
		root, err = filepath.Abs(root)
	}
	if err != nil {
		return f, fault.Wrap(err, fault.Unavailable, "there is no folder for a model's workers")
	}
	f = folder{root: root}
	if err := f.fill(m, files); err != nil {
		_ = os.RemoveAll(root) // the first error is the one to tell
		return f, fault.Wrap(err, fault.Unavailable, "the folder of a model's workers cannot be written")
	}
	f.program = f.command(m)
	f.env, err = f.environment(m)
	if err != nil {
		_ = os.RemoveAll(root) // the first error is the one to tell
	}
	return f, err
}

func (f folder) model() string  { return filepath.Join(f.root, "model") }
func (f folder) work() string   { return filepath.Join(f.root, "work") }
func (f folder) helper() string { return filepath.Join(f.root, "leat_worker.py") }

func (f folder) fill(m Manifest, files map[string][]byte) error {
	for _, dir := range []string{f.model(), f.work()} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	for name, content := range files {
		path := filepath.Join(f.model(), filepath.FromSlash(name)) // valid: the manifest was checked
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		mode := os.FileMode(0o400)
		if len(m.Command) > 0 && filepath.Clean(filepath.FromSlash(m.Command[0])) == filepath.FromSlash(name) {
			mode = 0o500
		}
		if err := os.WriteFile(path, content, mode); err != nil {
			return err
		}
	}
	signature, err := json.Marshal(m.Signature)
	if err != nil {
		return err
	}
	if err := os.WriteFile(f.signature(), signature, 0o400); err != nil {
		return err
	}
	if m.Python == nil {
		return nil
	}
	return os.WriteFile(f.helper(), pythonWorker, 0o400)
}

func (f folder) signature() string { return filepath.Join(f.root, "signature.json") }

// command is what to run; a program of the model's own folder by its path.
func (f folder) command(m Manifest) []string {
	if m.Python != nil {
		return []string{m.Python.Interpreter, "-u", f.helper(), m.Python.Kind, m.Python.File}
	}
	program := append([]string(nil), m.Command...)
	if strings.Contains(program[0], "/") && !filepath.IsAbs(program[0]) {
		program[0] = filepath.Join(f.model(), filepath.FromSlash(program[0]))
	}
	return program
}

// environment is all that a worker sees of the server's.
func (f folder) environment(m Manifest) ([]string, error) {
	threads := strconv.Itoa(max(m.Threads, 1))
	env := []string{
		"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + f.work(), "TMPDIR=" + f.work(),
		"PYTHONDONTWRITEBYTECODE=1", "PYTHONHASHSEED=0", // the same answer from every worker
		"LEAT_PROTOCOL=1", "LEAT_MODEL_DIR=" + f.model(), "LEAT_SIGNATURE=" + f.signature(),
		"LEAT_MAX_FRAME=" + strconv.Itoa(maxFrame), "LEAT_THREADS=" + threads,
		"OMP_NUM_THREADS=" + threads, "OPENBLAS_NUM_THREADS=" + threads, "MKL_NUM_THREADS=" + threads,
	}
	for _, name := range m.Env {
		value, ok := os.LookupEnv(name)
		if !ok {
			return nil, fault.New(fault.Invalid, "the model's worker needs the variable %s, which is not set", name).
				Hint("set it where Leat runs, or take it off env")
		}
		env = append(env, name+"="+value)
	}
	return env, nil
}
