package analysis

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func terms(language, text string) string {
	var all []string
	for _, t := range New(language).Tokens(text, nil) {
		all = append(all, t.Term)
	}
	return strings.Join(all, " ")
}

func TestTermsOfLanguages(t *testing.T) {
	for _, c := range []struct{ language, text, want string }{
		{"", "The Quick, brown fox's 3.5 km", "the quick brown foxs 3 5 km"},
		{"", "Crème BRÛLÉE naïve ﬁne Ⅷ", "creme brulee naive fine viii"},
		{"", "İstanbul ΟΔΟΣ οδός", "istanbul οδοσ οδοσ"},
		{"", "co\u00adoper\u00adate", "cooperate"},
		{"", "'quoted' rock'n'roll O’Neil", "quoted rocknroll oneil"},
		{"en", "The runners' running isn't Peter's", "runner run isnt peter"},
		{"en", "relational databases, IL-6 and p53", "relat databas il 6 p53"},
		{"en-GB", "generalizations", "general"},
		{"porter", "generalizations of relational", "gener relat"},
		{"de", "Die Häuser der Straße größte Übung ÜBUNGEN", "haus strass grosst ubung ubung"},
		{"es", "Las organizaciones y la organización", "organiz organiz"},
		{"fr", "L'hôtel qu’il arrive aujourd'hui", "hotel arriv aujourdhui"},
		{"it", "dell'università", "univers"},
		{"tr", "IŞIK İZMİR", "isik izmir"},
		{"ar", "الكِتابُ كتاب إسلام اسلام", "كتاب كتاب اسلام اسلام"},
		{"", "١٢٣ ۴۵ ५६", "123 45 56"},
		{"zh", "北京大学 AI 中", "北京 京大 大学 ai 中"},
		{"ja", "ｶﾞラスの Go言語", "ガラ ラス スの go 言語"},
		{"", "ภาษา", "ภา าษ ษา"},
		{"hi", "हिन्दी भाषा", "हिन्दी भाषा"},
		{"en", "the of and", ""},
		{"en", "", ""},
		{"en", "\xff\xfebroken\xff utf8", "broken utf8"},
		{"", strings.Repeat("x", 500), strings.Repeat("x", MaxTerm)},
		{"en", "snake_case aws:iam user@example.com", "snake case aw iam user exampl com"},
	} {
		if got := terms(c.language, c.text); got != c.want {
			t.Errorf("%s %q: %q, not %q", c.language, c.text, got, c.want)
		}
	}
}

func TestPlacesOfTokens(t *testing.T) {
	text := "The cité's end — 北京大 l'État"
	var got []string
	for _, token := range New("en").Tokens(text, nil) {
		got = append(got, text[token.Start:token.End])
	}
	if want := []string{"cité's", "end", "北京", "京大", "l'État"}; !slices.Equal(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
	french := New("fr").Tokens("l'État", nil)
	if len(french) != 1 || french[0].Start != 2 {
		t.Errorf("%+v", french)
	}
	if tokens := New("en").Tokens("end of the line", nil); tokens[1].Position != 3 {
		t.Errorf("stop words do not count: %+v", tokens)
	}
}

// TestTokensStandAlone cuts every token out of its text and analyzes it again:
// it must give the same term, in every language.
func TestTokensStandAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		language := rapid.SampledFrom(append(Languages(), "", "zh", "xx")).Draw(t, "language")
		text := rapid.String().Draw(t, "text")
		checkTokens(t, language, text)
	})
}

type failer interface {
	Fatalf(format string, args ...any)
}

func checkTokens(t failer, language, text string) {
	before := 0
	a := New(language)
	for _, token := range a.Tokens(text, nil) {
		if token.Start < before || token.End <= token.Start || token.End > len(text) || token.Term == "" || len(token.Term) > 4*MaxTerm {
			t.Fatalf("%s %q: token %+v after %d", language, text, token, before)
		}
		before = token.Start
		if !utf8.ValidString(token.Term) {
			t.Fatalf("%s %q: the term %q is no UTF-8", language, text, token.Term)
		}
		again := New(language).Tokens(text[token.Start:token.End], nil)
		if len(again) != 1 || again[0].Term != token.Term {
			t.Fatalf("%s %q: %q gives %+v, not %q", language, text, text[token.Start:token.End], again, token.Term)
		}
	}
}

// TestWordsKept sees that a word keeps its term when the analyzer forgets.
func TestWordsKept(t *testing.T) {
	a := New("en")
	for i := range keptTerms + 10 {
		a.Tokens("w"+strings.Repeat("x", i%20)+string(rune('a'+i%26))+string(rune(0x100+i%1000))+string(rune(0x400+i/1000)), nil)
	}
	if len(a.terms) > keptTerms {
		t.Errorf("%d words are kept", len(a.terms))
	}
	if got := a.Tokens("running", nil); got[0].Term != "run" {
		t.Errorf("%+v", got)
	}
}

func FuzzTokens(f *testing.F) {
	for _, language := range append(Languages(), "") {
		f.Add(language, "The cité's l'État IŞIK ßtraße कि 北京 الكِتابُ ﬁ \u00ad")
	}
	f.Fuzz(func(t *testing.T, language, text string) {
		if len(text) < 1<<12 {
			checkTokens(t, language, text)
		}
	})
}

func BenchmarkTokens(b *testing.B) {
	text := strings.Repeat("Retrieval of passages needs words that are brought to one form by the rules of a language. ", 20)
	for _, language := range []string{"en", "de"} {
		b.Run(language, func(b *testing.B) {
			a := New(language)
			var tokens []Token
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				tokens = a.Tokens(text, tokens[:0])
			}
		})
	}
}
