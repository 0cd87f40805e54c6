package registry_test

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/postgres"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

// TestNotes runs what is kept beside versions on either kind of catalog.
func TestNotes(t *testing.T) {
	tests := map[string]func(*testing.T, world){
		"the same content twice": severalVersions, "deleted versions": deletedVersions, "deleted models": deletedModels,
		"changes": notesChange, "rename": rename, "search": search,
	}
	for name, test := range tests {
		t.Run("sqlite/"+name, func(t *testing.T) { test(t, open(t)) })
	}
	server := testserver.Postgres(t)
	for name, test := range tests {
		t.Run("postgres/"+name, func(t *testing.T) {
			db, err := postgres.Open(t.Context(), postgres.Config{URL: server.URL(t)})
			must(t, err)
			t.Cleanup(func() { _ = db.Close() })
			test(t, over(t, db))
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func distinct(t testing.TB, w world, weights string) registry.Version {
	t.Helper()
	n := newVersion(weights)
	n.Distinct = true
	v, err := w.Register(t.Context(), n)
	must(t, err)
	return v
}

func severalVersions(t *testing.T, w world) {
	a, b, c := distinct(t, w, "a"), distinct(t, w, "a"), distinct(t, w, "a")
	if a.Number != 1 || b.Number != 2 || c.Number != 3 || a.ID == b.ID || b.ID == c.ID {
		t.Fatalf("versions %d, %d, %d with ids %.8s, %.8s, %.8s", a.Number, b.Number, c.Number, a.ID, b.ID, c.ID)
	}
	if plain := register(t, w, "a"); plain.Number != 1 {
		t.Errorf("the same content is version %d; want the first", plain.Number)
	}
	for _, v := range []registry.Version{a, b, c} {
		_, release, err := w.Hold(t.Context(), v)
		must(t, err)
		release()
	}
	must(t, w.DeleteVersion(t.Context(), "fraud", 1, "ada"))
	if plain := register(t, w, "a"); plain.Number != 2 {
		t.Errorf("without the first, the same content is version %d; want the second", plain.Number)
	}
}

func deletedVersions(t *testing.T, w world) {
	ctx := t.Context()
	register(t, w, "a")
	second := register(t, w, "b")
	must(t, w.SetAlias(ctx, "fraud", "champion", 2, "ada"))
	must(t, w.DeleteVersion(ctx, "fraud", 2, "ada"))
	if v, err := w.Version(ctx, "fraud", "latest"); err != nil || v.Number != 1 {
		t.Errorf("latest is %d, %v", v.Number, err)
	}
	if _, err := w.Version(ctx, "fraud", "champion"); !fault.Is(err, fault.NotFound) {
		t.Errorf("the alias of a deleted version: %v", err)
	}
	for _, ref := range []string{"2", second.ID} { // as releases name it
		if v, err := w.Version(ctx, "fraud", ref); err != nil || v.Number != 2 {
			t.Errorf("%s: %v", ref, err)
		}
	}
	if err := w.SetAlias(ctx, "fraud", "champion", 2, "ada"); !fault.Is(err, fault.NotFound) {
		t.Errorf("an alias can point at a deleted version: %v", err)
	}
	if _, err := w.Entry(ctx, "fraud", 2); !fault.Is(err, fault.NotFound) {
		t.Errorf("it has an entry: %v", err)
	}
	if err := w.DeleteVersion(ctx, "fraud", 2, "ada"); !fault.Is(err, fault.NotFound) {
		t.Errorf("it can be deleted twice: %v", err)
	}
	versions, err := w.Versions(ctx, "fraud")
	if err != nil || len(versions) != 1 {
		t.Errorf("%d versions, %v", len(versions), err)
	}
	if v := register(t, w, "b"); v.Number != 3 || v.ID == second.ID {
		t.Errorf("what was deleted came back as version %d", v.Number)
	}
}

func deletedModels(t *testing.T, w world) {
	ctx := t.Context()
	v := register(t, w, "a")
	must(t, w.SetModelTag(ctx, "fraud", "team", "risk"))
	must(t, w.SetAlias(ctx, "fraud", "champion", 1, "ada"))
	must(t, w.DeleteModel(ctx, "fraud", "ada"))
	if _, err := w.Model(ctx, "fraud"); !fault.Is(err, fault.NotFound) {
		t.Errorf("the model is there: %v", err)
	}
	if models, err := w.Models(ctx); err != nil || len(models) != 0 {
		t.Errorf("%v, %v", models, err)
	}
	if _, err := w.Version(ctx, "fraud", v.ID); err != nil {
		t.Errorf("a release of it cannot be served any more: %v", err)
	}
	if _, err := w.CreateModel(ctx, registry.Model{Name: "fraud"}, "ada"); err != nil {
		t.Fatal(err)
	}
	m, err := w.Model(ctx, "fraud")
	if err != nil || len(m.Tags) != 0 || len(m.Aliases) != 0 {
		t.Errorf("the new model has %v, %v, %v", m.Tags, m.Aliases, err)
	}
	if again := register(t, w, "b"); again.Number != 2 {
		t.Errorf("numbers begin anew: %d", again.Number)
	}
}

func notesChange(t *testing.T, w world) {
	ctx := t.Context()
	n := newVersion("a")
	n.Notes = registry.Notes{Description: "first", Tags: map[string]string{"k": "v"}, Run: "run1"}
	n.Lineage.Source = "models:/m-1"
	v, err := w.Register(ctx, n)
	must(t, err)
	must(t, w.SetVersionTag(ctx, "fraud", 1, "other", "x", "ada"))
	must(t, w.SetVersionTag(ctx, "fraud", 1, "k", "w", "ada"))
	must(t, w.DeleteVersionTag(ctx, "fraud", 1, "other", "ada"))
	must(t, w.DeleteVersionTag(ctx, "fraud", 1, "never", "ada"))
	text, stage := "second", "Staging"
	e, err := w.ChangeVersion(ctx, "fraud", 1, registry.Change{Description: &text, Stage: &stage})
	must(t, err)
	if e.Head.Description != text || e.Head.Stage != stage || e.Head.Run != "run1" || e.Head.Source != "models:/m-1" ||
		!reflect.DeepEqual(e.Head.Tags, map[string]string{"k": "w"}) {
		t.Errorf("%+v", e.Head)
	}
	if same, err := w.Version(ctx, "fraud", "1"); err != nil || !reflect.DeepEqual(same, v) {
		t.Errorf("the version itself changed: %+v, %v", same, err)
	}
	register(t, w, "b")
	_, err = w.ChangeVersion(ctx, "fraud", 2, registry.Change{Stage: &stage, Others: "Archived"})
	must(t, err)
	latest, err := w.LatestByStage(ctx, "fraud")
	if err != nil || latest["Staging"].Number != 2 || latest["Archived"].Number != 1 || len(latest) != 2 {
		t.Errorf("%v, %v", latest, err)
	}
	for _, err := range []error{
		w.SetVersionTag(ctx, "fraud", 9, "k", "v", "ada"), w.SetModelTag(ctx, "none", "k", "v"),
		w.DeleteVersionTag(ctx, "none", 1, "k", "ada"), w.DeleteModel(ctx, "none", "ada"),
	} {
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("%v", err)
		}
	}
	if err := w.SetModelTag(ctx, "fraud", "", "v"); !fault.Is(err, fault.Invalid) {
		t.Errorf("a tag without a key: %v", err)
	}
}

func rename(t *testing.T, w world) {
	ctx := t.Context()
	first := register(t, w, "a")
	must(t, w.SetAlias(ctx, "fraud", "champion", 1, "ada"))
	must(t, w.SetModelTag(ctx, "fraud", "team", "risk"))
	m, err := w.RenameModel(ctx, "fraud", "scam")
	if err != nil || m.Aliases["champion"] != 1 || m.Tags["team"] != "risk" {
		t.Fatalf("%+v, %v", m, err)
	}
	for _, ref := range []string{"1", first.ID} { // as releases name it
		if v, err := w.Version(ctx, "fraud", ref); err != nil || v.ID != first.ID || v.Model != "scam" {
			t.Errorf("fraud %.8s is %+v, %v", ref, v, err)
		}
	}
	if _, err := w.Version(ctx, "fraud", "champion"); !fault.Is(err, fault.NotFound) {
		t.Errorf("the old name has aliases: %v", err)
	}
	if h, err := w.History(ctx, "scam"); err != nil || len(h) != 1 {
		t.Errorf("the history is %v, %v", h, err)
	}
	second := register(t, w, "b") // a new model of the old name
	if second.Number != 2 {
		t.Errorf("the new model begins with version %d", second.Number)
	}
	if _, err := w.RenameModel(ctx, "scam", "fraud"); !fault.Is(err, fault.Conflict) {
		t.Errorf("a taken name: %v", err)
	}
	must(t, w.DeleteModel(ctx, "fraud", "ada"))
	if _, err := w.RenameModel(ctx, "scam", "fraud"); !fault.Is(err, fault.Conflict) {
		t.Errorf("a name with versions under it: %v", err)
	}
	if _, err := w.RenameModel(ctx, "scam", "x/y"); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
	if _, err := w.RenameModel(ctx, "none", "some"); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
}

// What a release names is found for ever, and is what was registered,
// whatever names its model had since.
func TestReleasesFindTheirVersions(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		var names []string
		for _, letter := range "abc" {
			names = append(names, fmt.Sprintf("%c%d", letter, round))
		}
		type named struct {
			model  string
			number int
			id     string
		}
		var made []named
		count := 0
		for range rapid.IntRange(3, 12).Draw(rt, "steps") {
			name := rapid.SampledFrom(names).Draw(rt, "name")
			switch rapid.IntRange(0, 3).Draw(rt, "step") {
			case 0, 1:
				n := newVersion(fmt.Sprint(count))
				count++
				n.Model = name
				v, err := w.Register(ctx, n)
				must(t, err)
				made = append(made, named{name, v.Number, v.ID})
			case 2:
				_, err := w.RenameModel(ctx, name, rapid.SampledFrom(names).Draw(rt, "to"))
				if err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Conflict) {
					rt.Fatal(err)
				}
			case 3:
				if err := w.DeleteModel(ctx, name, "ada"); err != nil && !fault.Is(err, fault.NotFound) {
					rt.Fatal(err)
				}
			}
		}
		for _, m := range made {
			v, err := w.Version(ctx, m.model, fmt.Sprint(m.number))
			if err != nil || v.ID != m.id {
				rt.Fatalf("%s version %d was %.8s, is %.8s of %s: %v", m.model, m.number, m.id, v.ID, v.Model, err)
			}
		}
	})
}

func TestReferences(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	d, err := w.store.PutBytes(ctx, []byte("pickled"))
	must(t, err)
	n := registry.NewVersion{
		Model: "odd", Format: registry.Reference, Unservable: "it is a pickle", By: "ada",
		Folder: map[string]registry.File{"model.pkl": {Digest: d, Bytes: 7}},
	}
	v, err := w.Register(ctx, n)
	must(t, err)
	if _, _, err := w.Hold(ctx, v); !fault.Is(err, fault.Unsupported) {
		t.Errorf("it is served: %v", err)
	}
	folder, err := w.Folder(ctx, v)
	if err != nil || folder["model.pkl"].Bytes != 7 {
		t.Errorf("%v, %v", folder, err)
	}
	for name, bad := range map[string]func(*registry.NewVersion){
		"no reason":      func(n *registry.NewVersion) { n.Unservable = "" },
		"no folder":      func(n *registry.NewVersion) { n.Folder = nil },
		"files":          func(n *registry.NewVersion) { n.Files = map[string][]byte{"x": nil} },
		"a path up":      func(n *registry.NewVersion) { n.Folder = map[string]registry.File{"../x": {Digest: d}} },
		"no digest":      func(n *registry.NewVersion) { n.Folder = map[string]registry.File{"x": {Digest: "abc"}} },
		"another format": func(n *registry.NewVersion) { n.Format = "pickle" },
	} {
		n := n
		bad(&n)
		if _, err := w.Register(ctx, n); err == nil {
			t.Errorf("%s: it is registered", name)
		}
	}
}

func search(t *testing.T, w world) {
	ctx := t.Context()
	for i := range 5 {
		n := newVersion(fmt.Sprint(i))
		n.Model, n.Notes.Tags = fmt.Sprintf("m%d", i%2), map[string]string{"i": fmt.Sprint(i)}
		n.Notes.Run = fmt.Sprintf("run%d", i%3)
		_, err := w.Register(ctx, n)
		must(t, err)
	}
	byNumber := func(a, b registry.Head) int {
		return cmp.Or(-cmp.Compare(a.Number, b.Number), cmp.Compare(a.Model, b.Model))
	}
	numbers := func(s registry.Search[registry.Head]) (tags []string, more bool) {
		found, more, err := w.SearchVersions(ctx, s)
		must(t, err)
		for _, e := range found {
			if e.Number != e.Head.Number || e.Model != e.Head.Model {
				t.Errorf("the head is of another version: %+v", e)
			}
			tags = append(tags, e.Head.Tags["i"])
		}
		return tags, more
	}
	if got, more := numbers(registry.Search[registry.Head]{Compare: byNumber, Limit: 2}); !slices.Equal(got, []string{"4", "2"}) || !more {
		t.Errorf("%v, %v", got, more)
	}
	if got, more := numbers(registry.Search[registry.Head]{Compare: byNumber, Limit: 9, Offset: 2}); !slices.Equal(got, []string{"3", "0", "1"}) || more {
		t.Errorf("%v, %v", got, more)
	}
	if got, _ := numbers(registry.Search[registry.Head]{Model: "m1", Run: "run1", Compare: byNumber, Limit: 9}); !slices.Equal(got, []string{"1"}) {
		t.Errorf("%v", got)
	}
	models, more, err := w.SearchModels(ctx, registry.Search[registry.Model]{
		Compare: func(a, b registry.Model) int { return cmp.Compare(b.Name, a.Name) }, Limit: 1,
	})
	if err != nil || !more || len(models) != 1 || models[0].Name != "m1" {
		t.Errorf("%v, %v, %v", models, more, err)
	}
}

// recorder keeps events as long as their transaction does.
type recorder struct{ events []registry.Event }

func (r *recorder) Happened(ctx context.Context, tx catalog.Tx, e registry.Event) error {
	r.events = append(r.events, e)
	if e.Key == "refused" {
		return fault.New(fault.Invalid, "no")
	}
	_, err := tx.Exec(ctx, `DELETE FROM webhook_outbox WHERE id = ?`, "none") // it may write
	return err
}

func TestChangesAreAnnounced(t *testing.T) {
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "catalog.db")})
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	w := over(t, db)
	r := &recorder{}
	w.Announce(r)
	ctx := t.Context()
	register(t, w, "a")
	register(t, w, "a") // the same
	must(t, w.SetAlias(ctx, "fraud", "champion", 1, "ada"))
	must(t, w.SetAlias(ctx, "fraud", "champion", 1, "ada"))
	must(t, w.SetVersionTag(ctx, "fraud", 1, "k", "v", "ada"))
	must(t, w.DeleteVersionTag(ctx, "fraud", 1, "k", "ada"))
	must(t, w.DeleteVersion(ctx, "fraud", 1, "ada"))
	var got []registry.EventKind
	for _, e := range r.events {
		got = append(got, e.Kind)
	}
	want := []registry.EventKind{registry.ModelCreated, registry.VersionCreated, registry.AliasSet,
		registry.VersionTagSet, registry.VersionTagDeleted, registry.AliasDeleted}
	if !slices.Equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	register(t, w, "b")
	if err := w.SetVersionTag(ctx, "fraud", 2, "refused", "v", "ada"); !fault.Is(err, fault.Invalid) {
		t.Fatal(err)
	}
	if e, err := w.Entry(ctx, "fraud", 2); err != nil || len(e.Head.Tags) != 0 {
		t.Errorf("a change that could not be written down happened: %v, %v", e.Head.Tags, err)
	}
}
