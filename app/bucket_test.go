package app

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/spec"
)

// The whole loop with its tables in a bucket and its source on a web server:
// only the configuration differs.
func TestTheLoopOnABucket(t *testing.T) {
	bucket := testserver.S3(t)
	bucket.Bucket(t, "lake")
	t.Setenv("AWS_ACCESS_KEY_ID", bucket.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", bucket.SecretKey)
	var folder string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(folder, filepath.Base(r.URL.Path)))
	}))
	t.Cleanup(web.Close)
	place := url.Values{"region": {bucket.Region}, "endpoint": {bucket.Endpoint}, "path_style": {"true"}}
	const n = 3000
	l := newLoop(t, n, func(c *Config) { c.Lake, c.Egress = "s3://lake/prod?"+place.Encode(), "127.0.0.1" })
	folder = l.dir

	l.apply("from: payments.csv", "from: "+web.URL+"/payments.csv")
	l.run(spec.KindPipeline, "learn", "learn-1")
	scores, err := l.lake.Table(t.Context(), "scores")
	if err != nil {
		t.Fatal(err)
	}
	l.run(spec.KindBatch, "all", "again")
	good := n - n/200
	for sql, want := range map[string]int{
		"select count(*) from payments":                                  good,
		"select count(*) from scores":                                    good,
		fmt.Sprintf("select count(*) from scores@%d", scores.Snapshot()): good,
		fmt.Sprintf("select count(*) from scores join scores@%d b using (decision_id)", scores.Snapshot()): 0,
		"select count(distinct id) from scores join payments using (id)":                                   good,
	} {
		if got := l.count(sql); got != want {
			t.Errorf("%s: %d, want %d", sql, got, want)
		}
	}
	l.restart()
	if got := l.count("select count(*) from scores"); got != good {
		t.Errorf("after a restart: %d", got)
	}
	if _, err := os.Stat(filepath.Join(l.config.Home, "lake")); err == nil {
		t.Error("there are tables in the home")
	}

	// What the operator did not allow is not asked.
	l.apply("from: "+web.URL, "from: "+strings.Replace(web.URL, "127.0.0.1", "localhost", 1))
	if _, err := l.through(t.Context(), spec.KindPipeline, "learn", "learn-2"); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a host that is not allowed: %v", err)
	}
}

// count asks for one number.
func (l *loop) count(sql string) (n int) {
	l.Helper()
	r, err := l.Client().SQL(l.Context(), sql, 0)
	if err == nil {
		_, err = fmt.Sscanf(string(r.Rows), "[[%d]]", &n)
	}
	if err != nil {
		l.Fatalf("%s: %v", sql, err)
	}
	return n
}
