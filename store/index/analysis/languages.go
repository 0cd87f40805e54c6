package analysis

import (
	"strings"
	"unicode"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/arabic"
	"github.com/blevesearch/snowballstem/danish"
	"github.com/blevesearch/snowballstem/dutch"
	"github.com/blevesearch/snowballstem/english"
	"github.com/blevesearch/snowballstem/finnish"
	"github.com/blevesearch/snowballstem/french"
	"github.com/blevesearch/snowballstem/german"
	"github.com/blevesearch/snowballstem/hungarian"
	"github.com/blevesearch/snowballstem/irish"
	"github.com/blevesearch/snowballstem/italian"
	"github.com/blevesearch/snowballstem/norwegian"
	"github.com/blevesearch/snowballstem/porter"
	"github.com/blevesearch/snowballstem/portuguese"
	"github.com/blevesearch/snowballstem/romanian"
	"github.com/blevesearch/snowballstem/russian"
	"github.com/blevesearch/snowballstem/spanish"
	"github.com/blevesearch/snowballstem/swedish"
	"github.com/blevesearch/snowballstem/tamil"
	"github.com/blevesearch/snowballstem/turkish"
)

// rules are what a language adds to cutting and folding.
type rules struct {
	stem       func(*snowballstem.Env) bool
	stops      map[string]bool // in lower case, with accents
	elisions   map[string]bool
	possessive bool // 's is no part of a word
	dotless    bool // Turkish: the lower case of I is ı
}

// languages are the languages with rules of their own. "porter" is no
// language but English with Porter's first stemmer, by which published figures
// of retrieval were made.
var languages = map[string]rules{
	"ar":     {stem: arabic.Stem},
	"da":     {stem: danish.Stem, stops: set(danishStops)},
	"de":     {stem: german.Stem, stops: set(germanStops)},
	"en":     {stem: english.Stem, stops: set(englishStops), possessive: true},
	"es":     {stem: spanish.Stem, stops: set(spanishStops)},
	"fi":     {stem: finnish.Stem},
	"fr":     {stem: french.Stem, stops: set(frenchStops), elisions: set("l d j t m n s c qu jusqu lorsqu puisqu quoiqu quelqu")},
	"ga":     {stem: irish.Stem},
	"hu":     {stem: hungarian.Stem},
	"it":     {stem: italian.Stem, stops: set(italianStops), elisions: set("l d un all dall dell nell sull coll c s t v m quest quell")},
	"nb":     {stem: norwegian.Stem, stops: set(norwegianStops)},
	"nl":     {stem: dutch.Stem, stops: set(dutchStops)},
	"nn":     {stem: norwegian.Stem, stops: set(norwegianStops)},
	"no":     {stem: norwegian.Stem, stops: set(norwegianStops)},
	"porter": {stem: porter.Stem, stops: set(englishStops), possessive: true},
	"pt":     {stem: portuguese.Stem, stops: set(portugueseStops)},
	"ro":     {stem: romanian.Stem},
	"ru":     {stem: russian.Stem, stops: set(russianStops)},
	"sv":     {stem: swedish.Stem, stops: set(swedishStops)},
	"ta":     {stem: tamil.Stem},
	"tr":     {stem: turkish.Stem, dotless: true},
}

// term is the term of a word, or "" where it is left out.
func (r rules) term(text string) string {
	text = truncate(lower(text, r.dotless))
	if strings.ContainsAny(text, "'’") {
		text = r.withoutApostrophes(text)
	}
	if r.stops[text] {
		return ""
	}
	if r.stem != nil && !strings.ContainsFunc(text, unicode.IsDigit) {
		env := snowballstem.NewEnv(text)
		r.stem(env)
		if s := env.Current(); s != "" {
			text = s
		}
	}
	return truncate(fold(text))
}

// withoutApostrophes joins what stands around apostrophes, a possessive 's
// left out.
func (r rules) withoutApostrophes(text string) string {
	text = strings.ReplaceAll(text, string(curlyApostrophe), "'")
	if r.possessive {
		text = strings.TrimSuffix(text, "'s")
	}
	return strings.ReplaceAll(text, "'", "")
}

func set(words string) map[string]bool {
	all := make(map[string]bool)
	for _, w := range strings.Fields(words) {
		all[w] = true
	}
	return all
}

// Stop words: articles, pronouns, prepositions, conjunctions, auxiliaries and
// the words that questions begin with. They stand in nearly every text and tell
// none apart, but a question is full of them: without this list the pages with
// the most prose win over the page that is asked for.
const (
	englishStops = `a an and are as at be but by for if in into is it no not of on or such that the their then there these they
		this to was will with from has have had having been being were which who whom whose what when where why how can could may might
		shall should would must do does did doing than its our your his her my me you he she we i them him us am those while about between
		during through also both each some any all most other same so very only own just because until again once here more nor too`
	germanStops = `der die das den dem des ein eine einer eines einem einen und oder aber doch ist sind war waren wird werden wurde
		wurden hat haben hatte hatten sein bin bist seid nicht kein keine keinen keiner keines keinem zu zum zur im in an am auf aus bei beim mit von vom
		vor für über unter um durch gegen ohne nach als wie wenn dass daß ob so auch nur noch schon sehr es er sie wir ihr ich du man sich ihn ihm
		ihnen ihre ihrer ihren ihrem ihres seine seiner seinen seinem seines mein meine dein deine unser unsere dieser diese dieses diesem diesen
		jener jene jenes welcher welche welches welchem welchen was wer wo wann warum kann können da dann hier dort`
	spanishStops = `el la los las lo un una unos unas y e o u ni que qué de del a al en con por para sin sobre entre hasta desde
		es son era eran fue fueron ser está están ha han había habían se su sus le les me te nos mi mis tu tus este esta estos estas ese esa esos esas
		esto eso no sí más muy como cómo cuando cuándo donde dónde quien quién quienes cual cuál cuales cuáles pero si también ya`
	frenchStops = `le la les un une des du de et ou mais ni car que qui quoi dont où à au aux en dans par pour sur sous avec sans
		entre vers chez est sont était étaient être été a ont avait avaient avoir il elle ils elles on nous vous je tu me te se lui leur leurs ce
		cet cette ces son sa ses mon ma mes ton ta tes notre nos votre vos ne pas plus très comme si y quel quelle quels quelles`
	italianStops = `il lo la i gli le un uno una e ed o ma né che chi cui di del dello della dei degli delle a al allo alla ai agli alle da dal
		dallo dalla dai dagli dalle in nel nello nella nei negli nelle con su sul sullo sulla sui sugli sulle per tra fra è sono era erano essere
		ha hanno aveva avevano si se non più come quando dove quale quali questo questa questi queste quello quella quelli quelle suo sua suoi sue ci ne`
	portugueseStops = `o a os as um uma uns umas e ou mas nem que quem qual quais de do da dos das em no na nos nas ao aos à às por pelo pela
		pelos pelas para com sem sobre entre até é são era eram foi foram ser está estão há se seu sua seus suas ele ela elas lhe lhes este esta
		estes estas esse essa esses essas isto isso não mais muito como quando onde também já`
	dutchStops = `de het een en of maar dat die dit deze van voor in op aan met bij uit om door over te tot naar is zijn was waren wordt worden
		werd werden heeft hebben had hadden niet geen ook als dan er hij zij ze wij we ik je jij u hun haar zijn mijn wie wat waar wanneer hoe`
	swedishStops = `och att det som en ett den de i på av för med till är var inte om han hon vi jag du ni sig sin sitt sina har hade från vid
		men eller så när där hur vad vem kan ska man denna detta dessa`
	danishStops = `og at det som en et den de i på af for med til er var ikke om han hun vi jeg du sig sin sit sine har havde fra ved men eller så
		når hvor hvad hvem kan skal man denne dette disse`
	norwegianStops = `og at det som en et ei den de i på av for med til er var ikke om han hun vi jeg du seg sin sitt sine har hadde fra ved men
		eller så når hvor hva hvem kan skal man denne dette disse`
	russianStops = `и в во не что он на я с со как а то все она так его но да ты к у же вы за бы по ее её мне было вот от о об из ему
		это эта этот эти для мы их чем был была были быть или до при ли если уже ни`
)
