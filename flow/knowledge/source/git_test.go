package source_test

import (
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge/source"
	"github.com/leat-ai/leat/guard/egress"
)

// repository makes one beneath a folder with all that could do harm: hooks,
// filters, a link, a submodule.
func repository(t *testing.T, root string) string {
	t.Helper()
	dir := filepath.Join(root, "handbook")
	trap := filepath.Join(root, "trapped")
	git(t, root, "init", "-q", "-b", "main", dir)
	write(t, filepath.Join(dir, "docs/travel.md"), "Hotels.\n")
	write(t, filepath.Join(dir, "docs/deep/pay.md"), "Pay.\n")
	write(t, filepath.Join(dir, "code/x.go"), "package x\n")
	write(t, filepath.Join(dir, ".gitattributes"), "* filter=evil\n")
	write(t, filepath.Join(dir, ".gitmodules"), "[submodule \"x\"]\n\tpath = x\n\turl = ../elsewhere\n")
	for _, hook := range []string{"post-checkout", "post-merge", "pre-auto-gc", "reference-transaction"} {
		path := filepath.Join(dir, ".git/hooks", hook)
		write(t, path, "#!/bin/sh\ntouch "+trap+"\n")
		if err := os.Chmod(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "docs/link.md")); err != nil {
		t.Fatal(err)
	}
	commit(t, dir, "first")
	if err := os.RemoveAll(trap); err != nil { // the hooks of the one who commits are his
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := os.Stat(trap); err == nil {
			t.Error("a hook of the repository was run")
		}
	})
	return dir
}

func commit(t *testing.T, dir, what string) {
	t.Helper()
	git(t, dir, "add", "-A")
	git(t, dir, "-c", "core.hooksPath=/dev/null", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", what)
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func openGit(t *testing.T, c source.GitConfig) *source.Git {
	t.Helper()
	if c.Folder == "" {
		c.Folder = t.TempDir()
	}
	g, err := source.NewGit(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g
}

func TestGitOfFiles(t *testing.T) {
	root := t.TempDir()
	dir := repository(t, root)
	c := source.GitConfig{From: "git+file://handbook#main", Path: "docs", Root: root, Folder: t.TempDir()}
	g := openGit(t, c)
	ids, items, next := listed(t, g, "")
	same(t, "files", ids, []string{"handbook/docs/deep/pay.md", "handbook/docs/travel.md"})
	if got := read(t, g, items["handbook/docs/travel.md"]); got != "Hotels.\n" {
		t.Errorf("%q", got)
	}
	if _, err := g.List(t.Context(), next, nil); err != source.ErrSame {
		t.Errorf("the same commit: %v", err)
	}
	write(t, filepath.Join(dir, "docs/travel.md"), "Trains.\n")
	commit(t, dir, "second")
	_, after, _ := listed(t, openGit(t, c), next)
	if after["handbook/docs/travel.md"].Mark == items["handbook/docs/travel.md"].Mark || after["handbook/docs/deep/pay.md"].Mark != items["handbook/docs/deep/pay.md"].Mark {
		t.Error("marks do not tell which file changed")
	}
	// Where the checkout is lost, it is fetched anew.
	fresh := openGit(t, source.GitConfig{From: c.From, Path: c.Path, Root: root})
	if got := read(t, fresh, after["handbook/docs/travel.md"]); got != "Trains.\n" {
		t.Errorf("%q", got)
	}
	for from, kind := range map[string]fault.Kind{"git+file://handbook#nothing": fault.NotFound, "git+file://../handbook": fault.Forbidden,
		"git+file:///etc": fault.NotFound, "git+file://none": fault.NotFound, "git+file://handbook#--upload-pack=x": fault.Invalid,
		"git+ext://sh -c touch% x": fault.Invalid} {
		g, err := source.NewGit(source.GitConfig{From: from, Root: root, Folder: t.TempDir()})
		if err == nil {
			_, err = g.List(t.Context(), "", func(source.Item) error { return nil })
		}
		if !fault.Is(err, kind) {
			t.Errorf("%s: %v", from, err)
		}
	}
}

func TestGitOverHTTP(t *testing.T) {
	root := t.TempDir()
	repository(t, root)
	backend := git(t, root, "--exec-path") + "/git-http-backend"
	if _, err := os.Stat(backend); err != nil {
		t.Fatalf("git has no server for HTTP: %v", err)
	}
	seen := ""
	handler := &cgi.Handler{Path: backend, Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1",
		"GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"}}
	server := httptest.NewServer(recorded{handler, &seen})
	t.Cleanup(server.Close)
	g := openGit(t, source.GitConfig{From: "git+" + server.URL + "/handbook/.git", Secret: "the-token", Policy: egress.Policy{Hosts: []string{"127.0.0.1"}}})
	ids, items, _ := listed(t, g, "")
	base := strings.TrimPrefix(server.URL, "http://") + "/handbook/.git/"
	same(t, "files", ids, []string{base + "code/x.go", base + "docs/deep/pay.md", base + "docs/travel.md"})
	if got := read(t, g, items[base+"docs/travel.md"]); got != "Hotels.\n" {
		t.Errorf("%q", got)
	}
	if seen != "Basic Z2l0OnRoZS10b2tlbg==" {
		t.Errorf("the secret was sent as %q", seen)
	}
}

// recorded notes what is sent to authenticate.
type recorded struct {
	http.Handler
	seen *string
}

func (r recorded) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	*r.seen = q.Header.Get("Authorization")
	r.Handler.ServeHTTP(w, q)
}
