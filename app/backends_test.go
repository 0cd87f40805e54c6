package app

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/surface/client"
	"github.com/leat-ai/leat/work"
)

// onS3 keeps blobs on an S3 server.
func onS3(t *testing.T) string {
	s := testserver.S3(t)
	s.Bucket(t, "leat")
	t.Setenv("AWS_ACCESS_KEY_ID", s.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s.SecretKey)
	return fmt.Sprintf("s3://leat/models?region=%s&path_style=true&endpoint=%s", s.Region, s.Endpoint)
}

// onAzurite keeps them on Azurite.
func onAzurite(t *testing.T) string {
	s := testserver.Azurite(t)
	s.Container(t, "leat")
	t.Setenv("AZURE_STORAGE_KEY", s.Key)
	return fmt.Sprintf("azblob://leat/models?account=%s&endpoint=%s", s.Account, s.Endpoint)
}

// TestBackends: the loop on PostgreSQL, with blobs in a bucket, has the same
// version, the same release and the same rows as on files; a second server on
// the same catalog serves what the first deployed.
func TestBackends(t *testing.T) {
	const n = 5000
	files := newLoop(t, n)
	files.run(spec.KindPipeline, "learn", "first")
	want, version := files.scored("scores"), files.version()
	pg := testserver.Postgres(t)
	for name, blobs := range map[string]func(*testing.T) string{"S3": onS3, "Azurite": onAzurite} {
		t.Run(name, func(t *testing.T) {
			address := blobs(t)
			catalog := pg.URL(t)
			a := newLoop(t, n, func(c *Config) { c.Catalog, c.Blobs = catalog, address })
			a.run(spec.KindPipeline, "learn", "first")
			if got := a.version(); got != version {
				t.Errorf("version %s, on files %s", got, version)
			}
			if got := a.scored("scores"); !reflect.DeepEqual(got, want) {
				t.Errorf("%d rows are not the %d that there are on files", len(got), len(want))
			}
			if got := a.live(); got != files.live() {
				t.Errorf("release %s, on files %s", got, files.live())
			}
			a.replicated()
			a.inBucket()
		})
	}
}

func (l *loop) version() string {
	l.Helper()
	v, err := l.registry.Version(l.Context(), "risk", "champion")
	if err != nil {
		l.Fatal(err)
	}
	return v.ID
}

// live is the release that requests get.
func (l *loop) live() string {
	l.Helper()
	s, err := l.Client().Score(l.Context(), "risk", []client.Row{payments(1)[0].row()}, "")
	if err != nil {
		l.Fatal(err)
	}
	return s.Release
}

// replicated starts a second server on the same catalog, bucket and lake.
func (l *loop) replicated() {
	l.Helper()
	// A run that is under way at the first is not the second's to do.
	run, err := l.App.start(l.Context(), spec.KindBatch, "all", work.ID("beside"))
	if err != nil {
		l.Fatal(err)
	}
	c := l.config
	c.Home, c.Lake = filepath.Join(l.dir, "second"), filepath.Join(l.config.Home, "lake")
	other := &loop{T: l.T, dir: l.dir, config: c}
	other.start()
	defer func() {
		if err := stopped(other.App); err != nil {
			l.Error(err)
		}
	}()
	if s, err := l.runs.Wait(l.Context(), run); err != nil || s.Err() != nil {
		l.Errorf("the run beside: %v, %v", s.Err(), err)
	}
	before := other.live()
	if before != l.live() {
		l.Error("the second server serves another release")
	}
	l.run(spec.KindPipeline, "relearn", "second")
	deployed := time.Now()
	l.eventually("the second server serves the new release", func() bool { return other.live() == l.live() })
	l.Logf("the second server followed in %v", time.Since(deployed).Round(time.Millisecond))
	if other.live() == before {
		l.Error("there is no new release")
	}
	// And the other way: what the second does, the first follows.
	if _, err := other.Client().Rollback(l.Context(), "risk", "1"); err != nil {
		l.Fatal(err)
	}
	l.eventually("the first server follows the rollback", func() bool { return l.live() == before })
	if runs, err := other.Client().Runs(l.Context(), "", "", "", 0); err != nil || len(runs) != 4 {
		l.Errorf("the second server knows %d runs, %v", len(runs), err)
	}
}

// inBucket checks that the models are in the bucket and nothing of them on
// this machine.
func (l *loop) inBucket() {
	l.Helper()
	n := 0
	err := l.blobs.List(l.Context(), func(blob.Digest, blob.Object) error { n++; return nil })
	if err != nil || n < 4 {
		l.Errorf("%d objects in the bucket, %v", n, err)
	}
	if left, _ := filepath.Glob(filepath.Join(l.config.Home, "blobs", "*")); len(left) > 0 {
		l.Errorf("beside the bucket there is %s", strings.Join(left, ", "))
	}
}
