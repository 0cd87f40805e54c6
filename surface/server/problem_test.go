package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide/limit"
	"github.com/leat-ai/leat/surface/server"
)

func written(t *testing.T, err error) (server.Problem, *httptest.ResponseRecorder) {
	t.Helper()
	w := httptest.NewRecorder()
	server.WriteProblem(w, err)
	return problemOf(t, w), w
}

func TestEveryKindIsAProblemDocument(t *testing.T) {
	for _, kind := range fault.Kinds() {
		err := fault.New(kind, "the thing is wrong").At("line 7").Hint("mend it")
		p, w := written(t, fmt.Errorf("somewhere: %w", err))
		if p.Kind != string(kind) || p.Status != kind.HTTP() || p.Type != "about:blank" || p.Hint != "mend it" || p.Title != http.StatusText(p.Status) {
			t.Errorf("%s: %+v", kind, p)
		}
		if !strings.Contains(p.Detail, "the thing is wrong") || kind != fault.Internal && p.Where != "line 7" {
			t.Errorf("%s: %+v", kind, p)
		}
		if back := w.Header().Get("Retry-After"); (back != "") != kind.Retryable() {
			t.Errorf("%s: Retry-After %q", kind, back)
		}
	}
}

func TestWhatIsInternalIsNotTold(t *testing.T) {
	secret := errors.New("dial 10.2.3.4: password hunter2 refused")
	for name, err := range map[string]error{
		"not a fault":       secret,
		"wrapped":           fmt.Errorf("reading: %w", secret),
		"cause of Internal": fault.New(fault.Internal, "the catalog is broken").Because(secret),
	} {
		p, w := written(t, err)
		if strings.Contains(w.Body.String(), "hunter2") || p.Kind != string(fault.Internal) || p.Detail == "" {
			t.Errorf("%s: %s", name, w.Body)
		}
	}
}

func TestSeveralMistakesAreToldOneByOne(t *testing.T) {
	var l fault.List
	l.Add(fault.New(fault.Invalid, "no field limitt").At("a.yaml:3:1").Hint("did you mean limit?"))
	l.Add(fault.New(fault.Invalid, "no model fraudd").At("b.yaml:9:4"))
	p, _ := written(t, fault.Wrap(l.Err(), fault.Invalid, "the project"))
	want := []server.Mistake{
		{Detail: "a.yaml:3:1: no field limitt", Hint: "did you mean limit?", Where: "a.yaml:3:1"},
		{Detail: "b.yaml:9:4: no model fraudd", Where: "b.yaml:9:4"},
	}
	if fmt.Sprint(p.Errors) != fmt.Sprint(want) || p.Detail != "there are several mistakes" || p.Kind != string(fault.Invalid) {
		t.Errorf("%+v", p)
	}
}

func TestEndedContextsAndLargeBodiesHaveTheirKind(t *testing.T) {
	for kind, err := range map[fault.Kind]error{
		fault.Timeout:  fmt.Errorf("waiting: %w", context.DeadlineExceeded),
		fault.Canceled: context.Canceled,
		fault.TooLarge: fmt.Errorf("reading: %w", &http.MaxBytesError{Limit: 12}),
	} {
		if p, _ := written(t, err); p.Kind != string(kind) {
			t.Errorf("%v is a problem of kind %s", err, p.Kind)
		}
	}
}

// Who is over a rate is told how long to wait, in whole seconds and at least
// one.
func TestRetryAfterIsTheLimits(t *testing.T) {
	rate := limit.NewRate(0.25) // one in four seconds
	now := time.Unix(1_800_000_000, 0)
	var err error
	for err == nil {
		err = rate.Take("ada", 1, now)
	}
	_, w := written(t, err)
	if got := w.Header().Get("Retry-After"); got != "4" {
		t.Errorf("Retry-After %q", got)
	}
}

func TestProblemsAreReadBack(t *testing.T) {
	p := server.NewProblem(fault.New(fault.NotFound, "nothing is called x").Hint("look at the list"))
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back server.Problem
	if err := json.Unmarshal(text, &back); err != nil || fmt.Sprint(back) != fmt.Sprint(*p) {
		t.Errorf("%s is read as %+v, %v", text, back, err)
	}
	if p.Error() != "nothing is called x" || p.GetStatus() != 404 || p.ContentType("application/json") != "application/problem+json" {
		t.Errorf("%+v", p)
	}
}
