package words_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/pattern/knowledge/words"
)

func TestLanguageIsTold(t *testing.T) {
	for text, want := range map[string]string{
		"When was the mill built by the river?":              "en",
		"Wann wurde die Mühle am Fluss gebaut?":              "de",
		"¿Cuándo fue construido el molino de la ciudad?":     "es",
		"Quand le moulin de la ville a-t-il été construit ?": "fr",
		"متى بنيت الطاحونة؟":                                 "ar",
		"磨坊是什么时候建的？":                                         "zh",
		"水車はいつ建てられましたか":                                      "ja",
		"Когда была построена мельница?":                     "ru",
		"1642": "",
	} {
		if got := words.Of("", text).Name; got != want {
			t.Errorf("%q is taken for %q", text, got)
		}
	}
	if got := words.Of("de-AT", "").Name; got != "de" {
		t.Errorf("de-AT is %q", got)
	}
}

func TestTokensAreRangesOfTheText(t *testing.T) {
	parts := []string{"Mühlen ", "3.5 ", "1,200", "a", " don't ", "水车", "𝒜", "é", "\u0301", "[1]", "...", "\n", "\xff", "Straße"}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 0, 12).Draw(t, "parts"), "")
		l, last := words.Of("de", ""), 0
		for _, w := range l.Tokens(text) {
			if w.Start < 0 || w.End > len(text) || w.Start >= w.End || w.Start < last || w.Word == "" && utf8.ValidString(text) {
				t.Fatalf("%+v in %q", w, text)
			}
			last = w.Start
		}
	})
}

func TestUnitsOfMarkdown(t *testing.T) {
	text := "# Travel\n\nFly *economy*. Trains\nare fine.\n\n- first item\n- second item. With two sentences.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```sh\nleat up\n```\n> Quoted.\n"
	var got []string
	for _, u := range words.Units(text) {
		got = append(got, text[u.Start:u.End])
	}
	want := []string{"Travel", "Fly *economy*.", "Trains\nare fine.", "first item", "second item.", "With two sentences.", "| a | b |", "| 1 | 2 |", "leat up", "Quoted."}
	if strings.Join(got, "¶") != strings.Join(want, "¶") {
		t.Errorf("got %q", got)
	}
}
