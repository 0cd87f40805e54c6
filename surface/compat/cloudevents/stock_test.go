package cloudevents_test

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/surface/compat/cloudevents"
	"github.com/leat-ai/leat/surface/server"
)

// oneKey knows one key.
type oneKey struct{}

func (oneKey) Authenticate(_ context.Context, token string) (identity.Principal, error) {
	if token != "leat_good" {
		return identity.Principal{}, fault.New(fault.Unauthenticated, "the API key is not known")
	}
	return identity.Principal{Name: "shop", Grants: []string{"score:orders"}}, nil
}

// TestStockClients lets programs send that nobody here wrote.
func TestStockClients(t *testing.T) {
	python := os.Getenv("LEAT_PYTHON")
	if python == "" {
		t.Fatal("LEAT_PYTHON is not set: it names a Python with cloudevents and azure-eventgrid; `make tools` installs one")
	}
	tel, err := telemetry.New(t.Context(), telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Config{Listen: "127.0.0.1:0", Auth: server.AuthKeys}, oneKey{}, tel)
	if err != nil {
		t.Fatal(err)
	}
	box := &inbox{events: map[string][]bus.Event{}}
	if err := cloudevents.Register(s, box); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Stop(context.Background()) }()
	out, err := exec.CommandContext(t.Context(), python, "testdata/stock.py", s.URL()+"/v1/streams/orders/events", "leat_good").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var ids []string
	events := box.take()
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	want := []string{"/shop new-0", "/shop new-1", "/shop old-0", "/shop old-1", "eventgrid orders grid-0", "eventgrid orders grid-1", "/shop azure"}
	if !slices.Equal(ids, want) {
		t.Fatalf("%q", ids)
	}
	for _, e := range events[:2] {
		if e.Header("ce-subject") != `Größe "M" 100%` || string(e.Key) != "ann" || e.Time.Unix() != 1774749599 || !strings.Contains(string(e.Body), "12.5") {
			t.Errorf("%+v", e)
		}
	}
	if string(events[0].Body) != string(events[1].Body) {
		t.Errorf("the same event is %s and %s", events[0].Body, events[1].Body)
	}
}
