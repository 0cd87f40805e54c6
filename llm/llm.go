// Package llm is the contract of language models: answering a conversation,
// embedding texts, ranking documents for a question.
//
// It stands beside model/, above store and work. Chat, Embedder and Reranker
// are the three things that a provider can do; its folders are protocols
// (openai, anthropic, cohere) and models in the process (sentence), and every
// one passes the suite of llmtest. Whoever needs a model takes one of the
// interfaces; which one it gets, with what limits, retries, price and ledger,
// is the business of llm/gateway. Collect makes one answer of a stream.
//
// What is promised:
//
//   - A stream ends in io.EOF only where the provider said that the answer is
//     whole. An answer that breaks off is an error, never a short answer.
//   - Ending the context or closing the stream frees the connection; no
//     deadline is overrun.
//   - Sizes are bounded: of a frame, of an answer, of a refusal.
//   - Errors are faults, with a Refusal in their chain where the provider
//     itself said no. Nothing is tried twice here: retries belong to who
//     knows the budget. No error holds a key.
package llm

import "context"

// Chat answers conversations.
type Chat interface {
	// Chat asks for an answer. The stream must be closed. A refusal of the
	// provider comes as an error of Chat wherever it is known before the first
	// piece of the answer. It is safe for many goroutines.
	Chat(ctx context.Context, r Request) (Stream, error)
}

// Stream is an answer as it comes. It is for one goroutine; Close may be
// called from another.
type Stream interface {
	// Next returns the next piece: io.EOF after the last piece of an answer
	// that is whole, any other error where it broke off. After an error it
	// returns the same error again.
	Next() (Delta, error)
	// Close frees the connection, whether the answer was read to its end or
	// not. It is safe to call twice.
	Close() error
}

// Embedder makes vectors of texts.
type Embedder interface {
	// Embed returns one vector for each input, in their order, all of one
	// length. It is safe for many goroutines.
	Embed(ctx context.Context, r EmbedRequest) (Embeddings, error)
}

// EmbedRequest is what to embed: Inputs or Tokens, never both.
type EmbedRequest struct {
	Model  string
	Inputs []string
	// Tokens are inputs as tokens of the model, as some clients send them.
	Tokens     [][]int
	Dimensions int     // of a vector; 0: as the model has it
	Purpose    Purpose // for models that embed questions otherwise than documents
	User       string  // who asks, for the provider's statistics
	Extra      Extra   // members that Leat does not read, passed on
}

// Purpose says what a text that is embedded is used for.
type Purpose string

// The purposes. The zero Purpose is unknown: models take it for a document.
const (
	ForDocument Purpose = "document"
	ForQuery    Purpose = "query"
)

// Embeddings are vectors of inputs.
type Embeddings struct {
	Vectors [][]float32 // as many as inputs, of equal length
	Usage   Usage       // Input only
	Model   string      // as the provider calls it
}

// Reranker orders documents by how well they answer a query.
type Reranker interface {
	// Rerank is safe for many goroutines.
	Rerank(ctx context.Context, r RerankRequest) (Ranking, error)
}

// RerankRequest is what to order.
type RerankRequest struct {
	Model     string
	Query     string
	Documents []string
	Top       int   // how many are wanted; 0: all
	Extra     Extra // members that Leat does not read, passed on
}

// Ranking is an order of documents.
type Ranking struct {
	// Results are the best documents, by falling score, each once.
	Results []Ranked
	Model   string
	Usage   Usage // Input, where the provider counts tokens
	Units   int   // search units that the provider bills; 0 where it does not say
}

// Ranked is one document in its place.
type Ranked struct {
	Index int     // into RerankRequest.Documents
	Score float64 // the higher the better; its scale is the model's
}

// Usage counts the tokens of a call. Counts that are part of another are
// contained in it, as in OpenAI's protocol.
type Usage struct {
	Input       int // all of the prompt
	CachedInput int // of Input: read from the provider's cache
	CacheWrite  int // of Input: written to the provider's cache
	Output      int // all of the answer
	Reasoning   int // of Output: thought, and not shown
}

// Add returns the sum of two usages.
func (u Usage) Add(v Usage) Usage {
	return Usage{
		Input: u.Input + v.Input, CachedInput: u.CachedInput + v.CachedInput, CacheWrite: u.CacheWrite + v.CacheWrite,
		Output: u.Output + v.Output, Reasoning: u.Reasoning + v.Reasoning,
	}
}
