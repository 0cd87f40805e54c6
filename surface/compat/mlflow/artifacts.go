package mlflow

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/track"
)

// Bounds of artifacts. Those of time are for one read or write of a stream,
// however long all of it takes.
const (
	maxArtifact = 1 << 40 // bytes; the disk is full before
	maxIdle     = time.Minute
)

// uploadRoute takes a file. It is apart from the others because its body has
// another bound.
func (m *surface) uploadRoute() route {
	return route{http.MethodPut, "2.0/mlflow-artifacts/artifacts/{path...}", verbRun, m.upload}
}

func (m *surface) upload(w http.ResponseWriter, r *http.Request) error {
	if err := mayWrite(r.PathValue("path")); err != nil {
		return err
	}
	_, err := m.Track.Artifacts.Put(r.Context(), r.PathValue("path"), patient{r.Body, w}, caller(r.Context()).Name)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fault.New(fault.TooLarge, "an artifact has at most %d bytes", tooLarge.Limit)
	}
	if err != nil {
		return err
	}
	return answer(w, none{})
}

// patient reads a body that may take long, as long as it goes on.
type patient struct {
	body io.Reader
	w    http.ResponseWriter
}

func (p patient) Read(b []byte) (int, error) {
	// In the tests of handlers there is no connection that could be slow.
	_ = http.NewResponseController(p.w).SetReadDeadline(time.Now().Add(maxIdle))
	return p.body.Read(b)
}

func (m *surface) download(w http.ResponseWriter, r *http.Request) error {
	f, content, err := m.openArtifact(r.Context(), r.PathValue("path"))
	if err != nil {
		return err
	}
	defer content.Close()
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream") // whatever it says it is: no browser runs it here
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": path.Base(f.Path)}))
	h.Set("Content-Length", strconv.FormatInt(f.Size, 10))
	h.Set("ETag", `"`+string(f.Digest)+`"`)
	if _, err := io.Copy(lasting{w}, content); err != nil {
		panic(http.ErrAbortHandler) // the status went out; a broken connection is what is left to tell
	}
	return nil
}

// lasting writes an answer that may take long, as long as it goes on.
type lasting struct{ w http.ResponseWriter }

func (l lasting) Write(b []byte) (int, error) {
	_ = http.NewResponseController(l.w).SetWriteDeadline(time.Now().Add(maxIdle))
	return l.w.Write(b)
}

func (m *surface) remove(w http.ResponseWriter, r *http.Request) error {
	if err := mayWrite(r.PathValue("path")); err != nil {
		return err
	}
	if err := m.Track.Artifacts.Delete(r.Context(), strings.TrimSuffix(r.PathValue("path"), "/")); err != nil {
		return err
	}
	return answer(w, none{})
}

// noParts refuses uploads in parts in the words by which clients know to send
// a file whole.
func noParts(http.ResponseWriter, *http.Request) error {
	return fault.New(fault.Unsupported, "Multipart upload is not supported for the current artifact repository")
}

func noAddress(http.ResponseWriter, *http.Request) error {
	return fault.New(fault.Unsupported, "Multipart download is not supported for the current artifact repository")
}

// fileMessage is a file or folder.
type fileMessage struct {
	Path   string   `json:"path"`
	Folder bool     `json:"is_dir"`
	Size   *integer `json:"file_size,omitempty"`
}

type someFiles struct {
	Root  string        `json:"root_uri,omitempty"`
	Files []fileMessage `json:"files,omitempty"`
}

// messagesOfFiles names files from a root on.
func messagesOfFiles(files []track.File, root string) []fileMessage {
	var messages []fileMessage
	for _, f := range files {
		message := fileMessage{Path: strings.TrimPrefix(strings.TrimPrefix(f.Path, root), "/"), Folder: f.Folder}
		if !f.Folder {
			size := integer(f.Size)
			message.Size = &size
		}
		messages = append(messages, message)
	}
	return messages
}

type listFilesQuery struct {
	Path string `json:"path"`
}

// listFiles names what a folder of the proxy holds, each by its last element.
func (m *surface) listFiles(ctx context.Context, q listFilesQuery) (someFiles, error) {
	folder, err := track.CleanPath(q.Path)
	if err != nil {
		return someFiles{}, err
	}
	files, err := m.listArtifacts(ctx, folder)
	return someFiles{Files: messagesOfFiles(files, folder)}, err
}

type listOfRunQuery struct {
	runQuery
	Path string `json:"path"`
}

func (m *surface) listOfRun(ctx context.Context, q listOfRunQuery) (someFiles, error) {
	id, err := q.id()
	if err != nil {
		return someFiles{}, err
	}
	r, err := m.Track.Runs.Get(ctx, id)
	if err != nil {
		return someFiles{}, err
	}
	return m.listBeneath(ctx, r.Artifacts, q.Path)
}

type listLoggedQuery struct {
	Path string `json:"artifact_directory_path"`
}

func (m *surface) listLogged(ctx context.Context, value func(string) string, q listLoggedQuery) (someFiles, error) {
	model, err := m.Track.Models.Get(ctx, value("model_id"), false)
	if err != nil {
		return someFiles{}, err
	}
	return m.listBeneath(ctx, model.Artifacts, q.Path)
}

// listBeneath names what a folder beneath an address holds, from the address
// on.
func (m *surface) listBeneath(ctx context.Context, address, folder string) (someFiles, error) {
	root, ok := track.PathOf(address)
	if !ok {
		return someFiles{}, fault.New(fault.Unsupported, "the artifacts lie at %.200s, where this server does not look", address).
			Hint("the client lists them there by itself")
	}
	folder, err := track.CleanPath(folder)
	if err != nil {
		return someFiles{}, err
	}
	files, err := m.Track.Artifacts.List(ctx, path.Join(root, folder))
	return someFiles{address, messagesOfFiles(files, root)}, err
}
