package secret_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/secret"
)

const hidden = "pa55-w0rd"

func TestResolve(t *testing.T) {
	folder := t.TempDir()
	for name, content := range map[string]string{"plain": hidden, "line": hidden + "\r\n", "empty": "\n", "huge": strings.Repeat("x", 1<<20+1)} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("LEAT_TEST_SECRET", hidden)
	r := secret.NewResolver(map[string]secret.Source{"vault": fixed{}})
	for reference, want := range map[string]fault.Kind{
		"env:LEAT_TEST_SECRET":       "",
		"file:" + folder + "/plain":  "",
		"file:" + folder + "/line":   "",
		"vault:any":                  "",
		"env:LEAT_TEST_ABSENT":       fault.NotFound,
		"file:" + folder + "/absent": fault.NotFound,
		"file:" + folder + "/empty":  fault.NotFound,
		"file:" + folder + "/huge":   fault.TooLarge,
		"file:" + folder:             fault.Invalid,
		"file:relative":              fault.Invalid,
		"file:/dev/null":             fault.Invalid,
		"nobody:x":                   fault.Unsupported,
		hidden:                       fault.Invalid,
		"":                           fault.Invalid,
		"env:":                       fault.Invalid,
		"ENV:X":                      fault.Invalid,
	} {
		v, err := r.Resolve(t.Context(), secret.Reference(reference))
		if fault.KindOf(err) != want {
			t.Errorf("%.60q gives %v, want a fault of kind %q", reference, err, want)
		}
		if err == nil && v.Reveal() != hidden {
			t.Errorf("%q gives another value", reference)
		}
		if err != nil && strings.Contains(err.Error()+fault.HintOf(err), hidden) {
			t.Errorf("the fault of %q shows the secret", reference)
		}
	}
}

// A value that is rotated is seen by the next call.
func TestLate(t *testing.T) {
	r := secret.NewResolver(nil)
	for _, want := range []string{"one", "two"} {
		t.Setenv("LEAT_TEST_SECRET", want)
		if v, err := r.Resolve(t.Context(), "env:LEAT_TEST_SECRET"); err != nil || v.Reveal() != want {
			t.Errorf("%v", err)
		}
	}
}

func TestNeverPrinted(t *testing.T) {
	v := secret.NewValue(hidden)
	type holder struct {
		Open   secret.Value
		closed secret.Value
		many   []secret.Value
	}
	h := holder{v, v, []secret.Value{v}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb+"\n", v, &v, h)
	}
	encoded, err := json.Marshal(map[string]any{"v": v, "h": h})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v, "h", h)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v, "h", h)
	for _, leak := range []string{hidden, fmt.Sprintf("%x", hidden)} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("a secret was printed:\n%s", out.String())
		}
	}
}

type fixed struct{}

func (fixed) Resolve(context.Context, string) (secret.Value, error) {
	return secret.NewValue(hidden), nil
}
