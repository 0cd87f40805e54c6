// Package knowledge is the pattern for questions: a question in, an answer out
// whose every citation was checked by machine against the stored bytes.
//
// It stands on the decision path like the other patterns. A Driver makes one
// row of a question and asks the path for it: passages are the row's features
// (Retriever finds those that the caller may read), and the model of the row
// is an answerer. Assistants makes both out of a release. Without a language
// model the answerer quotes the best sentences (package extract). With one it
// lets the model write, and sends on nothing that it has not checked: quotes
// must stand in the stored text byte for byte, each sentence is compared with
// what it cites (package cite), and links, images and calls that a passage may
// have talked the model into do not leave (package guardrail).
//
// Begin with New, which app hands to the decision path, and NewDriver, whose
// Ask the surfaces call.
//
// Promises: an answer cites only sources that the caller could read when it
// was made; every quote is a range of bytes of a stored version; an answer
// that broke off is an error and never a short answer; the same question on
// the same release and snapshot, answered by extraction, gives the same bytes.
package knowledge

import (
	"encoding/json"
	"time"

	"github.com/leat-ai/leat/llm"
)

// Question is what somebody asks an assistant.
type Question struct {
	Assistant string
	Text      string
	// Conversation has the earlier messages, oldest first, without the
	// question itself.
	Conversation []Turn
	// Filter narrows the passages, in the JSON form of index.Filter; nil for
	// none.
	Filter json.RawMessage
	// Key is an idempotency key, or "".
	Key string
	// Received is when the question arrived; the present when zero.
	Received time.Time
	// Emit, when set, is called with each part of the answer as soon as it is
	// checked, in order, before Ask returns. Its error ends the question. What
	// all parts append is Answer.Text. When Ask returns an error, what was
	// emitted is not an answer, and the caller must say so to whoever reads.
	Emit func(Part) error
}

// Roles of turns.
const (
	User  = "user"
	Agent = "assistant"
)

// Turn is one earlier message of a conversation.
type Turn struct {
	Role string `json:"role"` // User or Agent; others are not read
	Text string `json:"text"`
}

// Answer is what an assistant says.
type Answer struct {
	ID       string // of the decision
	Release  string
	Variant  string // of the release; decide.Fallback where the built-in answerer stood in
	ServedBy string // who stood in, or ""
	Text     string // Markdown; citations stand in it as [1], [2], …
	// Sentences cover Text in order.
	Sentences []Sentence
	// Citations are in the order of their numbers.
	Citations []Citation
	// Passages are what the answer was made from, best first.
	Passages []Passage
	// Finish is why it ended: llm.FinishStop, or llm.FinishLength and
	// llm.FinishFilter where the language model was stopped before its end.
	Finish llm.Finish
	// Query is the question as it was searched for.
	Query     string
	Abstained bool   // there is no answer in the sources; Text says so
	Model     string // what wrote it, such as "extractive" or the language model's own name
	Input     int    // tokens
	Output    int    // tokens
	Cost      float64
}

// Sentence is a stretch of an answer's text that was checked as one.
type Sentence struct {
	Start     int   `json:"start"` // bytes of Answer.Text, half open
	End       int   `json:"end"`
	Supported bool  `json:"supported"`
	Citations []int `json:"citations,omitempty"` // their numbers
}

// Citation points at bytes of a stored version.
type Citation struct {
	Number    int    `json:"number"` // as it stands in the text: [1]
	Knowledge string `json:"knowledge"`
	Source    string `json:"source"`
	Version   string `json:"version"` // SHA-256 of the source version, in hex
	Start     int    `json:"start"`   // bytes of the version's text, half open
	End       int    `json:"end"`
	Quote     string `json:"quote"`  // exactly these bytes
	SHA256    string `json:"sha256"` // of Quote, in hex
	Passage   string `json:"passage,omitempty"`
	Title     string `json:"title,omitempty"`
	Heading   string `json:"heading,omitempty"`
	Page      int    `json:"page,omitempty"`
	URL       string `json:"url,omitempty"`
	// Verified is true: a citation that could not be checked against the
	// stored version is none.
	Verified bool `json:"verified"`
}

// Passage is a piece of a source that was found for a question.
type Passage struct {
	ID        string  `json:"id"`
	Knowledge string  `json:"knowledge"`
	Snapshot  string  `json:"snapshot,omitempty"`
	Source    string  `json:"source"`
	Version   string  `json:"version"`
	Start     int     `json:"start"` // bytes of the version's text, half open
	End       int     `json:"end"`
	Title     string  `json:"title,omitempty"`
	Heading   string  `json:"heading,omitempty"`
	Context   string  `json:"context,omitempty"` // what the text stands under, such as a table's header
	Page      int     `json:"page,omitempty"`
	URL       string  `json:"url,omitempty"`
	Score     float64 `json:"score"`
	Text      string  `json:"text"`
}

// Part is a checked piece of an answer on its way.
type Part struct {
	// Passages is set in the first part alone, which has no text.
	Passages []Passage
	// Text is appended to the answer.
	Text string
	// Sentence is the range of Text in the answer, and whether it is
	// supported; nil where Text is what stands between sentences.
	Sentence *Sentence
	// Citations that no part before had.
	Citations []Citation
}
