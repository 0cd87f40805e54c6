// Package intake takes models that were made elsewhere into the registry.
//
// It stands beside the training as the other way to a model version: Import
// finds out what was sent, or fetches what an address names, loads it once,
// and registers it with its signature, the hashes of its files and where it
// came from. What a model is, package model/importer knows; what a version
// is, the registry. The same model twice is the same version.
//
// What is sent is not trusted: bytes are bounded while they are read, and a
// model that does not load is not registered. Imports wait for one another,
// so that many of them need the memory of a few.
package intake

import (
	"cmp"
	"context"
	"maps"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/importer"
)

// Registry is where versions go: flow/registry.
type Registry interface {
	Register(ctx context.Context, n registry.NewVersion) (registry.Version, error)
	SetAlias(ctx context.Context, name, alias string, version int, by string) error
}

// Fetcher gets the files of a model from a server that has models rather than
// files, by the address of one.
type Fetcher interface {
	// Fetch gets what an address names. The secret, "" for none, is for the
	// server.
	Fetch(ctx context.Context, address, secret string) (Fetched, error)
}

// Fetched is what a Fetcher got.
type Fetched struct {
	Files   importer.Files
	Name    string           // of the model's file among them; "." for the folder
	Lineage registry.Lineage // what the server knows of its making
	Metrics map[string]float64
	Notes   registry.Notes // and what people wrote about it
}

// Intake imports models. Its fields are set before its first use; then it is
// safe for many goroutines.
type Intake struct {
	registry Registry
	importer *importer.Importer
	clock    clock.Clock
	version  string
	openers  map[string]ingest.Opener
	fetchers map[string]Fetcher
	busy     chan struct{}
}

// Config is what an Intake works with.
type Config struct {
	Registry Registry
	Formats  []model.Format
	Openers  map[string]ingest.Opener // of addresses, by scheme
	Fetchers map[string]Fetcher       // of servers that have models, by scheme; asked before Openers
	Clock    clock.Clock
	Version  string // of this program, for the lineage
}

// atOnce is how many models are imported at the same time.
const atOnce = 2

// New returns an intake.
func New(c Config) *Intake {
	return &Intake{
		registry: c.Registry, importer: importer.New(c.Formats), clock: c.Clock, version: c.Version,
		openers: c.Openers, fetchers: c.Fetchers, busy: make(chan struct{}, atOnce),
	}
}

// Request is one model to import: files that are sent, or an address.
type Request struct {
	Model string // name in the registry
	// Sent reads the files, once it is this import's turn.
	Sent        func(ctx context.Context) (importer.Files, error)
	Name        string // of the model's file among them; "." for the folder, "" to find it out
	URI         string // instead of Sent: https://…, s3://…, azblob://…
	Secret      string // for the address
	Source      string // where the files were before they were sent, for the lineage
	Hints       importer.Hints
	Alias       string            // set to the version; "" for none
	Label       string            // column that the model predicts; "" when not known
	Description string            //
	Tags        map[string]string //
	By          string
	Known       *Known // nil where there is no more to it
}

// Known is what the caller knows of files that another registry's client
// registers.
type Known struct {
	Lineage registry.Lineage
	Metrics map[string]float64
	Notes   registry.Notes
	// Folder has the files where they lie in the blob store already; they are
	// kept beside the version, to be downloaded as they came.
	Folder map[string]registry.File
	// Unreadable says why there are no files; "" where there are.
	Unreadable string
}

// reference is the version to register of what cannot be executed: it is kept,
// and says why.
func (k *Known) reference(r Request, why string) registry.NewVersion {
	return registry.NewVersion{
		Model: r.Model, Format: registry.Reference, Lineage: k.Lineage, Metrics: k.Metrics, Notes: k.Notes, Folder: k.Folder,
		Distinct: true, Unservable: why, By: r.By,
	}
}

// Imported is a version that was imported.
type Imported struct {
	Version  registry.Version  `json:"version"`
	Existing bool              `json:"existing,omitempty"` // it was there already
	Kind     string            `json:"kind"`
	About    model.Description `json:"about"`
	Notes    []string          `json:"notes,omitempty"`
}

// Import registers a model.
func (in *Intake) Import(ctx context.Context, r Request) (Imported, error) {
	select {
	case in.busy <- struct{}{}:
		defer func() { <-in.busy }()
	case <-ctx.Done():
		return Imported{}, fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "other imports took too long")
	}
	n, a, err := in.read(ctx, &r)
	if err != nil {
		return Imported{}, callers(err)
	}
	defer importer.Close(a.Model)
	began := in.clock.Now()
	v, err := in.registry.Register(ctx, n)
	if r.Known != nil && n.Format != registry.Reference && fault.Is(err, fault.Invalid) {
		v, err = in.registry.Register(ctx, r.Known.reference(r, reason(err)))
	}
	if err != nil {
		return Imported{}, err
	}
	if r.Alias != "" {
		if err := in.registry.SetAlias(ctx, v.Model, r.Alias, v.Number, r.By); err != nil {
			return Imported{}, err
		}
	}
	existing := v.CreatedAt.Before(began.Truncate(time.Microsecond))
	return Imported{Version: v, Existing: existing, Kind: a.Kind, About: a.Description, Notes: a.Notes}, nil
}

// callers makes damage in what was sent a mistake of who sent it; Corrupt is
// what is said of bytes that were kept here.
func callers(err error) error {
	if !fault.Is(err, fault.Corrupt) {
		return err
	}
	return fault.Wrap(err, fault.Invalid, "the model cannot be imported")
}

// read finds out what is to be registered.
func (in *Intake) read(ctx context.Context, r *Request) (registry.NewVersion, *importer.Artifact, error) {
	if k := r.Known; k != nil && k.Unreadable != "" {
		return k.reference(*r, k.Unreadable), &importer.Artifact{}, nil
	}
	from, err := in.get(ctx, r)
	if err != nil {
		return registry.NewVersion{}, nil, err
	}
	a, err := in.importer.Read(ctx, from.Files, from.Name, r.Hints)
	if k := r.Known; err != nil && k != nil && unexecutable(err) {
		return k.reference(*r, reason(err)), &importer.Artifact{}, nil
	}
	if err != nil {
		return registry.NewVersion{}, nil, err
	}
	return in.newVersion(*r, a, from), a, nil
}

// unexecutable tells whether an error says that the files are nothing that could
// be executed, rather than that reading them went wrong.
func unexecutable(err error) bool {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Unsupported, fault.Corrupt, fault.NotFound, fault.TooLarge, fault.Forbidden:
		return true
	}
	return false
}

// reason is an error as a sentence that is kept, with what to do about it.
func reason(err error) string {
	if hint := fault.HintOf(err); hint != "" {
		return err.Error() + " (" + hint + ")"
	}
	return err.Error()
}

// get has the files sent or fetched, and completes the request by what that
// shows.
func (in *Intake) get(ctx context.Context, r *Request) (from Fetched, err error) {
	if r.URI != "" {
		from, err = in.fetch(ctx, r.URI, r.Secret)
		r.Source = withoutSecrets(r.URI)
	} else {
		from.Files, err = r.Sent(ctx)
	}
	if k := r.Known; k != nil {
		from.Lineage, from.Metrics, from.Notes = k.Lineage, k.Metrics, k.Notes
	}
	from.Name = cmp.Or(r.Name, from.Name)
	if from.Name == "" && err == nil {
		from.Name = from.Files.Only()
	}
	return from, err
}

// newVersion is the version to register.
func (in *Intake) newVersion(r Request, a *importer.Artifact, from Fetched) registry.NewVersion {
	l := from.Lineage
	l.Source, l.Leat, l.Label = cmp.Or(l.Source, r.Source), in.version, cmp.Or(r.Label, l.Label)
	notes := maps.Clone(a.Description.Notes)
	if notes == nil {
		notes = map[string]string{}
	}
	maps.Copy(notes, l.Notes)
	for name, value := range map[string]string{
		"library": strings.TrimSpace(a.Description.Library + " " + a.Description.LibraryVersion), "kind": a.Kind, "objective": a.Description.Objective,
	} {
		if value != "" {
			notes[name] = value
		}
	}
	const most = 64 // files of a folder that are named one by one
	for _, f := range a.Source[:min(len(a.Source), most)] {
		notes["sha256 of "+f.Name] = f.SHA256
	}
	l.Notes = notes
	n := registry.NewVersion{
		Model: r.Model, Format: a.Format, Files: a.Files, Signature: a.Signature, Lineage: l, Metrics: from.Metrics, By: r.By, Notes: from.Notes,
	}
	if r.Known != nil {
		n.Distinct, n.Folder = true, r.Known.Folder
	}
	if r.Description != "" {
		n.Notes.Description = r.Description
	}
	if len(r.Tags) > 0 {
		tags := maps.Clone(n.Notes.Tags)
		if tags == nil {
			tags = map[string]string{}
		}
		maps.Copy(tags, r.Tags)
		n.Notes.Tags = tags
	}
	return n
}

// withoutSecrets is an address for the lineage: what stands before the @ and
// behind the ? may be a password or a signature.
func withoutSecrets(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		before, _, _ := strings.Cut(address, "?")
		return before
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// fileName is the last part of an address, or "model".
func fileName(address string) string {
	u, err := url.Parse(address)
	if err != nil || path.Base(u.Path) == "." || path.Base(u.Path) == "/" {
		return "model"
	}
	return path.Base(u.Path)
}
