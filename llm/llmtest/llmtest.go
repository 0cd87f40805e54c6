// Package llmtest proves what language models promise, without one: the suite
// that every provider passes, and an upstream that answers by a script in the
// protocols of OpenAI, Azure, Anthropic and Cohere, with every fault that
// servers have.
//
// Serve starts an upstream for a test; Handler is one for programs. A Script
// says for each request what is answered: Say answers a text, Always and Then
// give replies with what is to go wrong, Obey does whatever anything in the
// prompt asks for. RunChat, RunEmbedder and RunReranker are the suites.
package llmtest

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/leat-ai/leat/llm"
)

// Protocol is what an upstream is spoken to in.
type Protocol string

// The protocols, by what a request asks for.
const (
	OpenAI     Protocol = "openai"     // …/chat/completions
	Embeddings Protocol = "embeddings" // …/embeddings
	Anthropic  Protocol = "anthropic"  // …/messages
	Rerank     Protocol = "rerank"     // …/rerank
)

// Asked is a request that came.
type Asked struct {
	Protocol Protocol
	Path     string // with its query
	Header   http.Header
	Body     []byte
	Model    string
	Stream   bool
	Usage    bool // the stream is to tell its usage
	Messages []Said
	Tools    []string // names
	Inputs   []string // texts to embed, or documents to rank
	Query    string
	Base64   bool // vectors are wanted so
	Top      int
	Limit    int // of tokens
}

// Said is one message of a prompt.
type Said struct{ Role, Text string }

// Prompt is all text of a request.
func (a Asked) Prompt() string {
	var text []byte
	for _, m := range a.Messages {
		text = append(text, m.Text...)
		text = append(text, '\n')
	}
	return string(text)
}

// Reply is what is answered.
type Reply struct {
	Text      string
	Reasoning string
	Calls     []llm.Call
	Finish    llm.Finish // stop, or tool_calls where there are any
	Usage     *llm.Usage // words of prompt and answer when nil
	NoUsage   bool       // the upstream counts nothing
	Model     string     // the one asked for when ""

	Wait time.Duration // before the answer begins
	Pace time.Duration // between two pieces of a stream

	Fault Fault
	// Status and what follows are answered instead of all that, where Status is
	// not 0.
	Status int
	Header http.Header
	Body   string
}

// Fault is what goes wrong with an answer. Those of the middle happen after
// about half of it was sent.
type Fault string

// The faults.
const (
	NoFault         Fault = ""
	Hang            Fault = "hang"             // nothing is answered, ever
	HangMidway      Fault = "hang midway"      // nothing more
	Reset           Fault = "reset"            // the connection is reset before the answer
	ResetMidway     Fault = "reset midway"     // and within it
	CloseMidway     Fault = "close midway"     // the connection is closed within the answer, without its end
	Trickle         Fault = "trickle"          // a byte a second, from the middle on
	Garbage         Fault = "garbage"          // 200 with something else
	GarbageMidway   Fault = "garbage midway"   // bytes that are no JSON, within a frame
	CutCharacter    Fault = "cut character"    // a frame ends within a character of UTF-8, and with it the stream
	LengthTooLong   Fault = "length too long"  // Content-Length is more than there is
	LengthTooShort  Fault = "length too short" // and less
	EndsEarly       Fault = "ends early"       // the stream ends well in the middle of the answer
	CoveredUp       Fault = "covered up"       // so, and says that it is done
	ErrorMidway     Fault = "error midway"     // the stream tells of an error
	ErrorInstead    Fault = "error instead"    // 200, and the body is an error
	NothingAtAll    Fault = "nothing at all"   // 200 without a body
	EndlessFrame    Fault = "endless frame"    // a frame that never ends
	EndlessComments Fault = "endless comments" // nothing but comments, quickly
)

// Breaking are the faults after which an answer is not whole: a provider that
// calls one whole is broken itself.
func Breaking() []Fault {
	return []Fault{HangMidway, ResetMidway, CloseMidway, GarbageMidway, CutCharacter, LengthTooLong, LengthTooShort, EndsEarly, CoveredUp, ErrorMidway, Hang, Reset, Garbage, ErrorInstead, NothingAtAll}
}

// Script says what is answered to a request. It is called by many goroutines.
type Script func(Asked) Reply

// Say answers a text.
func Say(text string) Script { return func(Asked) Reply { return Reply{Text: text} } }

// Always answers the same.
func Always(r Reply) Script { return func(Asked) Reply { return r } }

// Then gives one reply after the other, and the last one for ever.
func Then(replies ...Reply) Script {
	var mu sync.Mutex
	return func(Asked) Reply {
		mu.Lock()
		defer mu.Unlock()
		r := replies[0]
		if len(replies) > 1 {
			replies = replies[1:]
		}
		return r
	}
}

// Upstream is a server that answers by a script.
type Upstream struct {
	URL    string // where its paths begin, without /v1
	Client *http.Client

	handler *handler
	server  *httptest.Server
}

// Serve starts an upstream on loopback until the test ends.
func Serve(t testing.TB, s Script) *Upstream {
	u := &Upstream{handler: newHandler(s)}
	u.server = httptest.NewServer(u.handler)
	u.URL, u.Client = u.server.URL, u.server.Client()
	t.Cleanup(u.Close)
	return u
}

// Close ends the upstream and every request that it has. It is safe to call
// twice.
func (u *Upstream) Close() {
	u.handler.stop()
	u.server.CloseClientConnections()
	u.server.Close()
}

// Asked returns the requests that came, in their order.
func (u *Upstream) Asked() []Asked {
	u.handler.mu.Lock()
	defer u.handler.mu.Unlock()
	return slices.Clone(u.handler.asked)
}

// Open returns how many requests are under way: whose client has gone is not.
func (u *Upstream) Open() int { return int(u.handler.open.Load()) }

// Connections returns how many there were so far.
func (u *Upstream) Connections() int {
	u.handler.mu.Lock()
	defer u.handler.mu.Unlock()
	return len(u.handler.from)
}

// Handler is an upstream for programs; it keeps no record of requests.
func Handler(s Script) http.Handler {
	h := newHandler(s)
	h.forget = true
	return h
}
