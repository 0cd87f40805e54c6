package mlflow

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/registry/intake"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/model/importer"
)

// Bounds of one fetch.
const (
	maxMessage = 8 << 20 // bytes of an answer in JSON
	maxDepth   = 16      // of folders in folders
	patience   = 30 * time.Second
)

// server is one MLflow server.
type server struct {
	base   *url.URL
	secret string
	client *http.Client
}

func (f *Fetcher) open(base *url.URL, secret string) *server {
	return &server{base: base, secret: secret, client: egress.Client(f.policy, egress.Options{MaxBody: maxBody, Resolver: f.resolver})}
}

// text is a string that servers may write as a number.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(t))
	}
	if string(b) != "null" {
		*t = text(b)
	}
	return nil
}

type pair struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func tagMap(tags []pair) map[string]string {
	m := map[string]string{}
	for _, t := range tags {
		m[t.Key] = t.Value
	}
	return m
}

// version is what is read of a model version.
type version struct {
	Name        string `json:"name"`
	Version     text   `json:"version"`
	Description string `json:"description"`
	Source      string `json:"source"`
	Run         string `json:"run_id"`
	Tags        []pair `json:"tags"`
}

// version finds the version that a reference means.
func (s *server) version(ctx context.Context, r reference) (version, error) {
	var one struct {
		Version version `json:"model_version"`
	}
	switch {
	case r.version != "":
		err := s.api(ctx, "2.0/mlflow/model-versions/get", url.Values{"name": {r.name}, "version": {r.version}}, &one)
		return one.Version, err
	case r.alias != "":
		err := s.api(ctx, "2.0/mlflow/registered-models/alias", url.Values{"name": {r.name}, "alias": {r.alias}}, &one)
		return one.Version, err
	}
	var many struct {
		Versions []version `json:"model_versions"`
	}
	if err := s.api(ctx, "2.0/mlflow/registered-models/get-latest-versions", url.Values{"name": {r.name}}, &many); err != nil {
		return version{}, err
	}
	newest, number := version{}, 0
	for _, v := range many.Versions {
		if n, err := strconv.Atoi(string(v.Version)); err == nil && n > number {
			newest, number = v, n
		}
	}
	if number == 0 {
		return version{}, fault.New(fault.NotFound, "the model %s has no versions there", r.name)
	}
	return newest, nil
}

// artifacts is how addresses begin whose files the server hands out.
const artifacts = "mlflow-artifacts:"

// location is the path, in the server's artifact proxy, of a version's folder.
func (s *server) location(ctx context.Context, v version) (string, error) {
	var download struct {
		URI string `json:"artifact_uri"`
	}
	q := url.Values{"name": {v.Name}, "version": {string(v.Version)}}
	if err := s.api(ctx, "2.0/mlflow/model-versions/get-download-uri", q, &download); err != nil {
		return "", err
	}
	uri, err := s.resolve(ctx, download.URI)
	if err != nil {
		return "", err
	}
	rest, ok := strings.CutPrefix(uri, artifacts)
	if !ok {
		return "", fault.New(fault.Unsupported, "the files of %s version %s lie at %s, and the server does not hand them out", v.Name, v.Version, bare(uri)).
			Hint("start it with --serve-artifacts, or import that address where Leat can read it")
	}
	if host, ok := strings.CutPrefix(rest, "//"); ok { // with the name of a host, which is this one
		_, rest, _ = strings.Cut(host, "/")
	}
	return strings.Trim(path.Clean("/"+rest), "/"), nil
}

// resolve follows an address that means a run or a logged model.
func (s *server) resolve(ctx context.Context, uri string) (string, error) {
	if model, ok := strings.CutPrefix(uri, "models:/m-"); ok {
		var logged struct {
			Model struct {
				Info struct {
					URI string `json:"artifact_uri"`
				} `json:"info"`
			} `json:"model"`
		}
		err := s.api(ctx, "2.0/mlflow/logged-models/"+url.PathEscape("m-"+model), nil, &logged)
		return logged.Model.Info.URI, err
	}
	if of, ok := strings.CutPrefix(uri, "runs:/"); ok {
		id, below, _ := strings.Cut(of, "/")
		r, err := s.run(ctx, id)
		return strings.TrimSuffix(r.Info.URI, "/") + "/" + below, err
	}
	return uri, nil
}

// bare is an address without what may be a secret.
func bare(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return "another address"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// run is what is read of a run.
type run struct {
	Info struct {
		Name       string `json:"run_name"`
		Experiment text   `json:"experiment_id"`
		URI        string `json:"artifact_uri"`
		User       string `json:"user_id"`
	} `json:"info"`
	Data struct {
		Metrics []struct {
			Key   string          `json:"key"`
			Value json.RawMessage `json:"value"`
		} `json:"metrics"`
		Params []pair `json:"params"`
	} `json:"data"`
}

func (s *server) run(ctx context.Context, id string) (run, error) {
	var found struct {
		Run run `json:"run"`
	}
	err := s.api(ctx, "2.0/mlflow/runs/get", url.Values{"run_id": {id}}, &found)
	return found.Run, err
}

// lineage adds what the server knows of the run that made a version. A run
// that is gone says nothing.
func (s *server) lineage(ctx context.Context, id string, f *intake.Fetched) error {
	r, err := s.run(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	l := &f.Lineage
	l.Run, l.Params, f.Metrics = id, map[string]float64{}, map[string]float64{}
	for _, p := range r.Data.Params {
		if v, err := strconv.ParseFloat(p.Value, 64); err == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
			l.Params[p.Key] = v
		} else {
			l.Notes["param "+p.Key] = p.Value
		}
	}
	for _, m := range r.Data.Metrics { // NaN and the infinities come as texts, and are no figures of a gate
		if v, err := strconv.ParseFloat(string(m.Value), 64); err == nil {
			f.Metrics[m.Key] = v
		}
	}
	var experiment struct {
		Experiment struct {
			Name string `json:"name"`
		} `json:"experiment"`
	}
	err = s.api(ctx, "2.0/mlflow/experiments/get", url.Values{"experiment_id": {string(r.Info.Experiment)}}, &experiment)
	l.Experiment = experiment.Experiment.Name
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// entry is a file or folder of a listing, by its name in the listed folder.
type entry struct {
	Path  string `json:"path"`
	IsDir bool   `json:"is_dir"`
}

// folder fetches all files below a path of the artifact proxy.
func (s *server) folder(ctx context.Context, root string) (importer.Files, error) {
	files := importer.Files{}
	if err := s.below(ctx, root, "", 0, files); err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fault.New(fault.NotFound, "the server has no files of this version")
	}
	return files, nil
}

func (s *server) below(ctx context.Context, root, folder string, depth int, files importer.Files) error {
	if depth > maxDepth {
		return fault.New(fault.Invalid, "the model's folders are more than %d deep", maxDepth)
	}
	var listing struct {
		Files []entry `json:"files"`
	}
	q := url.Values{"path": {path.Join(root, folder)}}
	if err := s.api(ctx, "2.0/mlflow-artifacts/artifacts", q, &listing); err != nil {
		return err
	}
	for _, e := range listing.Files {
		name := path.Base(e.Path)
		if name == "." || name == ".." || name == "/" {
			return fault.New(fault.Invalid, "the server lists a file %.80q", e.Path)
		}
		name = path.Join(folder, name)
		var err error
		if e.IsDir {
			err = s.below(ctx, root, name, depth+1, files)
		} else {
			err = s.file(ctx, root, name, files)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *server) file(ctx context.Context, root, name string, files importer.Files) (err error) {
	answer, err := s.get(ctx, s.base.JoinPath("api/2.0/mlflow-artifacts/artifacts", root, name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, answer.Close()) }()
	left := files.Room()
	data, err := io.ReadAll(io.LimitReader(answer, left+1))
	if err != nil {
		return egress.Clean(err)
	}
	if int64(len(data)) > left {
		return fault.New(fault.TooLarge, "the model has more than %d MiB", importer.MaxBytes>>20)
	}
	return files.Add(name, data)
}

// api asks an operation of the server and reads its answer.
func (s *server) api(ctx context.Context, operation string, q url.Values, into any) (err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	u := s.base.JoinPath("api", operation)
	u.RawQuery = q.Encode()
	answer, err := s.get(ctx, u)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, answer.Close()) }()
	message, err := io.ReadAll(io.LimitReader(answer, maxMessage+1))
	if err != nil {
		return egress.Clean(err)
	}
	if len(message) > maxMessage {
		return fault.New(fault.TooLarge, "the MLflow server answers with more than %d MiB", maxMessage>>20)
	}
	if err := json.Unmarshal(message, into); err != nil {
		return fault.New(fault.Unavailable, "the server does not answer as MLflow does").Because(err)
	}
	return nil
}

// get makes one request; the caller closes what it returns.
func (s *server) get(ctx context.Context, u *url.URL) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the address of the MLflow server is not understood")
	}
	if user, password, ok := strings.Cut(s.secret, ":"); ok {
		r.SetBasicAuth(user, password)
	} else if s.secret != "" {
		r.Header.Set("Authorization", "Bearer "+s.secret)
	}
	answer, err := s.client.Do(r)
	if err != nil {
		return nil, egress.Clean(err)
	}
	if answer.StatusCode == http.StatusOK {
		return answer.Body, nil
	}
	defer answer.Body.Close()
	return nil, refusal(answer)
}

// refusal says why a server did not answer, in its own words where it has any.
func refusal(answer *http.Response) error {
	var told struct {
		Code    string `json:"error_code"`
		Message string `json:"message"`
	}
	if message, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10)); err != nil || json.Unmarshal(message, &told) != nil {
		told.Message = ""
	}
	kind := fault.Unavailable
	switch answer.StatusCode {
	case http.StatusNotFound:
		kind = fault.NotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return fault.New(fault.Forbidden, "the MLflow server wants other credentials").Hint("name a secret with user:password or a token")
	case http.StatusBadRequest: // what MLflow says of an alias that is not there, too
		kind = fault.Invalid
	}
	if told.Message == "" {
		return fault.New(kind, "the MLflow server answers with status %d", answer.StatusCode)
	}
	return fault.New(kind, "the MLflow server says: %.300s", told.Message)
}
