package sentence

import "strings"

// class says when the full stop after an abbreviation does not end a sentence.
type class uint8

const (
	_            class = iota
	always             // whatever follows: a name, a thing
	beforeNumber       // when a number follows
	sometimes          // unless a word follows that often begins a sentence
)

func words(classes map[class]string) map[string]class {
	table := map[string]class{}
	for c, list := range classes {
		for w := range strings.FieldsSeq(list) {
			table[w] = c
		}
	}
	return table
}

// abbreviations of English, German, Spanish and French, without the last full
// stop, in lower case.
var abbreviations = words(map[class]string{
	always: `dr mr mrs ms prof st mt ft gen col lt sgt capt cmdr adm maj rev hon gov sen rep pres messrs
		e.g i.e cf vs viz approx resp incl excl
		hr fr frl dipl ing med phil bzw vgl ca z.b d.h u.a s.o s.u i.d.r evtl ggf sog zzgl inkl z o.ä v.a u.u
		sra srta dña ud uds vd vds excmo ilmo lic arq p.ej ej av avda ee
		mme mlle mm mgr p.ex
		سي أو إس جي إم إل دي تي بي آر إف كي إي جيه إتش دبليو`,
	beforeNumber: `no nos nr nrn fig figs vol vols p pp pg ch sec art abs kap abb tab s bd bde jg op
		núm num pág págs cap vol n éd jan feb mar apr jun jul aug sep sept oct okt nov dec dez ene abr ago dic
		version ver eq ref`,
	sometimes: `inc ltd co corp bros jr sr dept univ assn etc al ed eds est ave blvd rd usw uvm u.s.w gmbh
		a.m p.m am pm b.c a.d u.s u.k u.n e.u d.c ph.d m.d b.a m.a a.c d.c ee.uu s.a s.l j.-c v.chr n.chr chr geb gest
		str hrsg aufl mio mrd tsd min max std sek km kg cm mm ft lb oz mph dir gob`,
})

func set(list string) map[string]bool {
	table := map[string]bool{}
	for w := range strings.FieldsSeq(list) {
		table[w] = true
	}
	return table
}

// starters are words that begin sentences and are seldom a part of a name.
var starters = set(`the a an in it its he she they we this that these those there here however but and or for on at as
	when while where after before although because since if by from with to during under over despite following one
	some many most all both each other another such his her their our not no what who how why then thus therefore
	according also among today
	der die das den dem des ein eine einen einem einer es er sie wir im am bei nach seit von vom zu zum zur mit auf für
	aus an durch gegen ohne um unter über vor während wenn weil als wie obwohl aber und oder doch auch dies diese
	dieser dieses diesem diesen dabei damit danach dann daher hier dort jedoch viele einige alle so sein seine ihre
	el la los las lo un una unos unas en es se su sus al del de con por para sin sobre tras desde hasta entre cuando
	donde aunque pero y o si como este esta estos estas ese esa esto eso aquel muchos algunos todos otra otro después
	antes durante según mientras también además no
	le les une des il elle ils elles nous vous ce cet cette ces dans sur pour par avec mais où quand après avant`)

// ordinalNouns follow ordinal numbers of German.
var ordinalNouns = set(`januar februar märz april mai juni juli august september oktober november dezember
	jahrhundert jahrhunderts jahrhunderten jahrhunderte jahrtausend jahrtausends weltkrieg weltkriegs weltkrieges
	auflage platz tag tages mal klasse etage stock stockwerk lebensjahr geburtstag bundestag kapitel abschnitt
	jahrestag spieltag runde dynastie etappe semester quartal liga grades grad`)
