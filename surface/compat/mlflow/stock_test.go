package mlflow_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/flow/track"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/blob/file"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/sqlite"
	"github.com/leat-ai/leat/surface/compat/mlflow"
	"github.com/leat-ai/leat/surface/server"
)

// world is a server with the protocol alone, in a temporary folder.
type world struct {
	server *server.Server
	track  *track.Track
	keys   *identity.Keys
	db     *catalog.DB
}

func newWorld(t testing.TB, auth server.Auth) *world {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "catalog.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	bucket, err := file.Open(t.Context(), file.Config{Path: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	blobs := blob.NewStore(bucket, t.TempDir())
	tracking, err := track.Open(t.Context(), db, blobs, clock.System{}, track.Config{})
	if err != nil {
		t.Fatal(err)
	}
	tel, err := telemetry.New(t.Context(), telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	keys := identity.NewKeys(db, clock.System{})
	s, err := server.New(server.Config{Listen: "127.0.0.1:0", Auth: auth}, keys, tel)
	if err != nil {
		t.Fatal(err)
	}
	services := mlflow.Services{Version: "test", Track: tracking}
	withRegistry(t, &services, db, blobs, tracking)
	mlflow.Register(s, services)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(t.Context()) })
	return &world{server: s, track: tracking, keys: keys, db: db}
}

// clients are the stock clients by their major version, each a Python.
func clients(t testing.TB) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, version := range []string{"2", "3"} {
		python := filepath.Join(os.Getenv("LEAT_TOOLS"), "venv-mlflow"+version, "bin", "python")
		if _, err := os.Stat(python); err != nil {
			t.Fatalf("there is no stock client of MLflow %s: set LEAT_TOOLS and run internal/tools/install.sh test: %v", version, err)
		}
		found[version] = python
	}
	return found
}

// drive runs the cases of a script of testdata against a server: each prints
// a line "ok NAME", or "failed NAME" and then why.
func drive(t *testing.T, python, script, url string, env ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", script), url)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+home, "MLFLOW_TRACKING_URI="+url, "MLFLOW_HTTP_REQUEST_MAX_RETRIES=1", "MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT=1", "MLFLOW_DISABLE_TELEMETRY=true",
		"DO_NOT_TRACK=true", "PYTHONWARNINGS=ignore", "GIT_PYTHON_REFRESH=quiet", "OMP_NUM_THREADS=1", "PYTHONDONTWRITEBYTECODE=1")
	cmd.Env = append(cmd.Env, env...)
	cmd.WaitDelay = 10 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	cases := 0
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		verdict, rest, _ := strings.Cut(lines.Text(), " ")
		if verdict != "ok" && verdict != "failed" {
			continue
		}
		cases++
		name, why, _ := strings.Cut(rest, " ")
		t.Run(name, func(t *testing.T) {
			if verdict == "failed" {
				t.Error(strings.ReplaceAll(why, `\n`, "\n"))
			}
		})
	}
	if err != nil || cases == 0 {
		t.Errorf("%s after %d cases: %v\n%s\n%.4000s", script, cases, err, out, stderr.String())
	}
}
