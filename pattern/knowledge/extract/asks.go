package extract

import "strings"

// kind is what a question asks for.
type kind uint8

const (
	other kind = iota
	name       // somebody, or something with a name
	place
	date
	number
	cause
	manner
	meaning // what something is
)

// phrase is how a question of a kind is put: words in a row, folded.
type phrase struct {
	words []string
	kind  kind
}

// phrases reads words that commas set apart.
func phrases(k kind, list string) []phrase {
	var out []phrase
	for p := range strings.SplitSeq(list, ",") {
		out = append(out, phrase{words: strings.Fields(p), kind: k})
	}
	return out
}

func join(lists ...[]phrase) (all []phrase) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// asks is how languages ask, by name.
var asks = map[string][]phrase{"en": asksEN(), "de": asksDE(), "es": asksES(), "fr": asksFR(), "ar": asksAR(), "zh": asksZH()}

func asksEN() []phrase {
	return join(
		phrases(number, "how many,how much,how long,how old,how far,how tall,how large,how big,how often,how high,how deep,how fast,what percentage,what percent,what number,what portion,what fraction,what amount,what proportion,what size,what distance,how wide"),
		phrases(date, "when,what year,which year,what date,what month,what day,which century,what century,what decade,what time,in what year,since when,which month,what years"),
		phrases(place, "where,what city,which city,what country,which country,what state,what location,what town,what place,which state,what region"),
		phrases(name, "who,whom,whose,which person,what company,what person,which company,what team,which team,what is the name,what was the name,what name,which organization,what organization"),
		phrases(cause, "why,what caused,what reason,for what reason,what causes"),
		phrases(meaning, "what is,what are,what does,what was,what were"),
		phrases(manner, "how"))
}

func asksDE() []phrase {
	return join(
		phrases(number, "wie viele,wie viel,wieviel,wieviele,wie vielen,wie lange,wie alt,wie weit,wie hoch,wie gross,wie oft,wie lang,wie tief,wie schnell,wie schwer,welcher prozentsatz,welchen prozentsatz,welche anzahl,welcher anteil,welchen anteil,wie breit,wie gross ist"),
		phrases(date, "wann,in welchem jahr,welches jahr,welchem jahr,welchem monat,welches datum,welchem jahrhundert,an welchem tag,seit wann,welcher monat"),
		phrases(place, "wo,woher,wohin,in welcher stadt,welche stadt,welches land,welchem land,welcher stadt,welchem bundesstaat,welchem ort"),
		phrases(name, "wer,wem,wen,wessen,von wem,welche person,welches unternehmen,welche firma,welches team,wie heisst,wie hiess,wie lautet der name,welcher name,welche organisation"),
		phrases(cause, "warum,weshalb,wieso,aus welchem grund,welcher grund,was verursacht,was verursachte"),
		phrases(meaning, "was ist,was sind,was bedeutet,was war,was waren"),
		phrases(manner, "wie"))
}

func asksES() []phrase {
	return join(
		phrases(number, "cuantos,cuantas,cuanto,cuanta,que porcentaje,que numero,que cantidad,que proporcion,cual es el numero,cual fue el numero,que edad,que tamano,que distancia,que altura,con que frecuencia"),
		phrases(date, "cuando,en que ano,que ano,que fecha,que mes,que dia,que siglo,en que siglo,que decada,desde cuando"),
		phrases(place, "donde,adonde,en que ciudad,que ciudad,que pais,en que pais,en que lugar,que estado,que lugar,que region"),
		phrases(name, "quien,quienes,a quien,de quien,que persona,que empresa,que equipo,como se llama,como se llamaba,cual es el nombre,cual era el nombre,que nombre,que organizacion"),
		phrases(cause, "por que,cual es la razon,cual fue la razon,que causo,que causa,por que razon,por que motivo"),
		phrases(meaning, "que es,que son,que significa,que era,que fue,cual es,cual era,cual fue"),
		phrases(manner, "como"))
}

func asksFR() []phrase {
	return join(
		phrases(number, "combien,quel pourcentage,quel nombre,quel age,quelle taille,quelle distance,quelle proportion"),
		phrases(date, "quand,en quelle annee,quelle annee,quelle date,quel mois,quel siecle,quel jour"),
		phrases(place, "ou se,ou est,ou sont,dans quelle ville,quelle ville,quel pays,dans quel pays,quel endroit"),
		phrases(name, "qui,a qui,de qui,quelle personne,quelle entreprise,quelle equipe,comment s appelle,quel est le nom"),
		phrases(cause, "pourquoi,pour quelle raison,quelle raison"),
		phrases(meaning, "qu est,que signifie,quel est,quelle est,qu etait"),
		phrases(manner, "comment"))
}

func asksAR() []phrase {
	return join(
		phrases(number, "كم,كم عدد,ما عدد,ما هو عدد,ما نسبة,ما هي نسبة,كم من"),
		phrases(date, "متى,في اي عام,في أي عام,في اي سنة,في أي سنة,اي عام,أي عام,منذ متى,ما تاريخ,ما هو تاريخ"),
		phrases(place, "اين,أين,في اي مدينة,في أي مدينة,في اي بلد,في أي بلد,اي مدينة,أي مدينة"),
		phrases(name, "من,من هو,من هي,ما اسم,ما هو اسم,من الذي"),
		phrases(cause, "لماذا,ما سبب,ما هو سبب"),
		phrases(meaning, "ما,ما هو,ما هي,ماذا"),
		phrases(manner, "كيف"))
}

// asksZH are pairs of characters: Chinese sets no spaces between words.
func asksZH() []phrase {
	return join(
		phrases(number, "多少,几个,几次,几人,多大,多高,多长,多久,多远"),
		phrases(date, "何时,哪年,哪一 一年,什么 么时 时候,几年,哪天"),
		phrases(place, "哪里,哪儿,何处,在哪,哪个 个城 城市,哪个 个国 国家"),
		phrases(name, "是谁,谁是,谁的,由谁,谁在,哪位,哪家"),
		phrases(cause, "为什 什么,为何,原因"),
		phrases(manner, "如何,怎么,怎样"))
}
