package sentence_test

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/flow/knowledge/sentence"
	"github.com/leat-ai/leat/internal/realdata"
)

// Every case is a text whose sentences are parted by " / ".
var cases = []string{
	"It works. / Does it? / Yes! / Good.",
	"Dr. Smith met Mr. J. R. Jones at 3.14 p.m. in Washington. / They talked.",
	"The company, Foo Inc., was sold. / Foo Inc. was sold by its owner.",
	"He lives in the U.S. / The house is big.",
	"The U.S. Army came. / See e.g. Figure 3, or vol. 2, no. 5.",
	"“Why?” he asked. / “Because.” / She left.",
	"He said “Stop.” / Then he left.",
	"See example.com for version 1.2.3. / It is new.",
	"It ended in 1945. / The next year was better.",
	"Wait... what? / No… / Yes.",
	"The dose was low.[12] / It was raised.[a][3] / Nobody knew.",
	"First\n\nSecond line goes\non here. / Third.",
	"Am 3. Oktober 1990 war es so weit. / Im 19. Jahrhundert auch.",
	"Der 2. Weltkrieg endete 1945. / Die Stadt wurde z. B. von Dr. Müller gebaut, d. h. geplant.",
	"Das kostet ca. 5 Mio. Euro. / Es ist teuer.",
	"Die Strecke ist bis zum 4. Gleis und von der Stadt und mit der Bahn erreichbar.",
	"El Sr. García y la Sra. López viven en la Av. Central núm. 5. / ¿Vienes? / ¡Claro!",
	"Nació en el s. V a. C. en Roma. / Murió allí.",
	"今天天气很好。 / 我们去公园吧！ / 你觉得呢？ / 好的。",
	"他说：“我不知道。” / 然后走了。",
	"هل تعرف؟ / نعم، أعرف. / ذهب د. محمد إلى البيت.",
	"यह एक वाक्य है। / यह दूसरा है।",
	"1. Install it. / 2. Run it.",
	"It has: / - one thing / - another thing",
	"Vitamin C. / The rest is water.",
	"Yahoo! is a company. / It was big.",
}

func TestSplit(t *testing.T) {
	for _, c := range cases {
		var want []string
		for part := range strings.SplitSeq(c, " / ") {
			for p := range strings.SplitSeq(part, "\n\n") {
				want = append(want, p)
			}
		}
		glue := " "
		if strings.Contains(c, "/ -") {
			glue = "\n"
		}
		text := strings.ReplaceAll(c, " / ", glue)
		if first, _ := utf8.DecodeRuneInString(text); first >= 0x4e00 {
			text = strings.ReplaceAll(c, " / ", "")
		}
		var got []string
		for _, s := range sentence.Split(text) {
			got = append(got, text[s.Start:s.End])
		}
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

func TestSplitCovers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.SampledFrom([]rune("aB1. !?…。\n\"”) zü中دA.[]-#"))).Draw(t, "text")
		covers(t, text)
	})
}

type fataler interface {
	Fatalf(format string, args ...any)
}

// covers fails where sentences overlap or leave out more than space.
func covers(t fataler, text string) {
	last := 0
	for _, s := range sentence.Split(text) {
		if s.Start < last || s.End <= s.Start || strings.TrimSpace(text[last:s.Start]) != "" {
			t.Fatalf("span %v after %d in %q", s, last, text)
		}
		if !utf8.RuneStart(text[s.Start]) {
			t.Fatalf("span %v begins within a character of %q", s, text)
		}
		last = s.End
	}
	if strings.TrimSpace(text[last:]) != "" {
		t.Fatalf("%q is in no sentence", text[last:])
	}
}

func FuzzSplit(f *testing.F) {
	for _, c := range cases {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, text string) { covers(t, text) })
}

// lines decodes the lines of a file of XQuAD.
func lines[T any](t testing.TB, name string) []T {
	t.Helper()
	f, err := os.Open(realdata.Path(t, "qa-xquad/"+name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all []T
	for d := json.NewDecoder(z); d.More(); {
		var one T
		if err := d.Decode(&one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}

// TestSplitXQuAD measures the splitter on paragraphs that are translations of
// each other. An answer that lies across two sentences means a cut too many;
// a language with other numbers of sentences than English means cuts too many
// or too few.
func TestSplitXQuAD(t *testing.T) {
	type paragraph struct {
		ID   string `json:"_id"`
		Text string `json:"text"`
	}
	type question struct {
		Corpus  string `json:"corpus-id"`
		Answers []struct {
			Text  string `json:"text"`
			Start int    `json:"start"`
		} `json:"answers"`
	}
	english := map[string]int{}
	for _, language := range []string{"en", "de", "es", "zh", "ar"} {
		texts, spans := map[string]string{}, map[string][]sentence.Span{}
		sentences, apart := 0, 0
		for _, p := range lines[paragraph](t, language+".corpus.jsonl.gz") {
			covers(t, p.Text)
			texts[p.ID], spans[p.ID] = p.Text, sentence.Split(p.Text)
			n := len(spans[p.ID])
			sentences += n
			if language == "en" {
				english[p.ID] = n
			}
			apart += max(n-english[p.ID], english[p.ID]-n)
		}
		answers, cut := 0, 0
		for _, q := range lines[question](t, language+".questions.jsonl.gz") {
			for _, a := range q.Answers {
				start := runeOffset(texts[q.Corpus], a.Start)
				if !strings.HasPrefix(texts[q.Corpus][start:], a.Text) {
					t.Fatalf("%s: the answer %q is not at %d", language, a.Text, start)
				}
				answers++
				if !within(spans[q.Corpus], start, start+len(a.Text)) {
					cut++
					if testing.Verbose() {
						t.Logf("%s: %q is cut", language, a.Text)
					}
				}
			}
		}
		t.Logf("%s: %d sentences in %d paragraphs, %d apart from English; %d of %d answers cut", language, sentences, len(texts), apart, cut, answers)
		if cut*100 > answers {
			t.Errorf("%s: %d of %d answers are cut", language, cut, answers)
		}
		if language != "en" && apart*5 > sentences {
			t.Errorf("%s: %d of %d sentences too many or too few", language, apart, sentences)
		}
	}
}

func within(spans []sentence.Span, start, end int) bool {
	for _, s := range spans {
		if s.Start <= start && end <= s.End {
			return true
		}
	}
	return false
}

func runeOffset(s string, runes int) int {
	for i := range s {
		if runes == 0 {
			return i
		}
		runes--
	}
	return len(s)
}
