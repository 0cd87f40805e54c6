package refdoc

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDependenciesHaveReasons wants every module that a file of ours imports
// named on a page of docs/decisions, with why it is there.
func TestDependenciesHaveReasons(t *testing.T) {
	reasons := pagesOf(t, "docs/decisions")
	for module, file := range imported(t) {
		if !strings.Contains(reasons, module) {
			t.Errorf("%s imports %s, for which docs/decisions has no reason", file, module)
		}
	}
}

// pagesOf returns the text of a folder's pages.
func pagesOf(t *testing.T, folder string) string {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(root, folder, "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("%s has no pages (%v)", folder, err)
	}
	var all strings.Builder
	for _, p := range pages {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

var (
	required = regexp.MustCompile(`(?m)^\t([a-z0-9.-]+\.[a-z]+/\S+|[a-z0-9.-]+\.[a-z]+) v`)
	quoted   = regexp.MustCompile(`(?m)^\t(?:[a-zA-Z_]\w* )?"([a-z0-9.-]+\.[a-z]+/[^"]+)"$`)
)

// imported maps modules of third parties that our files import, tests
// included, to one of the files.
func imported(t *testing.T) map[string]string {
	t.Helper()
	gomod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	var modules []string
	for _, m := range required.FindAllStringSubmatch(string(gomod), -1) {
		modules = append(modules, m[1])
	}
	found := map[string]string{}
	for _, folder := range append(house(), "cmd", "internal", "examples") {
		err := filepath.WalkDir(filepath.Join(root, folder), func(name string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(name, ".go") {
				return err
			}
			text, err := os.ReadFile(name)
			for _, i := range quoted.FindAllStringSubmatch(string(text), -1) {
				if m := moduleOf(i[1], modules); m != "" {
					found[m] = name
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(found) < 15 {
		t.Fatalf("only %d modules are imported: %v", len(found), found)
	}
	return found
}

// moduleOf returns the longest module that an import is of, without the
// number of its major version, and without the parts that one project cuts
// its modules into.
func moduleOf(path string, modules []string) string {
	best := ""
	for _, m := range modules {
		if (path == m || strings.HasPrefix(path, m+"/")) && len(m) > len(best) {
			best = m
		}
	}
	for _, whole := range []string{"github.com/aws/aws-sdk-go-v2", "github.com/Azure/azure-sdk-for-go", "go.opentelemetry.io/otel"} {
		if strings.HasPrefix(best, whole) {
			return whole
		}
	}
	return best
}

var linked = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)

// TestLinksLead follows every link of our pages to another file.
func TestLinksLead(t *testing.T) {
	pages := []string{"README.md", "CHANGELOG.md", "CONTRIBUTING.md"}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(name string, _ os.DirEntry, err error) error {
		if below, rerr := filepath.Rel(root, name); rerr == nil && strings.HasSuffix(name, ".md") {
			pages = append(pages, below)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		text, err := os.ReadFile(filepath.Join(root, p))
		if err != nil {
			t.Errorf("%s: %v", p, err)
			continue
		}
		for _, m := range linked.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(p), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", p, m[1])
			}
		}
	}
}
