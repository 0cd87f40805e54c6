package source_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge/source"
)

// listed returns the ids that a source lists, in order, and where it came to.
func listed(t *testing.T, s source.Source, since string) (ids []string, items map[string]source.Item, next string) {
	t.Helper()
	items = map[string]source.Item{}
	next, err := s.List(t.Context(), since, func(it source.Item) error {
		ids = append(ids, it.ID)
		items[it.ID] = it
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ids)
	return ids, items, next
}

func read(t *testing.T, s source.Source, it source.Item) string {
	t.Helper()
	c, err := s.Open(t.Context(), it, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Body.Close()
	text, err := io.ReadAll(c.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, not %q", what, got, want)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestGlobs(t *testing.T) {
	for _, c := range []struct {
		glob, name string
		want       bool
	}{
		{"docs/**", "docs/a.md", true}, {"docs/**", "docs/a/b/c.md", true}, {"docs/**", "other/a.md", false},
		{"docs/**/*.md", "docs/a.md", true}, {"docs/**/*.md", "docs/a/b.md", true}, {"docs/**/*.md", "docs/a/b.txt", false},
		{"**/drafts/**", "docs/drafts/a.md", true}, {"**/drafts/**", "drafts/a.md", true}, {"**/drafts/**", "docs/a.md", false},
		{"*.md", "a.md", true}, {"*.md", "a/b.md", false}, {"a[0-9].md", "a7.md", true}, {"**", "any/thing", true},
		{strings.Repeat("**/a/", 40) + "b", strings.Repeat("a/", 80) + "c", false},
	} {
		if got := source.Match(c.glob, c.name); got != c.want {
			t.Errorf("Match(%.20q, %.20q) is %v", c.glob, c.name, got)
		}
	}
}

func TestFolderLeadsNowhereElse(t *testing.T) {
	outside, root := t.TempDir(), t.TempDir()
	write(t, filepath.Join(outside, "secret.md"), "secret")
	write(t, filepath.Join(root, "docs/a.md"), "a")
	write(t, filepath.Join(root, "docs/deep/b.md"), "b")
	write(t, filepath.Join(root, "docs/.git/config"), "config")
	write(t, filepath.Join(root, "docs/drafts/c.md"), "c")
	for name, to := range map[string]string{"docs/out.md": filepath.Join(outside, "secret.md"), "docs/up.md": "../../../../../../etc/passwd",
		"docs/folder": outside, "docs/in.md": "deep/b.md", "docs/nowhere.md": "nothing", "docs/loop.md": "loop.md"} {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := source.OpenFolder(root, "docs/**", source.Names{Exclude: []string{"**/drafts/**"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ids, items, _ := listed(t, s, "")
	same(t, "files", ids, []string{"docs/a.md", "docs/deep/b.md", "docs/in.md"})
	if got := read(t, s, items["docs/in.md"]); got != "b" {
		t.Errorf("a link within: %q", got)
	}
	for _, name := range []string{"docs/out.md", "docs/up.md", "../secret.md", "/etc/passwd", "docs/folder/secret.md", "docs/a.md\x00"} {
		if c, err := s.Open(t.Context(), source.Item{ID: name}, ""); err == nil {
			c.Body.Close()
			t.Errorf("%q is opened", name)
		}
	}
	for _, pattern := range []string{"../x", "/etc/*", "docs/../../x", "file:///etc/passwd"} {
		if _, err := source.OpenFolder(root, pattern, source.Names{}); !fault.Is(err, fault.Forbidden) {
			t.Errorf("%q: %v", pattern, err)
		}
	}
	missing, err := source.OpenFolder(root, "gone/**", source.Names{})
	if err != nil {
		t.Fatal(err)
	}
	defer missing.Close()
	if _, err := missing.List(t.Context(), "", nil); !fault.Is(err, fault.NotFound) {
		t.Errorf("a folder that is gone is listed: %v", err)
	}
}

func TestFolderTellsChanges(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "a.md")
	write(t, path, "one")
	s, err := source.OpenFolder(root, "a.md", source.Names{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, items, _ := listed(t, s, "")
	c, err := s.Open(t.Context(), items["a.md"], "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Body.Close()
	if still, err := c.Still(context.Background()); err != nil || !still {
		t.Errorf("%v %v", still, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "two") // as long as before, and the time is put back
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if still, err := c.Still(context.Background()); err != nil || still {
		t.Errorf("a file that was written to is still the same: %v", err)
	}
	_, again, _ := listed(t, s, "")
	if again["a.md"].Mark == items["a.md"].Mark {
		t.Error("a file that was written to has the same mark")
	}
}
