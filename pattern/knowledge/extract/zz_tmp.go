package extract

import "github.com/leat-ai/leat/store/index/analysis"

func Stemmer(n string) func(string) string {
	a := analysis.New(n)
	return func(w string) string {
		if t := a.Tokens(w, nil); len(t) > 0 {
			return t[0].Term
		}
		return ""
	}
}

var FeatureNames = []string{"covered", "coveredNear", "coveredText", "sideBySide", "named", "rarest", "hasKind", "lacksKind", "nearKind", "density", "retrieved", "isHeading", "isQuestion", "tooShort", "lengthy", "headNear", "first", "leans"}
