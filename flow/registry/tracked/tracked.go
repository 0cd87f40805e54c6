// Package tracked makes model versions of what was logged: the folder of a
// logged model or of a run's artifacts becomes a version of the registry, with
// the run, its parameters and its metrics as lineage, so that gates can use
// them.
//
// It stands in flow/registry/ between the tracking (flow/track), where the
// files lie, and the intake, which finds out what they are. Register is all
// there is to call. Every call makes a version of its own, as clients of
// MLflow expect; what cannot be executed becomes one that is kept, can be
// downloaded, and says why it cannot be served.
package tracked

import (
	"context"
	"errors"
	"io"
	"maps"
	"math"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/flow/registry/intake"
	"github.com/leat-ai/leat/flow/track"
	"github.com/leat-ai/leat/model/importer"
)

// Importer takes models into the registry: flow/registry/intake.
type Importer interface {
	Import(ctx context.Context, r intake.Request) (intake.Imported, error)
}

// Versions registers what was logged. It is safe for many goroutines.
type Versions struct {
	Track    *track.Track
	Registry *registry.Registry
	Importer Importer
}

// Request is a version to register.
type Request struct {
	Model       string // that is there already
	Source      string // models:/m-…, models:/name/3, runs:/…, mlflow-artifacts:/…, or an address elsewhere
	Run         string // id, that made it; "" where the source says it
	Logged      string // id of the logged model that it is; "" for none
	RunLink     string
	Description string
	Tags        map[string]string
	Prompt      bool // it is a prompt, which has no files
	Programs    bool // who asks may have the server run what the files say
	By          string
}

// Keys of the lineage's notes of a version.
const (
	NoteRunLink = "run_link"
	NoteModel   = "logged_model"
)

// found is what a source leads to.
type found struct {
	run     string
	logged  *track.Model
	folder  string // among the artifacts; "" where there is none
	missing string // why there is none
}

// Register makes a version.
func (v *Versions) Register(ctx context.Context, r Request) (registry.Version, error) {
	if _, err := v.Registry.Model(ctx, r.Model); err != nil {
		return registry.Version{}, err
	}
	if name, ref, ok := versionSource(r.Source); ok {
		return v.again(ctx, r, name, ref)
	}
	f, err := v.find(ctx, r)
	if err != nil {
		return registry.Version{}, err
	}
	known, err := v.known(ctx, r, f)
	if err != nil {
		return registry.Version{}, err
	}
	imported, err := v.Importer.Import(ctx, intake.Request{
		Model: r.Model, By: r.By, Name: ".", Known: known, Hints: importer.Hints{Programs: r.Programs},
		Sent: func(ctx context.Context) (importer.Files, error) { return v.read(ctx, known.Folder) },
	})
	return imported.Version, err
}

// again registers a version of one model as a version of another.
func (v *Versions) again(ctx context.Context, r Request, name, ref string) (registry.Version, error) {
	from, err := v.Registry.Version(ctx, name, ref)
	if err != nil {
		return from, err
	}
	e, err := v.Registry.Entry(ctx, from.Model, from.Number)
	if err != nil {
		return from, err
	}
	notes := registry.Notes{Description: r.Description, Tags: r.Tags, Run: e.Head.Run}
	return v.Registry.Copy(ctx, from, r.Model, "models:/"+path.Join(from.Model, strconv.Itoa(from.Number)), notes, r.By)
}

// versionSource takes an address apart that means a version of the registry.
func versionSource(source string) (name, ref string, ok bool) {
	rest, ok := strings.CutPrefix(source, "models:/")
	if !ok || strings.HasPrefix(rest, "m-") && !strings.ContainsAny(rest, "/@") {
		return "", "", false
	}
	rest = strings.TrimPrefix(rest, "/")
	if name, ref, ok = strings.Cut(rest, "@"); ok {
		return name, ref, true
	}
	return strings.Cut(rest, "/")
}

// find says where the files of a source lie.
func (v *Versions) find(ctx context.Context, r Request) (f found, err error) {
	f.run = r.Run
	if r.Prompt {
		f.missing = "it is a prompt, not a model"
		return f, nil
	}
	if r.Logged != "" {
		if f.logged, err = v.loggedModel(ctx, r.Logged); err != nil {
			return f, err
		}
	}
	scheme, rest, ok := strings.Cut(r.Source, ":")
	switch {
	case !ok || scheme == "file" || len(scheme) == 1: // a path, also one of Windows
		return f, invalid(r.Source).Hint("a path of your machine is nothing to others: log the model, and register it by models:/ or runs:/")
	case scheme == "models":
		if f.logged, err = v.loggedModel(ctx, strings.Trim(rest, "/")); err == nil {
			f.folder, err = pathOf(f.logged.Artifacts)
		}
	case scheme == "runs":
		f.folder, err = v.runFolder(ctx, &f, strings.TrimPrefix(rest, "/"))
	case scheme == "mlflow-artifacts":
		f.folder, err = v.ownFolder(ctx, r, f)
	default:
		f.missing = "its files lie at " + bare(r.Source) + ", which Leat does not read"
	}
	if err == nil && f.logged != nil {
		if f.run == "" {
			f.run = f.logged.SourceRun
		}
		if r.Logged != "" && r.Logged != f.logged.ID {
			err = invalid(r.Source).Hint("the model_id does not name the model that the source is of")
		}
	}
	return f, err
}

func invalid(source string) *fault.Error {
	return fault.New(fault.Invalid, "Invalid model version source: '%.300s'", source)
}

func (v *Versions) loggedModel(ctx context.Context, id string) (*track.Model, error) {
	m, err := v.Track.Models.Get(ctx, id, false)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.New(fault.Invalid, "Invalid model version source: there is no logged model %.80s", id)
	}
	return &m, err
}

// pathOf is the path of an address among the artifacts.
func pathOf(address string) (string, error) {
	p, ok := track.PathOf(address)
	if !ok {
		return "", invalid(bare(address)).Hint("its files do not lie among Leat's artifacts")
	}
	return track.CleanPath(p)
}

// runFolder is the folder of runs:/<id>/<path>.
func (v *Versions) runFolder(ctx context.Context, f *found, source string) (string, error) {
	id, below, _ := strings.Cut(source, "/")
	if f.run != "" && f.run != id {
		return "", invalid("runs:/" + source).Hint("the run_id does not name the run that the source is of")
	}
	f.run = id
	run, err := v.Track.Runs.Get(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return "", fault.New(fault.Invalid, "Invalid model version source: there is no run %.80s", id)
	}
	if err != nil {
		return "", err
	}
	root, err := pathOf(run.Artifacts)
	if err != nil {
		return "", err
	}
	return beneath(root, path.Join(root, below))
}

// beneath refuses a path that leads out of a folder.
func beneath(root, p string) (string, error) {
	if p != root && !strings.HasPrefix(p, root+"/") {
		return "", invalid(p).Hint("the path leads out of where the run's files lie")
	}
	return track.CleanPath(p)
}

// ownFolder is the folder of an address among the artifacts: it belongs to
// the run or logged model that is named with it.
func (v *Versions) ownFolder(ctx context.Context, r Request, f found) (string, error) {
	p, err := pathOf(r.Source)
	if err != nil {
		return "", err
	}
	var owner string
	switch {
	case f.logged != nil:
		owner = f.logged.Artifacts
	case r.Run != "":
		run, err := v.Track.Runs.Get(ctx, r.Run)
		if err != nil {
			return "", err
		}
		owner = run.Artifacts
	default:
		return "", invalid(r.Source).Hint("name the run or the logged model that it is of: run_id or model_id")
	}
	root, err := pathOf(owner)
	if err != nil {
		return "", err
	}
	return beneath(root, p)
}

// bare is an address without what may be a secret.
func bare(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "another address"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// known is what is known of a version before its files are read.
func (v *Versions) known(ctx context.Context, r Request, f found) (*intake.Known, error) {
	k := &intake.Known{
		Lineage: registry.Lineage{Source: bare(r.Source), Run: f.run, Params: map[string]float64{}, Notes: map[string]string{}},
		Metrics: map[string]float64{},
		Notes:   registry.Notes{Description: r.Description, Tags: r.Tags, Run: f.run}, Unreadable: f.missing,
	}
	if r.RunLink != "" {
		k.Lineage.Notes[NoteRunLink] = r.RunLink
	}
	if f.run != "" {
		if err := v.madeIn(ctx, f.run, k); err != nil {
			return nil, err
		}
	}
	if f.logged != nil {
		k.Lineage.Notes[NoteModel] = f.logged.ID
		describe(k, f.logged.Params, f.logged.Metrics)
	}
	if f.missing != "" {
		return k, nil
	}
	return k, v.files(ctx, f.folder, k)
}

// madeIn adds what a run tells. One that is not here was made elsewhere.
func (v *Versions) madeIn(ctx context.Context, id string, k *intake.Known) error {
	run, err := v.Track.Runs.Get(ctx, id)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) {
		return nil
	}
	if err != nil {
		return err
	}
	x, err := v.Track.Experiments.Get(ctx, run.Experiment)
	if err != nil {
		return err
	}
	k.Lineage.Experiment = x.Name
	describe(k, run.Params, run.Metrics)
	return nil
}

// describe adds parameters and metrics: those that are numbers as such.
func describe(k *intake.Known, params track.Pairs, metrics []track.Metric) {
	for _, p := range params {
		if n, err := strconv.ParseFloat(p.Value, 64); err == nil && finite(n) {
			k.Lineage.Params[p.Key] = n
		} else {
			k.Lineage.Notes["param "+p.Key] = p.Value
		}
	}
	for _, m := range metrics {
		if finite(m.Value) {
			k.Metrics[m.Key] = m.Value
		}
	}
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// files lists the files of a folder.
func (v *Versions) files(ctx context.Context, folder string, k *intake.Known) error {
	all, err := v.Track.Artifacts.Files(ctx, folder)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		k.Unreadable = "there were no files at its source when it was registered"
		return nil
	}
	k.Folder = make(map[string]registry.File, len(all))
	total := int64(0)
	for _, f := range all {
		k.Folder[strings.TrimPrefix(f.Path, folder+"/")] = registry.File{Digest: f.Digest, Bytes: f.Size}
		total += f.Size
	}
	if total > importer.MaxBytes {
		k.Unreadable = "its files have more than " + strconv.Itoa(importer.MaxBytes>>20) + " MiB"
	}
	return nil
}

// read reads the files of a folder into memory.
func (v *Versions) read(ctx context.Context, folder map[string]registry.File) (importer.Files, error) {
	files := importer.Files{}
	for name, f := range maps.All(folder) {
		content, err := v.content(ctx, f)
		if err == nil {
			err = files.Add(name, content)
		}
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

func (v *Versions) content(ctx context.Context, f registry.File) (content []byte, err error) {
	r, err := v.Registry.Open(ctx, f)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return io.ReadAll(r)
}
