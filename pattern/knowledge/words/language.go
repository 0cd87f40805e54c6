package words

import (
	"strings"
	"unicode"

	"github.com/leat-ai/leat/store/index/analysis"
)

// Language is what is known of one. It is for one goroutine.
type Language struct {
	Name string // such as "en"
	table
	// index is how the index cuts and stems words of this language.
	index *analysis.Analyzer
	buf   []analysis.Token
}

// term is a folded word as the index knows it, "" for a stop word.
func (l *Language) term(word string) string {
	if l.stop[word] {
		return ""
	}
	if l.index == nil {
		return word
	}
	l.buf = l.index.Tokens(word, l.buf[:0])
	if len(l.buf) == 0 {
		return ""
	}
	return l.buf[0].Term
}

// table has words of a language, folded.
type table struct{ stop, months, numbers map[string]bool }

// tables are the languages whose small words are known, by name.
var tables = map[string]table{
	"en": {set(stopEN), set(monthsEN), set(numbersEN)},
	"de": {set(stopDE), set(monthsDE), set(numbersDE)},
	"es": {set(stopES), set(monthsES), set(numbersES)},
	"fr": {set(stopFR), set(monthsFR), set(numbersFR)},
	"ar": {set(stopAR), set(monthsAR), set(numbersAR)},
}

// told is the order in which languages are told.
var told = [...]string{"en", "de", "es", "fr"}

// Date tells whether a folded word belongs to dates.
func (l *Language) Date(word string) bool { return l.months[word] }

// Number tells whether a folded word is a number.
func (l *Language) Number(word string) bool { return l.numbers[word] }

func set(words string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}

// Of makes a language by its tag, such as "de-AT"; without one it is told by the
// text. It is for one goroutine.
func Of(name, text string) *Language {
	if name == "" {
		name = detect(text)
	}
	if at := strings.IndexAny(name, "-_"); at > 0 {
		name = name[:at]
	}
	return &Language{Name: name, table: tables[name], index: analysis.New(name)}
}

// maxDetected is how much of a text the language is told by.
const maxDetected = 8 << 10

// detect tells the language of a short text by its small words, the one with
// the most of them, or by its script; "" where neither tells.
func detect(text string) string {
	var plain Language
	words := plain.folded(text)
	best, most := "", 0
	for _, name := range told {
		small, n := tables[name].stop, 0
		for _, w := range words {
			if small[w] {
				n++
			}
		}
		if n > most {
			best, most = name, n
		}
	}
	if best == "" {
		return byScript(text)
	}
	return best
}

// byScript is the language that most of a text's letters are of, where their
// script is mostly that of one.
func byScript(text string) string {
	scripts := [...]struct {
		name  string
		table *unicode.RangeTable
	}{{"ar", unicode.Arabic}, {"zh", unicode.Han}, {"ja", unicode.Hiragana}, {"ja", unicode.Katakana}, {"ko", unicode.Hangul}, {"ru", unicode.Cyrillic}, {"el", unicode.Greek}, {"he", unicode.Hebrew}}
	count, letters := map[string]int{}, 0
	for _, r := range text {
		if !unicode.IsLetter(r) {
			continue
		}
		letters++
		for _, s := range scripts {
			if unicode.Is(s.table, r) {
				count[s.name]++
			}
		}
	}
	if count["ja"] > 0 { // Japanese has Han characters, too
		count["ja"] += count["zh"]
	}
	best := ""
	for _, s := range scripts {
		if 2*count[s.name] > letters && (best == "" || count[s.name] > count[best]) {
			best = s.name
		}
	}
	return best
}

func (l *Language) folded(text string) []string {
	if len(text) > maxDetected {
		text = text[:maxDetected]
	}
	var words []string
	for _, t := range l.Tokens(text) {
		words = append(words, t.Word)
	}
	return words
}

const (
	stopEN = `a about above after again against all also am an and any are as at be because been before being below between both but by can could
did do does doing down during each few for from further had has have having he her here hers him his how i if in into is it its itself just
may me might more most must my no nor not now of off on once only or other our out over own per same shall she should so some such than that the
their them then there these they this those through to too under until up upon us very was we were what when where which while who whom whose
why will with within without would you your s t`
	stopDE = `aber alle allem allen aller alles als also am an andere anderen auch auf aus bei beim bin bis da dabei dadurch dafur damit danach dann
daran darauf daraus das dass davon dazu dein dem den denen denn der deren des dessen die dies diese diesem diesen dieser dieses doch dort du durch ein
eine einem einen einer eines er es etwa etwas euch fur gegen hat hatte hatten habe haben hier hin hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer ihres
im in indem ins ist ja jede jedem jeden jeder jedes jene kann kein keine keinem keinen konnen konnte man manche mehr mein mit muss nach neben nicht
noch nun nur ob oder ohne sein seine seinem seinen seiner seines selbst sich sie sind so soll sollte sondern sonst uber um und uns unser unter viel vom von vor
wahrend war waren warum was weil weiter welche welchem welchen welcher welches wem wen wenn wer werde werden wessen wie wieder wieso will wir wird wo wodurch womit wozu wurde
wurden zu zum zur zwar zwischen worden wieviel wieviele viele vielen wann woher wohin`
	stopES = `a al algo algunas algunos ante antes como con contra cual cuales cuando cuanta cuantas cuanto cuantos de del desde donde durante e el ella ellas ellos en entre era
eran es esa esas ese eso esos esta estaba estaban estan este esto estos fue fueron fuera ha habia habian haber han hasta hay la las le les lo los mas me mi mis mientras
muy no nos o os otra otras otro otros para pero por porque que quien quienes se sea segun ser si sido sin sobre son su sus tambien tanto te tenia tiene tienen
todo todos tu tus u un una unas uno unos y ya yo`
	stopFR = `a ai alors au aucun aussi aux avec avait avaient ce cela ces cet cette ceux chez comme comment d dans de des du donc dont elle elles en encore est et
etait etaient ete etre eu il ils j je l la le les leur leurs lors lui m ma mais me mes moins mon n ne nos notre nous on ont ou par parce pas plus pour pourquoi qu quand que quel
quelle quelles quels qui quoi s sa sans se ses si son sont sous sur t ta te tes ton tous tout toute tu un une vos votre vous y combien ou`
	// Arabic is written as Fold leaves it, without vowel signs.
	stopAR = `في من على الى إلى عن ما ماذا هل هو هي كان كانت التي الذي الذين هذا هذه ذلك تلك مع او أو و ثم ان أن إن قد لم لن لا كم متى اين أين كيف لماذا اي أي بين بعد قبل عند كل منذ حتى يكون تكون تم`

	monthsEN = `january february march april may june july august september october november december monday tuesday wednesday thursday friday saturday sunday century centuries decade year years bc ad`
	monthsDE = `januar februar marz april mai juni juli august september oktober november dezember montag dienstag mittwoch donnerstag freitag samstag sonntag jahrhundert jahrhunderts jahrzehnt jahr jahre jahren`
	monthsES = `enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre lunes martes miercoles jueves viernes sabado domingo siglo decada ano anos`
	monthsFR = `janvier fevrier mars avril mai juin juillet aout septembre octobre novembre decembre lundi mardi mercredi jeudi vendredi samedi dimanche siecle decennie an ans annee annees`
	monthsAR = `يناير فبراير مارس ابريل أبريل مايو يونيو يوليو اغسطس أغسطس سبتمبر اكتوبر أكتوبر نوفمبر ديسمبر عام سنة القرن قرن عقد الاثنين الثلاثاء الاربعاء الخميس الجمعة السبت الاحد`

	numbersEN = `one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen twenty thirty forty fifty sixty seventy eighty ninety hundred hundreds thousand thousands million millions billion trillion half third quarter dozen dozens percent single double twice none zero pair several`
	numbersDE = `ein eins zwei drei vier funf sechs sieben acht neun zehn elf zwolf dreizehn zwanzig dreissig vierzig funfzig sechzig siebzig achtzig neunzig hundert hunderte tausend tausende million millionen milliarde milliarden halfte drittel viertel dutzend prozent zweimal dreimal kein keine null paar mehrere beide beiden`
	numbersES = `uno una dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa cien ciento cientos mil miles millon millones mitad tercio cuarto docena ciento porcentaje doble ambos ambas ninguno cero varios`
	numbersFR = `un deux trois quatre cinq six sept huit neuf dix onze douze treize vingt trente quarante cinquante soixante cent cents mille million millions milliard milliards moitie tiers quart douzaine pourcent double zero plusieurs`
	numbersAR = `واحد اثنان اثنين ثلاثة ثلاث اربعة أربعة اربع أربع خمسة خمس ستة ست سبعة سبع ثمانية ثماني تسعة تسع عشرة عشر مئة مائة الف ألف آلاف مليون مليار نصف ثلث ربع بالمائة`
)
