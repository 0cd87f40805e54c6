package intake_test

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/flow/registry/intake"
	"github.com/leat-ai/leat/internal/realdata"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/importer"
	"github.com/leat-ai/leat/model/lightgbm"
	"github.com/leat-ai/leat/model/xgboost"
)

// shelf is a registry that remembers what it was given.
type shelf struct {
	mu      sync.Mutex
	given   []registry.NewVersion
	aliases map[string]int
}

func (s *shelf) Register(_ context.Context, n registry.NewVersion) (registry.Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.given = append(s.given, n)
	return registry.Version{Model: n.Model, Number: len(s.given), CreatedAt: time.Now().Add(time.Second), Lineage: n.Lineage}, nil
}

func (s *shelf) SetAlias(_ context.Context, name, alias string, version int, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.aliases == nil {
		s.aliases = map[string]int{}
	}
	s.aliases[name+"@"+alias] = version
	return nil
}

// place is where files lie, by their whole address.
type place map[string]string

func (p place) List(_ context.Context, address, secret string, _ map[string]string) (found []ingest.Object, err error) {
	if secret == "wrong" {
		return nil, fault.New(fault.Forbidden, "no")
	}
	folder, deep := strings.CutSuffix(address, "**/*")
	for name, content := range p {
		if name == address || deep && strings.HasPrefix(name, folder) {
			found = append(found, ingest.Object{Name: name, Size: int64(len(content))})
		}
	}
	slices.SortFunc(found, func(a, b ingest.Object) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

func (p place) Open(_ context.Context, o ingest.Object, _ string, _ map[string]string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(p[o.Name])), nil
}

func made(s *shelf, p place) *intake.Intake {
	return intake.New(intake.Config{
		Registry: s, Formats: []model.Format{lightgbm.Format{}, xgboost.Format{}}, Openers: map[string]ingest.Opener{"s3": p, "https": p},
		Clock: clock.System{}, Version: "1.2.3",
	})
}

func content(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(realdata.Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestAddressesAreFetched(t *testing.T) {
	iris := content(t, "model-server-examples/kserve-iris-lightgbm.txt")
	adult := "model-xgboost-trained/adult-categorical-binary/"
	from := place{
		"s3://models/iris.txt": iris, "https://user:pw@host/m.txt?sig=secret": iris,
		"s3://models/adult/model.ubj": content(t, adult+"model.ubj"), "s3://models/adult/manifest.json": content(t, adult+"manifest.json"),
		"s3://models/out/../../model.txt": iris,
	}
	for address, want := range map[string]string{
		"s3://models/iris.txt":                  "s3://models/iris.txt",
		"https://user:pw@host/m.txt?sig=secret": "https://host/m.txt",
		"s3://models/adult/":                    "s3://models/adult/",
	} {
		s := &shelf{}
		done, err := made(s, from).Import(context.Background(), intake.Request{
			Model: "m", URI: address, Alias: "champion", Label: "y", Tags: map[string]string{"a": "b"}, Description: "d", By: "me",
		})
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		n := s.given[0]
		if n.Lineage.Source != want || n.Lineage.Leat != "1.2.3" || n.Lineage.Label != "y" || n.By != "me" || n.Notes.Tags["a"] != "b" ||
			n.Notes.Description != "d" || s.aliases["m@champion"] != 1 || done.Existing {
			t.Errorf("%s: %+v, %+v", address, n, done)
		}
		if strings.HasSuffix(address, "adult/") && n.Files["categories.json"] == nil {
			t.Errorf("what lies beside the model was not used: %v", done.Notes)
		}
	}
	for address, kind := range map[string]fault.Kind{
		"s3://models/nothing.txt": fault.NotFound, "s3://models/nowhere/": fault.NotFound, "ftp://models/x": fault.Unsupported,
		"/etc/passwd": fault.Invalid, "file:///etc/passwd": fault.Unsupported, "s3://models/out/": fault.Invalid,
	} {
		s := &shelf{}
		_, err := made(s, from).Import(context.Background(), intake.Request{Model: "m", URI: address})
		if !fault.Is(err, kind) || len(s.given) > 0 {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := made(&shelf{}, from).Import(context.Background(), intake.Request{Model: "m", URI: "s3://models/iris.txt", Secret: "wrong"}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("%v", err)
	}
}

// TestImportsWaitForOneAnother: bytes are read only when it is an import's
// turn, and who stops waiting is told.
func TestImportsWaitForOneAnother(t *testing.T) {
	iris := content(t, "model-server-examples/kserve-iris-lightgbm.txt")
	in := made(&shelf{}, nil)
	var mu sync.Mutex
	reading, most := 0, 0
	free := make(chan struct{})
	request := intake.Request{Model: "m", Sent: func(context.Context) (importer.Files, error) {
		mu.Lock()
		reading++
		most = max(most, reading)
		mu.Unlock()
		<-free
		mu.Lock()
		reading--
		mu.Unlock()
		return importer.Files{"m.txt": []byte(iris)}, nil
	}}
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			if _, err := in.Import(context.Background(), request); err != nil {
				t.Error(err)
			}
		})
	}
	for {
		mu.Lock()
		full := reading == 2
		mu.Unlock()
		if full {
			break
		}
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := in.Import(ctx, request); !fault.Is(err, fault.Timeout) {
		t.Errorf("%v", err)
	}
	close(free)
	group.Wait()
	if most != 2 {
		t.Errorf("%d imports were read at once", most)
	}
}

func TestDamageIsAMistakeOfWhoSentIt(t *testing.T) {
	half := content(t, "model-server-examples/kserve-iris-xgboost.ubj")[:30000]
	s := &shelf{}
	_, err := made(s, nil).Import(context.Background(), intake.Request{Model: "m", Sent: func(context.Context) (importer.Files, error) {
		return importer.Files{"m.ubj": []byte(half)}, nil
	}})
	if !fault.Is(err, fault.Invalid) || len(s.given) > 0 {
		t.Errorf("%v", err)
	}
}
