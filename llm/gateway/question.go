package gateway

import (
	"encoding/json"
	"strings"

	"github.com/leat-ai/leat/llm"
)

// maxQuestion bounds what the decision log keeps of a question, in bytes.
const maxQuestion = 256 << 10

// questionOf writes the messages of a request as JSON: role and text of each,
// and what else they have.
func questionOf(r *llm.Request) string {
	var b strings.Builder
	b.WriteByte('[')
	for i := range r.Messages {
		m := &r.Messages[i]
		if b.Len() > maxQuestion {
			break
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"role":`)
		quote(&b, string(m.Role))
		b.WriteString(`,"text":`)
		quote(&b, shorten(m.Text(), maxQuestion))
		for k := range m.Parts {
			if p := &m.Parts[k]; p.Kind == llm.ImagePart {
				b.WriteString(`,"image":`)
				quote(&b, shorten(p.URL, 1000))
			}
		}
		if len(m.Calls) > 0 {
			calls, err := json.Marshal(m.Calls)
			if err == nil && len(calls) < maxQuestion {
				b.WriteString(`,"calls":`)
				b.Write(calls)
			}
		}
		b.WriteByte('}')
	}
	b.WriteByte(']')
	return b.String()
}

// textsOf writes texts as a JSON array.
func textsOf(texts []string) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, s := range texts {
		if b.Len() > maxQuestion {
			break
		}
		if i > 0 {
			b.WriteByte(',')
		}
		quote(&b, shorten(s, maxQuestion))
	}
	b.WriteByte(']')
	return b.String()
}

func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// quote writes a JSON string. Text without anything to escape, which is most,
// is written as it is.
func quote(b *strings.Builder, s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x80 {
			text, _ := json.Marshal(s) // a string can be written
			b.Write(text)
			return
		}
	}
	b.WriteByte('"')
	b.WriteString(s)
	b.WriteByte('"')
}
