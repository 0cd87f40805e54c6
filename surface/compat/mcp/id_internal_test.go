package mcp

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// An id is read back whatever the document is called, plain and as an address.
func TestIDsAreReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i := id{
			Knowledge: rapid.StringMatching(`[a-z][a-z0-9-]{0,20}`).Draw(t, "knowledge"),
			Document:  rapid.StringMatching(`[a-zé@/ ?#%.:\[\]\\"<>+&=]{1,40}`).Draw(t, "document"),
			Version:   rapid.StringMatching(`[0-9a-f]{64}`).Draw(t, "version"),
		}
		for _, text := range []string{i.String(), i.uri()} {
			if got, err := parseID(text); err != nil || got != i {
				t.Fatalf("%q: %+v, %v", text, got, err)
			}
		}
		if strings.ContainsAny(i.uri(), " \"<>\\#?") {
			t.Fatalf("%q is no address", i.uri())
		}
	})
}

func FuzzParseID(f *testing.F) {
	f.Add("handbook/docs/travel.md@" + strings.Repeat("a", 64))
	f.Add("source://handbook/odd%20@%20na/me%3F.md")
	f.Fuzz(func(t *testing.T, text string) {
		i, err := parseID(text)
		if err != nil {
			return
		}
		if i.Knowledge == "" || i.Document == "" || i.Version != "" && !isVersion(i.Version) {
			t.Fatalf("%q is read as %+v", text, i)
		}
		if again, err := parseID(i.String()); i.Version != "" && (err != nil || again != i) {
			t.Fatalf("%+v is read as %+v, %v", i, again, err)
		}
	})
}
