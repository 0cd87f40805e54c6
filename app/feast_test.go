package app

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/spec"
)

const feastViews = `
kind: Source
name: activity
from: activity.csv
schema: {customer_id: string, at: timestamp, spend: double, n: int, country: string, vip: bool}
---
kind: Source
name: members
from: members.csv
schema: {customer_id: string, at: timestamp, spend: double, since: timestamp}
---
kind: FeatureView
name: act
entity: customer_id
source: activity
timestamp: at
ttl: 1d
columns: [spend, n, country, vip]
---
kind: FeatureView
name: other
entity: customer_id
source: members
timestamp: at
ttl: 1d
columns: [spend, since]
---
kind: FeatureView
name: windows
entity: customer_id
source: activity
timestamp: at
features: {spent: {sum: spend, window: 1h}}
`

// feastShop is a server with the views that the stock client's script defines.
func feastShop(t *testing.T, change func(*Config)) *loop {
	t.Helper()
	l := &loop{T: t, dir: t.TempDir()}
	for name, text := range map[string]string{
		"leat.yaml":    feastViews,
		"activity.csv": "customer_id,at,spend,n,country,vip\nlong-ago,2020-01-01T00:00:00Z,1,1,de,true\n",
		"members.csv":  "customer_id,at,spend,since\nlong-ago,2020-01-01T00:00:00Z,1,2019-01-01T00:00:00Z\n",
	} {
		if err := os.WriteFile(filepath.Join(l.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.config = Config{Project: l.dir, Home: filepath.Join(l.dir, "home")}
	l.config.Server.Listen = "127.0.0.1:0"
	change(&l.config)
	l.start()
	t.Cleanup(func() {
		if err := stopped(l.App); err != nil {
			t.Error(err)
		}
	})
	l.run(spec.KindSource, "activity", "read")
	l.run(spec.KindSource, "members", "read2")
	l.views.Refresh()
	return l
}

// TestFeastClient drives the whole server with Feast's own client.
func TestFeastClient(t *testing.T) {
	python := filepath.Join(os.Getenv("LEAT_TOOLS"), "venv-feast", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		t.Fatalf("there is no stock client of Feast: set LEAT_TOOLS and run internal/tools/install.sh test: %v", err)
	}
	for name, change := range map[string]func(*Config){
		"local": func(*Config) {},
		"redis": func(c *Config) { c.Online = testserver.Redis(t).URL(0) },
	} {
		t.Run(name, func(t *testing.T) {
			l := feastShop(t, change)
			cmd := exec.CommandContext(t.Context(), python, filepath.Join("..", "surface", "compat", "feast", "testdata", "remote.py"), l.server.URL(),
				"write", "read", "types_are_kept", "full_names", "times", "newer_wins", "push", "errors_are_raised", "materialise", "health")
			cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "FEAST_USAGE=False", "PYTHONWARNINGS=ignore", "PYTHONDONTWRITEBYTECODE=1")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if n := strings.Count(string(out), "ok "); err != nil || n != 10 || strings.Contains(string(out), "failed ") {
				t.Errorf("%d cases, %v\n%s\n%.3000s", n, err, strings.ReplaceAll(string(out), `\n`, "\n"), stderr.String())
			}
			pushedTwice(l)
		})
	}
}

// pushedTwice: an event that is sent again counts once in windows, and goes to
// the lake once though two views are over it.
func pushedTwice(l *loop) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	event := map[string]any{"push_source_name": "activity", "to": "online_and_offline", "df": map[string]any{
		"customer_id": []string{"w"}, "at": []string{now.Add(-time.Minute).Format(time.RFC3339Nano)}, "spend": []float64{2.5}, "n": []int{1}, "country": []string{"ch"}, "vip": []bool{true}}}
	if code := l.postFeatures("/push", event, nil); code != http.StatusOK {
		l.Fatalf("push: %d", code)
	}
	event["to"] = "online"
	if code := l.postFeatures("/push", event, nil); code != http.StatusOK {
		l.Fatalf("push again: %d", code)
	}
	var answer struct{ Results []struct{ Values []any } }
	if code := l.postFeatures("/get-online-features", map[string]any{"entities": map[string]any{"customer_id": []string{"w"}}, "feature_service": "windows"}, &answer); code != http.StatusOK {
		l.Fatalf("read: %d", code)
	}
	if got := fmt.Sprint(answer.Results); got != "[{[w]} {[2.5]}]" {
		l.Errorf("read %s", got)
	}
	if got := l.row("select count(*) from activity where customer_id = 'w'"); got[0] != 1.0 {
		l.Errorf("the lake has it %v times", got[0])
	}
}
