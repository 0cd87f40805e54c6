package openai

import (
	"net/http"
	"strconv"
	"time"

	"github.com/leat-ai/leat/llm/gateway"
)

// jsonType is a value of Content-Type that all answers share; nobody changes
// it.
var jsonType = []string{"application/json"}

// processed tells how long the answer took until now.
func processed(h http.Header, began time.Time) {
	h["Openai-Processing-Ms"] = []string{strconv.FormatInt(time.Since(began).Milliseconds(), 10)}
}

// tell writes what is known of a call into headers: those of LiteLLM, which
// its users read, and what is left of the caller's limits, as OpenAI names it.
func tell(h http.Header, c gateway.Call) {
	if c.ID == "" {
		return
	}
	set := func(name, value string) {
		if value != "" {
			h[name] = []string{value}
		}
	}
	set("X-Litellm-Call-Id", c.ID)
	set("X-Litellm-Model-Group", c.LLM)
	set("X-Litellm-Model-Id", c.Deployment)
	set("X-Litellm-Model-Name", c.Model)
	if c.Attempts > 0 {
		set("X-Litellm-Attempted-Retries", strconv.Itoa(c.Attempts-1))
	}
	fallbacks := "0"
	if c.Fallback != "" {
		fallbacks = "1"
	}
	set("X-Litellm-Attempted-Fallbacks", fallbacks)
	if c.Duration > 0 { // it has ended
		set("X-Litellm-Response-Cost", c.Cost.String())
		set("X-Litellm-Response-Duration-Ms", strconv.FormatFloat(float64(c.Duration.Microseconds())/1000, 'f', 3, 64))
	}
	quota := func(of string, q gateway.Quota) {
		if q.Limit == 0 {
			return
		}
		set("X-Ratelimit-Limit-"+of, strconv.FormatInt(q.Limit, 10))
		set("X-Ratelimit-Remaining-"+of, strconv.FormatInt(max(q.Remaining, 0), 10))
		set("X-Ratelimit-Reset-"+of, q.Reset.Round(time.Millisecond).String())
	}
	quota("Requests", c.Limits.Requests)
	quota("Tokens", c.Limits.Tokens)
}
