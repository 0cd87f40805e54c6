package sentence

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
)

// Bounds of the files of a folder.
const (
	maxConfig     = 1 << 20
	maxVocabulary = 64 << 20
	maxWeights    = 4 << 30
)

// folder is what the small files of a sentence transformer say.
type folder struct {
	files   map[string][]byte // what was read, until release
	name    string
	digest  string // SHA-256 over the names and hashes of the files
	longest int
	lower   bool // lower the case of a text before anything
	prompts map[llm.Purpose]string
	pooling pooling
}

// graphFiles are where an ONNX file may lie, the first that is there counts.
var graphFiles = [...]string{"onnx/model.onnx", "model.onnx"}

const weightsFile = "model.safetensors"

// readFolder reads the files that count, each within its bound, none from
// outside the folder.
func readFolder(path string) (*folder, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fault.Wrap(err, kindOfFile(err), "the folder of the embedding model %q cannot be opened", path)
	}
	defer func() { _ = root.Close() }()
	f := &folder{files: map[string][]byte{}, name: filepath.Base(filepath.Clean(path))}
	for name, most := range map[string]int64{
		"modules.json": maxConfig, "config.json": maxConfig, "sentence_bert_config.json": maxConfig,
		"config_sentence_transformers.json": maxConfig, "tokenizer_config.json": maxConfig,
		"tokenizer.json": maxVocabulary, "vocab.txt": maxVocabulary, weightsFile: maxWeights,
	} {
		if err := f.read(root, name, most); err != nil {
			return nil, err
		}
	}
	if f.files[weightsFile] == nil || !f.isBert() {
		for _, name := range graphFiles {
			if err := f.read(root, name, maxWeights); err != nil {
				return nil, err
			}
			if f.files[name] != nil {
				break
			}
		}
	}
	if err := f.modules(root); err != nil {
		return nil, err
	}
	f.sum()
	return f, f.settings()
}

func kindOfFile(err error) fault.Kind {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.NotFound
	}
	return fault.Unavailable
}

// read reads one file; one that is absent is left out.
func (f *folder) read(root *os.Root, name string, most int64) error {
	file, err := root.Open(filepath.FromSlash(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "%s of the embedding model %q cannot be opened", name, f.name)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > most {
		return fault.New(fault.Invalid, "%s of the embedding model %q is no file of at most %d bytes", name, f.name, most)
	}
	b := make([]byte, info.Size())
	if _, err := io.ReadFull(file, b); err != nil {
		return fault.Wrap(err, fault.Unavailable, "%s of the embedding model %q cannot be read", name, f.name)
	}
	f.files[name] = b
	return nil
}

// sum names what was read.
func (f *folder) sum() {
	names := make([]string, 0, len(f.files))
	for name := range f.files {
		names = append(names, name)
	}
	slices.Sort(names)
	all := sha256.New()
	for _, name := range names {
		one := sha256.Sum256(f.files[name])
		_, _ = io.WriteString(all, name+"\x00"+string(one[:]))
	}
	f.digest = hex.EncodeToString(all.Sum(nil))
}

// release forgets the files' bytes.
func (f *folder) release() { f.files = nil }

func (f *folder) isBert() bool {
	var s shape
	return json.Unmarshal(f.files["config.json"], &s) == nil && s.check() == nil
}

// json reads a file that must be there.
func (f *folder) json(name string, into any) error {
	b, ok := f.files[name]
	if !ok {
		return fault.New(fault.NotFound, "the folder of the embedding model %q has no %s", f.name, name).
			Hint("give the folder that SentenceTransformer(…).save(folder) writes")
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fault.New(fault.Invalid, "%s of the embedding model %q cannot be read: %v", name, f.name, err)
	}
	return nil
}

// modules reads what the model is made of: a transformer, a pooling and
// perhaps the step to length one, which is always taken here.
func (f *folder) modules(root *os.Root) error {
	var list []struct {
		Type string `json:"type"`
		Path string `json:"path"`
	}
	if err := f.json("modules.json", &list); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, m := range list {
		kind := m.Type[strings.LastIndexByte(m.Type, '.')+1:]
		if seen[kind] || kind == "Transformer" && m.Path != "" {
			return fault.New(fault.Unsupported, "the embedding model %q has modules in an order that is not executed here", f.name)
		}
		seen[kind] = true
		switch kind {
		case "Transformer", "Normalize":
		case "Pooling":
			name := m.Path + "/config.json"
			if err := f.read(root, name, maxConfig); err != nil {
				return err
			}
			if err := f.json(name, &f.pooling); err != nil {
				return err
			}
		default:
			return fault.New(fault.Unsupported, "the embedding model %q has a module of the kind %.50q, which is not executed here", f.name, kind)
		}
	}
	if !seen["Transformer"] || !seen["Pooling"] {
		return fault.New(fault.Unsupported, "the embedding model %q has no transformer or no pooling", f.name)
	}
	return f.pooling.check()
}

// settings reads how long a text may be and what goes before it.
func (f *folder) settings() error {
	var bert struct {
		Longest int  `json:"max_seq_length"`
		Lower   bool `json:"do_lower_case"`
	}
	if f.files["sentence_bert_config.json"] != nil {
		if err := f.json("sentence_bert_config.json", &bert); err != nil {
			return err
		}
	}
	var config struct {
		Positions int `json:"max_position_embeddings"`
	}
	if err := f.json("config.json", &config); err != nil {
		return err
	}
	f.longest, f.lower = bert.Longest, bert.Lower
	if f.longest == 0 || f.longest > config.Positions {
		f.longest = config.Positions
	}
	if f.longest < 3 || f.longest > 65536 {
		return fault.New(fault.Invalid, "the embedding model %q reads texts of %d tokens", f.name, f.longest)
	}
	return f.readPrompts()
}

// readPrompts finds what the model wants before questions and documents.
func (f *folder) readPrompts() error {
	var config struct {
		Prompts map[string]string `json:"prompts"`
		Default *string           `json:"default_prompt_name"`
	}
	if f.files["config_sentence_transformers.json"] == nil {
		return nil
	}
	if err := f.json("config_sentence_transformers.json", &config); err != nil {
		return err
	}
	normal := ""
	if config.Default != nil {
		normal = config.Prompts[*config.Default]
	}
	f.prompts = map[llm.Purpose]string{"": normal, llm.ForQuery: normal, llm.ForDocument: normal}
	for name, purpose := range map[string]llm.Purpose{"query": llm.ForQuery, "document": llm.ForDocument, "passage": llm.ForDocument} {
		if p, ok := config.Prompts[name]; ok && (name != "passage" || config.Prompts["document"] == "") {
			f.prompts[purpose] = p
		}
	}
	return nil
}

// readEncoder makes what runs: the weights where they can be, otherwise the
// ONNX file.
func (f *folder) readEncoder(ctx context.Context, t *tokenizer, graphs Graphs) (encoder, error) {
	for _, name := range graphFiles {
		if file := f.files[name]; file != nil && graphs != nil {
			g, err := graphs.Load(ctx, file)
			if err != nil {
				return nil, err
			}
			return newGraphEncoder(ctx, g, f.pooling, t)
		}
	}
	var s shape
	if err := f.json("config.json", &s); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	if f.files[weightsFile] == nil {
		return nil, fault.New(fault.NotFound, "the folder of the embedding model %q has no weights that are read", f.name).
			Hint("save it with safe_serialization=True, which writes model.safetensors; files of pickles are not opened")
	}
	if len(t.vocabulary) > s.Vocabulary || t.most() >= s.Vocabulary {
		return nil, fault.New(fault.Invalid, "the embedding model %q has more words than vectors of words", f.name)
	}
	w, err := readWeights(f.files[weightsFile])
	if err != nil {
		return nil, err
	}
	b, err := newBert(s, w)
	if err != nil {
		return nil, err
	}
	return &transformer{bert: b, pooling: f.pooling}, nil
}
