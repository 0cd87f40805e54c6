package mcp

import (
	"context"
	"fmt"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/pattern/knowledge"
)

type askIn struct {
	Question     string `json:"question"`
	Assistant    string `json:"assistant,omitempty" jsonschema:"whom to ask; may be left out where there is one only"`
	Conversation []turn `json:"conversation,omitempty" jsonschema:"what was said before, oldest first"`
}

type turn struct {
	Role string `json:"role" jsonschema:"user or assistant"`
	Text string `json:"text"`
}

type askOut struct {
	Answer    string     `json:"answer" jsonschema:"Markdown; citations stand in it as [1], [2]"`
	Abstained bool       `json:"abstained" jsonschema:"the documents have no answer"`
	Citations []citation `json:"citations"`
	Sentences []sentence `json:"sentences" jsonschema:"the answer, sentence by sentence"`
	Assistant string     `json:"assistant"`
	Decision  string     `json:"decision" jsonschema:"under which the answer is recorded"`
	Release   string     `json:"release"`
	Model     string     `json:"model" jsonschema:"what wrote it"`
}

type citation struct {
	Number   int    `json:"number" jsonschema:"as it stands in the answer"`
	ID       string `json:"id" jsonschema:"of the version of the document"`
	Source   string `json:"source"`
	Version  string `json:"version"`
	Start    int    `json:"start" jsonschema:"where it stands in the document's text, in bytes"`
	End      int    `json:"end"`
	Quote    string `json:"quote" jsonschema:"exactly these bytes"`
	SHA256   string `json:"quote_sha256"`
	Title    string `json:"title,omitempty"`
	Heading  string `json:"heading,omitempty"`
	Page     int    `json:"page,omitempty"`
	URL      string `json:"url"`
	Verified bool   `json:"verified"`
}

type sentence struct {
	Start     int   `json:"start" jsonschema:"in bytes of the answer"`
	End       int   `json:"end"`
	Supported bool  `json:"supported" jsonschema:"by what it cites"`
	Citations []int `json:"citations,omitempty"`
}

// ask lets an assistant answer.
func (x *exchange) ask(ctx context.Context, in askIn) (askOut, error) {
	none := askOut{Citations: []citation{}, Sentences: []sentence{}}
	if strings.TrimSpace(in.Question) == "" {
		return none, fault.New(fault.Invalid, "there is nothing to answer: the question is empty")
	}
	names, err := chosen("assistant", in.Assistant, x.assistants)
	if err != nil {
		return none, err
	}
	if len(names) != 1 {
		return none, fault.New(fault.Invalid, "the question names no assistant").Hint("name one of %s", strings.Join(names, ", "))
	}
	q := knowledge.Question{Assistant: names[0], Text: in.Question}
	for i, t := range in.Conversation {
		if t.Role != knowledge.User && t.Role != knowledge.Agent {
			return none, fault.New(fault.Invalid, "message %d of the conversation has the role %.50q", i, t.Role).Hint("roles are user and assistant")
		}
		q.Conversation = append(q.Conversation, knowledge.Turn{Role: t.Role, Text: t.Text})
	}
	a, err := x.Assistants.Ask(ctx, q)
	if err != nil {
		return none, err
	}
	return answerOf(names[0], a), nil
}

func answerOf(assistant string, a knowledge.Answer) askOut {
	out := askOut{Answer: a.Text, Abstained: a.Abstained, Assistant: assistant, Decision: a.ID, Release: a.Release, Model: a.Model,
		Citations: []citation{}, Sentences: []sentence{}}
	for _, c := range a.Citations {
		i := id{c.Knowledge, c.Source, c.Version}
		w := citation{Number: c.Number, ID: i.String(), Source: c.Source, Version: c.Version, Start: c.Start, End: c.End, Quote: c.Quote, SHA256: c.SHA256,
			Title: c.Title, Heading: c.Heading, Page: c.Page, URL: c.URL, Verified: c.Verified}
		if w.URL == "" {
			w.URL = i.uri()
		}
		out.Citations = append(out.Citations, w)
	}
	for _, s := range a.Sentences {
		out.Sentences = append(out.Sentences, sentence{s.Start, s.End, s.Supported, s.Citations})
	}
	return out
}

// addTools adds what the caller may use.
func (x *exchange) addTools(s *sdk.Server) {
	if len(x.knowledge) > 0 {
		where := fmt.Sprintf("There is %s.", strings.Join(x.knowledge, ", "))
		add(x, s, &sdk.Tool{Name: "search", Title: "Search documents", Description: "Finds the documents that answer a question best. " + where}, x.search)
		add(x, s, &sdk.Tool{Name: "fetch", Title: "Read a document", Description: "Returns the text of a document that search found."}, x.fetch)
		add(x, s, &sdk.Tool{Name: "search_documents", Title: "Search passages",
			Description: "Finds passages with their exact place in a version of a document, narrowed by fields, and as of a date. " + where}, x.searchDocuments)
		add(x, s, &sdk.Tool{Name: "read_source", Title: "Read a range of a document", Description: "Returns a range of bytes of the text of a version of a document, however old."}, x.readSource)
		add(x, s, &sdk.Tool{Name: "verify_quote", Title: "Verify a quote", Description: "Tells whether a quote stands in a version of a document byte for byte, and where."}, x.verifyQuote)
	}
	if len(x.assistants) > 0 {
		add(x, s, &sdk.Tool{Name: "ask", Title: "Ask an assistant",
			Description: "Answers a question from documents, with citations that were checked against them. Assistants: " + strings.Join(x.assistants, ", ") + "."}, x.ask)
	}
}
