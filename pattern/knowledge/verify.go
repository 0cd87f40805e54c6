package knowledge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/fault"
)

// verifier holds passages against the stored text of their versions. It is for
// one answer.
type verifier struct {
	texts    Texts
	passages []Passage
	state    []standing // by passage
}

type standing uint8

const (
	unknown standing = iota
	holds
	gone // withdrawn, not to be read by who asks, or not what is stored
)

func newVerifier(texts Texts, passages []Passage) *verifier {
	return &verifier{texts: texts, passages: passages, state: make([]standing, len(passages))}
}

// holds tells whether a passage is, byte for byte, what is stored of its
// version now, and may be read by the principal of the context. A source that
// is gone is no error; one that cannot be asked about is.
func (v *verifier) holds(ctx context.Context, i int) (bool, error) {
	if v.state[i] != unknown {
		return v.state[i] == holds, nil
	}
	p := v.passages[i]
	text, _, err := v.texts.Text(ctx, p.Knowledge, p.Source, p.Version)
	switch {
	case fault.Is(err, fault.NotFound), fault.Is(err, fault.Forbidden), fault.Is(err, fault.Corrupt):
		v.state[i] = gone
		return false, nil
	case err != nil:
		return false, fault.Wrap(err, fault.KindOf(err), "the stored text of %q cannot be read", p.Source)
	}
	// One text answers for every passage of its version.
	for k := i; k < len(v.passages); k++ {
		if o := v.passages[k]; o.Knowledge == p.Knowledge && o.Source == p.Source && o.Version == p.Version {
			v.state[k] = gone
			if o.Start >= 0 && o.Start < o.End && o.End <= len(text) && string(text[o.Start:o.End]) == o.Text && utf8.ValidString(o.Text) {
				v.state[k] = holds
			}
		}
	}
	return v.state[i] == holds, nil
}

// standing are the passages that hold.
func (v *verifier) standing(ctx context.Context) ([]Passage, error) {
	var out []Passage
	for i, p := range v.passages {
		ok, err := v.holds(ctx, i)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, p)
		}
	}
	return out, nil
}

// citation is a stretch of a passage that holds.
func citation(p Passage, start, end, number int) Citation {
	quote := p.Text[start:end]
	sum := sha256.Sum256([]byte(quote))
	return Citation{
		Number: number, Knowledge: p.Knowledge, Source: p.Source, Version: p.Version, Start: p.Start + start, End: p.Start + end,
		Quote: quote, SHA256: hex.EncodeToString(sum[:]), Passage: p.ID, Title: p.Title, Heading: p.Heading, Page: p.Page, URL: p.URL, Verified: true,
	}
}
