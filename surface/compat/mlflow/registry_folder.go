package mlflow

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/flow/track"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/store/blob"
)

// Versions are downloaded from addresses of this protocol's artifact store
// that nobody can write to: mlflow-artifacts:/leat-registry/<model>/<number>.
const (
	artifactScheme = "mlflow-artifacts:/"
	ownRoot        = "leat-registry"
)

func ownAddress(name string, number int) string {
	return artifactScheme + path.Join(ownRoot, name, strconv.Itoa(number))
}

// ownPath takes an artifact's path apart that lies below ownRoot.
func ownPath(p string) (name string, number int, file string, ok bool) {
	parts := strings.SplitN(strings.Trim(p, "/"), "/", 4)
	if len(parts) < 3 || parts[0] != ownRoot {
		return "", 0, "", false
	}
	number, err := strconv.Atoi(parts[2])
	if err != nil || number < 1 {
		return "", 0, "", false
	}
	if len(parts) == 4 {
		file = parts[3]
	}
	return parts[1], number, file, true
}

// content is a file of a version as it is downloaded.
type content struct {
	file registry.File // where it lies in the blob store
	text []byte        // what it is otherwise
}

func (c content) size() int64 {
	if c.file.Digest != "" {
		return c.file.Bytes
	}
	return int64(len(c.text))
}

// folder returns the files of a version: those that it was registered with,
// and of one that was made here what MLflow can load of it.
func (m *surface) folder(ctx context.Context, name string, number int) (map[string]content, error) {
	e, err := m.Registry.Entry(ctx, name, number)
	if err != nil {
		return nil, unknownVersion(err, name, strconv.Itoa(number))
	}
	kept, err := m.Registry.Folder(ctx, e.Version)
	if err != nil {
		return nil, err
	}
	if len(kept) == 0 {
		return m.exported(ctx, e.Version)
	}
	files := make(map[string]content, len(kept))
	for name, f := range kept {
		files[name] = content{file: f}
	}
	return files, nil
}

// exported writes a version that was made here as an MLflow model: with the
// flavor onnx where it has that form, and as its own files where not.
func (m *surface) exported(ctx context.Context, v registry.Version) (map[string]content, error) {
	if v.Manifest.Format == registry.Reference {
		return nil, fault.New(fault.NotFound, "%s", v.Unservable)
	}
	loaded, release, err := m.Registry.Hold(ctx, v)
	if err != nil {
		return nil, err
	}
	defer release()
	if exporter, ok := loaded.(model.ONNXExporter); ok {
		graph, err := exporter.ONNX()
		if err == nil {
			return onnxFolder(v, graph)
		}
		if !fault.Is(err, fault.Unsupported) {
			return nil, err
		}
	}
	files := map[string]content{}
	for name, digest := range v.Manifest.Files {
		text, err := m.Registry.Blob(ctx, digest)
		if err != nil {
			return nil, err
		}
		files[path.Join("data", name)] = content{text: text}
	}
	return withMLmodel(v, files, map[string]any{"leat": map[string]any{"format": v.Manifest.Format, "data": "data"}})
}

// onnxVersion is the release of the Python package whose models ours are like.
const onnxVersion = "1.17.0"

func onnxFolder(v registry.Version, graph []byte) (map[string]content, error) {
	const file = "model.onnx"
	files := map[string]content{
		file:               {text: graph},
		"requirements.txt": {text: []byte("mlflow\nonnx\nonnxruntime\nnumpy\npandas\n")},
	}
	return withMLmodel(v, files, map[string]any{
		"onnx": map[string]any{"onnx_version": onnxVersion, "data": file, "providers": []string{"CPUExecutionProvider"}, "save_as_external_data": false},
		"python_function": map[string]any{"loader_module": "mlflow.onnx", "data": file, "python_version": "3.11.0",
			"env": map[string]string{"virtualenv": "requirements.txt"}},
	})
}

// withMLmodel adds the file that says what the others are. JSON is YAML too.
func withMLmodel(v registry.Version, files map[string]content, flavors map[string]any) (map[string]content, error) {
	inputs, err := schemaOf(v.Manifest.Signature.Inputs)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetIndent("", "  ")
	err = e.Encode(map[string]any{
		"flavors": flavors, "signature": map[string]any{"inputs": inputs, "outputs": nil, "params": nil},
		"mlflow_version": "3.0.0", "model_uuid": v.ID[:32], "utc_time_created": v.CreatedAt.UTC().Format(time.DateTime),
		"metadata": map[string]string{"leat_model": v.Model, "leat_version": strconv.Itoa(v.Number), "leat_id": v.ID},
	})
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the MLmodel file could not be written")
	}
	files["MLmodel"] = content{text: text.Bytes()}
	return files, nil
}

// schemaOf writes inputs as MLflow's signature does: JSON in a string.
func schemaOf(fields []model.Field) (string, error) {
	type column struct {
		Type     string `json:"type"`
		Name     string `json:"name"`
		Required bool   `json:"required"`
	}
	columns := make([]column, len(fields))
	for i, f := range fields {
		columns[i] = column{mlflowType(f.Type), f.Name, f.Required}
	}
	text, err := json.Marshal(columns)
	return string(text), fault.Wrap(err, fault.Internal, "the signature could not be written")
}

func mlflowType(t frame.Type) string {
	switch t {
	case frame.Bool:
		return "boolean"
	case frame.String:
		return "string"
	case frame.Int:
		return "long"
	case frame.Timestamp:
		return "datetime"
	}
	return "double"
}

// openArtifact opens a file of the artifact store, or of a version.
func (m *surface) openArtifact(ctx context.Context, p string) (track.File, io.ReadCloser, error) {
	name, number, file, ok := ownPath(p)
	if !ok {
		return m.Track.Artifacts.Open(ctx, p)
	}
	files, err := m.folder(ctx, name, number)
	if err != nil {
		return track.File{}, nil, err
	}
	c, ok := files[file]
	if !ok {
		return track.File{}, nil, fault.New(fault.NotFound, "there is no artifact %.300s", p)
	}
	f := track.File{Path: p, Size: c.size(), Digest: c.file.Digest}
	if f.Digest == "" {
		f.Digest = blob.DigestOf(c.text)
		return f, io.NopCloser(bytes.NewReader(c.text)), nil
	}
	r, err := m.Registry.Open(ctx, c.file)
	return f, r, err
}

// listArtifacts lists a folder of the artifact store, or of a version.
func (m *surface) listArtifacts(ctx context.Context, folder string) ([]track.File, error) {
	name, number, below, ok := ownPath(folder)
	if !ok {
		return m.Track.Artifacts.List(ctx, folder)
	}
	files, err := m.folder(ctx, name, number)
	if err != nil {
		return nil, err
	}
	return list(files, folder, below), nil
}

// mayWrite refuses to change what versions are made of.
func mayWrite(p string) error {
	if first, _, _ := strings.Cut(strings.Trim(p, "/"), "/"); first == ownRoot {
		return fault.New(fault.Forbidden, "the files of a model version are not changed").Hint("log the model again and register another version")
	}
	return nil
}

// list names what lies directly below a folder of a version's files; root is
// the path of that folder among all artifacts.
func list(files map[string]content, root, below string) []track.File {
	found := map[string]track.File{}
	for name, c := range files {
		rest, ok := name, true
		if below != "" {
			rest, ok = strings.CutPrefix(name, below+"/")
		}
		if !ok {
			continue
		}
		first, _, deeper := strings.Cut(rest, "/")
		f := track.File{Path: path.Join(root, first), Folder: deeper}
		if !deeper {
			f.Size, f.Digest = c.size(), c.file.Digest
		}
		found[first] = f
	}
	all := make([]track.File, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		all = append(all, found[name])
	}
	return all
}
