package gateway

import (
	"github.com/leat-ai/leat/llm"
)

// workload is how large a call is, before it is made.
type workload struct {
	most  llm.Usage // no more than this, whatever the tokens are
	asked int       // tokens of input, likely
	guess int       // tokens in and out that it will likely take, for rates
	units int       // searches of a reranker
	whole bool      // the answer comes at once, so nobody sees how far it is
}

// What counts tokens without knowing the tokenizer. A token is at least one
// byte of text, whatever made it, so bytes bound tokens; in running text it is
// about four of them.
const (
	bytesPerToken = 4
	// perMessage and perRequest are more than the marks around a message, and
	// what providers put before tools.
	perMessage = 16
	perRequest = 64
	perTools   = 1024
	// An image is worth so many tokens: likely, and at the most that a
	// provider counts for one. The bytes of a file or a sound count too.
	imageLikely = 1000
	imageMost   = 65_536
	// documentsPerUnit is how many documents one search of a reranker has, and
	// documentBytes how long one may be before it counts as several.
	documentsPerUnit = 100
	documentBytes    = 500
)

// chatWork is the workload of a question, whose answer has at most output
// tokens.
func chatWork(r *llm.Request, output int) workload {
	text, images := 0, 0
	for i := range r.Messages {
		n, k := messageBytes(&r.Messages[i])
		text, images = text+n, images+k
	}
	overhead := perRequest + perMessage*len(r.Messages)
	for i := range r.Tools {
		t := &r.Tools[i]
		text += len(t.Name) + len(t.Description) + len(t.Parameters) + len(t.Raw)
	}
	if len(r.Tools) > 0 {
		overhead += perTools
	}
	if r.Format != nil {
		text += len(r.Format.Schema) + len(r.Format.Description)
	}
	text += extraBytes(r.Extra)
	answers := max(r.N, 1)
	asked := tokensIn(text) + perMessage/4*len(r.Messages) + images*imageLikely
	return workload{
		most:  llm.Usage{Input: text + overhead + images*imageMost, Output: saturate(output, answers)},
		asked: asked, guess: asked + saturate(likelyOutput(output), answers),
	}
}

// likelyOutput is how long an answer is expected to be: few are as long as
// they may be, and what an answer really took is settled at its end.
func likelyOutput(most int) int { return min(most, 256) }

func saturate(n, times int) int {
	if n > 0 && times > (1<<40)/n {
		return 1 << 40
	}
	return n * times
}

func messageBytes(m *llm.Message) (text, images int) {
	text = len(m.Name) + len(m.Refusal) + len(m.Reasoning) + extraBytes(m.Extra)
	for i := range m.Parts {
		switch p := &m.Parts[i]; p.Kind {
		case llm.ImagePart:
			images++
		case llm.OtherPart:
			text += len(p.Raw)
			images++
		default:
			text += len(p.Text)
		}
	}
	for i := range m.Calls {
		text += len(m.Calls[i].ID) + len(m.Calls[i].Name) + len(m.Calls[i].Arguments)
	}
	return text + len(m.CallID), images
}

func extraBytes(e llm.Extra) int {
	n := 0
	for name, value := range e {
		n += len(name) + len(value)
	}
	return n
}

// embedWork is the workload of texts that are embedded.
func embedWork(r *llm.EmbedRequest) workload {
	text, tokens := 0, 0
	for _, s := range r.Inputs {
		text += len(s)
	}
	for _, t := range r.Tokens {
		tokens += len(t)
	}
	n := len(r.Inputs) + len(r.Tokens)
	asked := tokensIn(text) + tokens + n
	return workload{most: llm.Usage{Input: text + tokens + perMessage*n}, asked: asked, guess: asked}
}

// rerankWork is the workload of documents that are ordered: each is read with
// the query.
func rerankWork(r *llm.RerankRequest) workload {
	text, pieces := 0, 0
	for _, d := range r.Documents {
		text += len(d) + len(r.Query)
		// A document longer than a provider reads at once counts as several.
		pieces += 1 + (len(d)+len(r.Query))/documentBytes
	}
	units := (pieces + documentsPerUnit - 1) / documentsPerUnit
	asked := max(1, tokensIn(text))
	return workload{most: llm.Usage{Input: text + perMessage*len(r.Documents)}, asked: asked, guess: asked, units: max(units, 1)}
}

// tokensIn is about how many tokens a text of some bytes has.
func tokensIn(bytes int) int { return (bytes + bytesPerToken - 1) / bytesPerToken }
