// Package sentence finds the sentences of a text.
//
// It stands in flow/knowledge beside the chunks, which end at sentences where
// they can, and serves whoever quotes or checks single sentences. Call Split.
// It needs no language: the marks of Latin, Greek, Cyrillic, Arabic, Indic and
// East Asian writing are told apart by themselves, and the abbreviations of
// English, German, Spanish and French are known.
package sentence

// Span is a sentence: the bytes text[Start:End], without space at either end.
type Span struct{ Start, End int }

// Split returns the sentences of a text in order. They do not overlap, and
// only space lies between them: every byte that is not space is in one.
func Split(text string) []Span {
	return split(text)
}
