package llm

import (
	"encoding/json"
	"strings"
)

// Extra are members of a request or an answer that Leat does not read, by
// their names in OpenAI's protocol. They are passed on as they came.
type Extra map[string]json.RawMessage

// Request asks for the next message of a conversation. The zero value of a
// setting leaves it to the provider.
type Request struct {
	Model    string
	Messages []Message
	// Stream asks the provider for the answer in pieces as they are made.
	// Otherwise it comes whole, in a few pieces at its end.
	Stream bool

	MaxTokens   int // of the answer, thinking included
	N           int // how many answers; 0 is 1
	Temperature *float64
	TopP        *float64
	Stop        []string
	Seed        *int64

	Tools         []Tool
	ToolChoice    ToolChoice
	ParallelCalls *bool // whether several tools may be called in one answer
	Format        *Format
	User          string // who asks, for the provider's statistics

	// Extra is passed on to providers of OpenAI's protocol. Others translate
	// what they know, refuse what would change the answer's shape, and leave
	// the rest out.
	Extra Extra
}

// Role says whose a message is.
type Role string

// The roles. Developer is System for newer models of OpenAI; other providers
// take both alike.
const (
	System    Role = "system"
	Developer Role = "developer"
	User      Role = "user"
	Assistant Role = "assistant"
	ToolRole  Role = "tool" // what a tool answered
)

// Message is one turn of a conversation.
type Message struct {
	Role  Role
	Parts []Part
	Name  string // of the participant, where there are several
	Calls []Call // of tools, in a message of the assistant
	// CallID says which call a message of a tool answers.
	CallID    string
	Refusal   string // of the assistant, in place of text
	Reasoning string // what the assistant thought, where the provider shows it
	Extra     Extra  // members that Leat does not read, passed on
}

// Text makes a message of one text.
func Text(role Role, text string) Message {
	return Message{Role: role, Parts: []Part{{Kind: TextPart, Text: text}}}
}

// Text returns the text parts of a message, one after the other.
func (m Message) Text() string {
	if len(m.Parts) == 1 {
		return m.Parts[0].Text
	}
	var b strings.Builder
	for _, p := range m.Parts {
		b.WriteString(p.Text)
	}
	return b.String()
}

// PartKind says what a part of a message is.
type PartKind string

// The kinds of parts. An OtherPart is one of OpenAI's protocol that Leat does
// not read; providers of another protocol refuse it.
const (
	TextPart  PartKind = "text"
	ImagePart PartKind = "image"
	OtherPart PartKind = "other"
)

// Part is a piece of a message.
type Part struct {
	Kind   PartKind
	Text   string          // of a TextPart
	URL    string          // of an ImagePart: https:, or data: with the image in it
	Detail string          // of an ImagePart: how closely to look; "" as the provider likes
	Raw    json.RawMessage // of an OtherPart, as it came
}

// Tool is a function that the model may ask to be called.
type Tool struct {
	Name        string
	Description string
	Parameters  json.RawMessage // a JSON Schema of an object; nil: it takes none
	Strict      *bool           // whether arguments must fit the schema exactly
	// Raw is a tool of OpenAI's protocol that is no function, as it came;
	// providers of another protocol refuse it.
	Raw json.RawMessage
}

// ToolMode says whether tools are called.
type ToolMode string

// The modes. The zero mode is the provider's default: auto where there are
// tools.
const (
	ToolsAuto     ToolMode = "auto"
	ToolsNone     ToolMode = "none"
	ToolsRequired ToolMode = "required" // some tool must be called
	ToolsNamed    ToolMode = "named"    // the tool ToolChoice.Name must be called
	ToolsOther    ToolMode = "other"    // ToolChoice.Raw says it, in OpenAI's protocol
)

// ToolChoice says whether and which tools are called.
type ToolChoice struct {
	Mode ToolMode
	Name string
	Raw  json.RawMessage
}

// Call is a tool that the model asks to be called.
type Call struct {
	ID        string
	Name      string
	Arguments string // JSON, as the model wrote it: it need not be valid
	Custom    bool   // the tool is no function, and Arguments are plain text
	Extra     Extra  // members that Leat does not read, to be given back with the call
}

// FormatKind says what an answer must be.
type FormatKind string

// The formats.
const (
	FormatText   FormatKind = "text"
	FormatJSON   FormatKind = "json_object"
	FormatSchema FormatKind = "json_schema"
)

// Format is what an answer must be. Name, Description, Schema and Strict are
// for FormatSchema.
type Format struct {
	Kind        FormatKind
	Name        string
	Description string
	Schema      json.RawMessage
	Strict      *bool
}

// Finish says why an answer ended. The zero Finish is one that goes on.
type Finish string

// The reasons.
const (
	FinishStop   Finish = "stop"           // it is complete, or a stop text came
	FinishLength Finish = "length"         // MaxTokens, or the model's window
	FinishCalls  Finish = "tool_calls"     // tools are to be called
	FinishFilter Finish = "content_filter" // the provider did not let it out
)
