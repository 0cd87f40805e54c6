package refdoc

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/leat-ai/leat/surface/cli"
)

// written are the pages that people wrote: README and what is below docs,
// generated pages left out.
func written(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	read := func(name string) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pages[strings.TrimPrefix(filepath.ToSlash(name), root+"/")] = string(text)
	}
	read(filepath.Join(root, "README.md"))
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(name string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, ".md") && !strings.Contains(filepath.ToSlash(name), "docs/reference/") {
			read(name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

var quote = regexp.MustCompile("(?s)<!-- (examples/\\S+) -->\n```yaml\n(.*?)```")

// TestGuidesQuoteExamples holds what guides show of an example against the
// example, which has a test of its own.
func TestGuidesQuoteExamples(t *testing.T) {
	found := 0
	for name, text := range written(t) {
		for _, m := range quote.FindAllStringSubmatch(text, -1) {
			found++
			source, err := os.ReadFile(filepath.Join(root, m[1]))
			if err != nil {
				t.Errorf("%s quotes %s: %v", name, m[1], err)
			} else if !strings.Contains(string(source), m[2]) {
				t.Errorf("%s quotes of %s what is not in it:\n%s", name, m[1], m[2])
			}
		}
	}
	if found == 0 {
		t.Error("no guide quotes an example")
	}
}

var (
	shell  = regexp.MustCompile("(?s)```sh\n(.*?)```")
	inline = regexp.MustCompile("`leat ([^`]+)`")
	parts  = regexp.MustCompile(`&&|[;|]`)
)

// TestCommandsExist looks up every command and flag that the pages tell people
// to type.
func TestCommandsExist(t *testing.T) {
	tree, found := cli.Describe(), 0
	for name, text := range written(t) {
		var lines []string
		for _, block := range shell.FindAllStringSubmatch(text, -1) {
			for _, line := range strings.Split(block[1], "\n") {
				line, _, _ = strings.Cut(line, " #")
				lines = append(lines, parts.Split(line, -1)...)
			}
		}
		for _, m := range inline.FindAllStringSubmatch(text, -1) {
			lines = append(lines, "leat "+m[1])
		}
		for _, line := range lines {
			words := strings.Fields(line)
			at := slices.IndexFunc(words, func(w string) bool { return w == "leat" || w == "bin/leat" })
			if at < 0 {
				continue
			}
			found++
			if wrong := follow(tree, words[at+1:]); wrong != "" {
				t.Errorf("%s says %q: %s", name, strings.TrimSpace(line), wrong)
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d commands were found", found)
	}
}

// follow walks the words of a command through the tree, and says what is not
// there. Quoted words are not taken apart: flags inside them are not flags.
func follow(at cli.Command, words []string) string {
	flags := at.Flags
	value := false // the next word belongs to a flag
	deepest := len(at.Commands) == 0
	for _, w := range words {
		switch {
		case value:
			value = false
		case strings.HasPrefix(w, "-") && len(w) > 1:
			name, _, given := strings.Cut(strings.TrimLeft(w, "-"), "=")
			i := slices.IndexFunc(flags, func(f cli.Flag) bool { return f.Name == name || f.Letter == name })
			if i < 0 && name != "help" {
				return "there is no flag " + w
			}
			value = i >= 0 && flags[i].Type != "bool" && !given
		case !deepest:
			i := slices.IndexFunc(at.Commands, func(c cli.Command) bool { return strings.HasSuffix(c.Path, " "+w) })
			if i < 0 && at.Path == "leat" {
				return "there is no command " + w
			}
			if i < 0 {
				deepest = true
				continue
			}
			at = at.Commands[i]
			flags = append(slices.Clone(flags), at.Flags...)
			deepest = len(at.Commands) == 0
		}
	}
	return ""
}

// TestFollow proves that follow says no where it should.
func TestFollow(t *testing.T) {
	tree := cli.Describe()
	for line, ok := range map[string]bool{
		"models show churn@champion --html card.html": true, "-C there models": true, "score churn @row.json": true,
		"keys create shop --grant score:churn": true, "up --auth=keys": true, "--help": true,
		"modles": false, "-C there modles": false, "up --port 1": false, "models show x --onnx y": false,
	} {
		if wrong := follow(tree, strings.Fields(line)); (wrong == "") != ok {
			t.Errorf("leat %s: %q", line, wrong)
		}
	}
}
