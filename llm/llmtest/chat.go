package llmtest

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
)

// Open opens a provider whose server is at a URL (Upstream.URL), with a client
// that may ask it and a key.
type Open[T any] func(t *testing.T, url string, access llm.Access) T

// Key is the key that providers get from the suites.
const Key = "sk-very-secret-key"

// RunChat runs the suite of llm.Chat against upstreams of a provider's
// protocol. It waits for deadlines of a second, and so takes some.
func RunChat(t *testing.T, open Open[llm.Chat]) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Open[llm.Chat])
	}{
		{"an answer comes as it was made", testAnswer},
		{"tools are called", testCalls},
		{"a conversation is passed on", testConversation},
		{"usage is told, or is not", testUsage},
		{"why an answer ended", testFinish},
		{"a broken answer is an error", testBroken},
		{"a deadline is kept", testDeadline},
		{"a silent server is given up", testSilence},
		{"closing frees the connection", testClose},
		{"cancelling frees the connection", testCancel},
		{"connections are used again", testReuse},
		{"refusals have their kinds", testRefusals},
		{"a wait that is asked for is known", testRetryAfter},
		{"no error holds the key", testKey},
		{"a server that sends elsewhere gets nobody there", testRedirect},
		{"many at once", testMany},
	} {
		t.Run(test.name, func(t *testing.T) {
			noLeaks(t)
			test.run(t, open)
		})
	}
}

// noLeaks fails a test that leaves goroutines behind.
func noLeaks(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for range 100 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		stacks := make([]byte, 64<<10)
		t.Errorf("%d goroutines became %d:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
	})
}

func start[T any](t *testing.T, open Open[T], s Script) (T, *Upstream) {
	t.Helper()
	u := Serve(t, s)
	return open(t, u.URL, Access(u)), u
}

// Access is how an upstream is reached, with Key.
func Access(u *Upstream) llm.Access {
	return llm.Access{Client: u.Client, Key: func(context.Context) (string, error) { return Key, nil }}
}

const sentence = "Staff may book hotels up to 180 € a night — in Zürich 220 €."

// question is a small request.
func question(stream bool) llm.Request {
	return llm.Request{Model: "test-model", Messages: []llm.Message{llm.Text(llm.System, "Be brief."), llm.Text(llm.User, "What may a hotel cost?")}, MaxTokens: 100, Stream: stream}
}

// both runs a test for answers in pieces and whole ones.
func both(t *testing.T, run func(t *testing.T, stream bool)) {
	t.Run("in pieces", func(t *testing.T) { run(t, true) })
	t.Run("whole", func(t *testing.T) { run(t, false) })
}

func ask(ctx context.Context, c llm.Chat, r llm.Request) (llm.Answer, error) {
	s, err := c.Chat(ctx, r)
	if err != nil {
		return llm.Answer{}, err
	}
	return llm.Collect(s)
}

func testAnswer(t *testing.T, open Open[llm.Chat]) {
	both(t, func(t *testing.T, stream bool) {
		c, u := start(t, open, Always(Reply{Text: sentence, Reasoning: "Let me see. ", Model: "test-model-2026"}))
		s, err := c.Chat(t.Context(), question(stream))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var text, thought string
		var pieces int
		for {
			d, err := s.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if d.Text != "" {
				pieces++
			}
			text, thought = text+d.Text, thought+d.Reasoning
			if d.ID == "" || d.Model != "test-model-2026" {
				t.Errorf("a piece of the answer %q by the model %q", d.ID, d.Model)
			}
		}
		if text != sentence || thought != "Let me see. " {
			t.Errorf("%q, thought %q", text, thought)
		}
		if stream && pieces < 5 {
			t.Errorf("the answer came in %d pieces", pieces)
		}
		if _, err := s.Next(); err != io.EOF {
			t.Errorf("after the end comes %v", err)
		}
		for range 2 {
			if err := s.Close(); err != nil {
				t.Errorf("closing fails: %v", err)
			}
		}
		asked := u.Asked()
		if len(asked) != 1 || asked[0].Stream != stream || asked[0].Model != "test-model" || asked[0].Limit != 100 {
			t.Errorf("asked %+v", asked)
		}
	})
}

func testCalls(t *testing.T, open Open[llm.Chat]) {
	calls := []llm.Call{{ID: "call_a", Name: "search", Arguments: `{"query":"hotel"}`}, {ID: "call_b", Name: "weather", Arguments: `{"city":"Zürich","days":[1,2]}`}}
	both(t, func(t *testing.T, stream bool) {
		c, u := start(t, open, Always(Reply{Text: "One moment.", Calls: calls}))
		r := question(stream)
		r.Tools = []llm.Tool{
			{Name: "search", Description: "Searches.", Parameters: []byte(`{"type":"object","properties":{"query":{"type":"string"}}}`)},
			{Name: "weather"},
		}
		r.ToolChoice = llm.ToolChoice{Mode: llm.ToolsNamed, Name: "search"}
		a, err := ask(t.Context(), c, r)
		if err != nil {
			t.Fatal(err)
		}
		got := a.Choices[0]
		if got.Finish != llm.FinishCalls || a.Text() != "One moment." {
			t.Errorf("%q, %q", got.Finish, a.Text())
		}
		if len(got.Message.Calls) != 2 {
			t.Fatalf("calls %+v", got.Message.Calls)
		}
		for i, call := range got.Message.Calls {
			if call.ID != calls[i].ID || call.Name != calls[i].Name || call.Arguments != calls[i].Arguments {
				t.Errorf("%+v became %+v", calls[i], call)
			}
		}
		if tools := u.Asked()[0].Tools; !slices.Equal(tools, []string{"search", "weather"}) {
			t.Errorf("tools %q", tools)
		}
	})
}

// testConversation has every kind of message; each text arrives, in order.
func testConversation(t *testing.T, open Open[llm.Chat]) {
	c, u := start(t, open, Say("ok"))
	r := llm.Request{Model: "test-model", Messages: []llm.Message{
		llm.Text(llm.System, "text-1"),
		llm.Text(llm.User, "text-2"),
		{Role: llm.Assistant, Parts: []llm.Part{{Kind: llm.TextPart, Text: "text-3"}}, Calls: []llm.Call{{ID: "a", Name: "f", Arguments: `{"x":1}`}, {ID: "b", Name: "f", Arguments: ""}}},
		{Role: llm.ToolRole, CallID: "a", Parts: []llm.Part{{Kind: llm.TextPart, Text: "text-4"}}},
		{Role: llm.ToolRole, CallID: "b", Parts: []llm.Part{{Kind: llm.TextPart, Text: "text-5"}}},
		{Role: llm.User, Parts: []llm.Part{{Kind: llm.TextPart, Text: "text-6 \" \\ \u2028 \x00 é 😀"}, {Kind: llm.ImagePart, URL: "data:image/png;base64,iVBORw0KGgo="}, {Kind: llm.ImagePart, URL: "https://example.com/a.png"}}},
		{Role: llm.Assistant, Calls: []llm.Call{{ID: "c", Name: "f", Arguments: "{}"}}},
		{Role: llm.ToolRole, CallID: "c"},
	}}
	if _, err := ask(t.Context(), c, r); err != nil {
		t.Fatal(err)
	}
	prompt, from := u.Asked()[0].Prompt(), 0
	for _, want := range []string{"text-1", "text-2", "text-3", "text-4", "text-5", "text-6 \" \\ \u2028 \x00 é 😀"} {
		at := strings.Index(prompt[from:], want)
		if at < 0 {
			t.Fatalf("%q is not in its place in %q", want, prompt)
		}
		from += at
	}
}

func testUsage(t *testing.T, open Open[llm.Chat]) {
	both(t, func(t *testing.T, stream bool) {
		want := llm.Usage{Input: 1000, CachedInput: 600, Output: 50}
		c, _ := start(t, open, Always(Reply{Text: sentence, Usage: &want}))
		a, err := ask(t.Context(), c, question(stream))
		if err != nil || a.Usage == nil || *a.Usage != want {
			t.Errorf("%+v, %v", a.Usage, err)
		}
	})
}

func testFinish(t *testing.T, open Open[llm.Chat]) {
	both(t, func(t *testing.T, stream bool) {
		for _, want := range []llm.Finish{llm.FinishStop, llm.FinishLength, llm.FinishFilter} {
			c, _ := start(t, open, Always(Reply{Text: "so", Finish: want}))
			a, err := ask(t.Context(), c, question(stream))
			if err != nil || a.Choices[0].Finish != want {
				t.Errorf("%q: %+v, %v", want, a.Choices, err)
			}
		}
	})
}

func testBroken(t *testing.T, open Open[llm.Chat]) {
	both(t, func(t *testing.T, stream bool) {
		for _, f := range Breaking() {
			if f == Hang || f == HangMidway {
				continue // see testDeadline
			}
			c, _ := start(t, open, Always(Reply{Text: sentence, Fault: f}))
			a, err := ask(t.Context(), c, question(stream))
			if err == nil {
				t.Errorf("%s: the answer %q is none", f, a.Text())
				continue
			}
			if kind := fault.KindOf(err); kind != fault.Unavailable && kind != fault.Overloaded || fault.HintOf(err) == sentence {
				t.Errorf("%s: %s: %v", f, kind, err)
			}
			if !strings.HasPrefix(sentence, a.Text()) {
				t.Errorf("%s: %q came", f, a.Text())
			}
		}
	})
}

func testDeadline(t *testing.T, open Open[llm.Chat]) {
	both(t, func(t *testing.T, stream bool) {
		const wait = 500 * time.Millisecond
		for _, f := range []Fault{Hang, HangMidway, Trickle, EndlessComments, EndlessFrame} {
			if !stream && (f == EndlessComments || f == EndlessFrame) {
				continue
			}
			c, u := start(t, open, Always(Reply{Text: sentence, Fault: f}))
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			began := time.Now()
			_, err := ask(ctx, c, question(stream))
			took := time.Since(began)
			cancel()
			if took > wait*11/10+100*time.Millisecond {
				t.Errorf("%s: a deadline of %s took %s", f, wait, took)
			}
			if kind := fault.KindOf(err); kind != fault.Timeout && !(f == EndlessFrame && kind == fault.Unavailable) {
				t.Errorf("%s: %s, %v", f, kind, err)
			}
			free(t, u)
		}
	})
}

// free waits until no request is under way.
func free(t *testing.T, u *Upstream) {
	t.Helper()
	for range 200 {
		if u.Open() == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d requests are still under way", u.Open())
}

func testSilence(t *testing.T, open Open[llm.Chat]) {
	both(t, func(t *testing.T, stream bool) {
		for _, f := range []Fault{Hang, HangMidway} {
			u := Serve(t, Always(Reply{Text: sentence, Fault: f}))
			access := Access(u)
			access.Stall = 100 * time.Millisecond
			_, err := ask(t.Context(), open(t, u.URL, access), question(stream))
			if !fault.Is(err, fault.Timeout) {
				t.Errorf("%s: %v", f, err)
			}
			free(t, u)
		}
	})
}

func testClose(t *testing.T, open Open[llm.Chat]) {
	c, u := start(t, open, Always(Reply{Text: sentence, Fault: HangMidway}))
	s, err := c.Chat(t.Context(), question(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(); err != nil {
		t.Fatal(err)
	}
	if u.Open() != 1 {
		t.Errorf("%d requests are under way", u.Open())
	}
	var read sync.WaitGroup
	read.Go(func() { // Close ends a Next that waits
		for err == nil {
			_, err = s.Next()
		}
	})
	time.Sleep(20 * time.Millisecond)
	_ = s.Close()
	read.Wait()
	if err == io.EOF {
		t.Error("a stream that was closed early ended well")
	}
	free(t, u)
}

func testCancel(t *testing.T, open Open[llm.Chat]) {
	both(t, func(t *testing.T, stream bool) {
		for _, f := range []Fault{Hang, HangMidway} {
			c, u := start(t, open, Always(Reply{Text: sentence, Fault: f}))
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			_, err := ask(ctx, c, question(stream))
			if !fault.Is(err, fault.Canceled) {
				t.Errorf("%s: %v", f, err)
			}
			free(t, u)
		}
	})
}

// testReuse wants one connection for answers that were read one after the
// other.
func testReuse(t *testing.T, open Open[llm.Chat]) {
	both(t, func(t *testing.T, stream bool) {
		c, u := start(t, open, Say(sentence))
		for range 5 {
			if _, err := ask(t.Context(), c, question(stream)); err != nil {
				t.Fatal(err)
			}
		}
		if n := u.Connections(); n != 1 {
			t.Errorf("%d connections were made", n)
		}
	})
}

func testRefusals(t *testing.T, open Open[llm.Chat]) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		kind   fault.Kind
		final  bool
	}{
		{"wrong", 400, `{"error":{"message":"no such role","type":"invalid_request_error","param":"messages","code":"invalid_value"}}`, fault.Invalid, true},
		{"too long", 400, `{"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","code":"context_length_exceeded"}}`, fault.TooLarge, true},
		{"too long in words", 400, `{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 300 tokens > 200 maximum"}}`, fault.TooLarge, true},
		{"filtered", 400, `{"error":{"message":"The response was filtered","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}`, fault.Rejected, true},
		{"our key", 401, `{"error":{"message":"Incorrect API key","type":"invalid_request_error","code":"invalid_api_key"}}`, fault.Unavailable, true},
		{"our rights", 403, `{"error":"forbidden"}`, fault.Unavailable, true},
		{"quota in the words of a proxy", 403, `{"statusCode":403,"message":"Out of call volume quota."}`, fault.Limited, true},
		{"no such model", 404, `{"error":{"message":"The model does not exist","code":"model_not_found"}}`, fault.NotFound, true},
		{"timeout", 408, ``, fault.Timeout, false},
		{"conflict", 409, ``, fault.Unavailable, false},
		{"too large", 413, `{"type":"error","error":{"type":"request_too_large","message":"too large"}}`, fault.TooLarge, true},
		{"unprocessable", 422, `{"detail":[{"loc":["body","n"],"msg":"extra"}]}`, fault.Invalid, true},
		{"rate", 429, `{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}`, fault.Limited, false},
		{"quota", 429, `{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}`, fault.Limited, true},
		{"failing", 500, `<html>Internal Server Error</html>`, fault.Unavailable, false},
		{"gateway", 502, ``, fault.Unavailable, false},
		{"busy", 503, `{"message":"busy"}`, fault.Overloaded, false},
		{"gateway timeout", 504, ``, fault.Timeout, false},
		{"overloaded", 529, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, fault.Overloaded, false},
	} {
		chat, _ := start(t, open, Always(Reply{Status: c.status, Body: c.body}))
		for _, stream := range []bool{true, false} {
			_, err := ask(t.Context(), chat, question(stream))
			r, ok := llm.RefusalOf(err)
			if !fault.Is(err, c.kind) || !ok || r.Status != c.status || r.Final != c.final || r.Message == "" {
				t.Errorf("%s: %s, %+v, %v", c.name, fault.KindOf(err), r, err)
			}
		}
	}
}

func testRetryAfter(t *testing.T, open Open[llm.Chat]) {
	for name, c := range map[string]struct {
		header http.Header
		least  time.Duration
		most   time.Duration
	}{
		"seconds":      {http.Header{"Retry-After": {"7"}}, 7 * time.Second, 7 * time.Second},
		"fraction":     {http.Header{"Retry-After": {"0.5"}}, time.Second / 2, time.Second / 2},
		"milliseconds": {http.Header{"Retry-After": {"7"}, "Retry-After-Ms": {"1500"}}, 1500 * time.Millisecond, 1500 * time.Millisecond},
		"a date":       {http.Header{"Retry-After": {time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)}}, 30 * time.Second, time.Minute},
		"the past":     {http.Header{"Retry-After": {"-3"}}, 0, 0},
		"no number":    {http.Header{"Retry-After": {"NaN"}}, 0, 0},
		"for ever":     {http.Header{"Retry-After": {"1e300"}}, time.Hour, 24 * time.Hour},
		"nothing":      {http.Header{}, 0, 0},
	} {
		chat, _ := start(t, open, Always(Reply{Status: 429, Header: c.header, Body: "{}"}))
		_, err := ask(t.Context(), chat, question(true))
		if got := llm.RetryAfter(err); got < c.least || got > c.most {
			t.Errorf("%s: %s", name, got)
		}
	}
	for should, final := range map[string]bool{"true": false, "false": true} {
		chat, _ := start(t, open, Always(Reply{Status: 418, Header: http.Header{"X-Should-Retry": {should}}, Body: "{}"}))
		_, err := ask(t.Context(), chat, question(true))
		if r, ok := llm.RefusalOf(err); !ok || r.Final != final {
			t.Errorf("x-should-retry %s: %+v", should, r)
		}
	}
}

func testKey(t *testing.T, open Open[llm.Chat]) {
	chat, u := start(t, open, Always(Reply{Status: 401, Body: `{"error":{"message":"Incorrect API key provided: ` + Key + `","code":"` + Key + `"}}`}))
	_, err := ask(t.Context(), chat, question(true))
	r, _ := llm.RefusalOf(err)
	if err == nil || strings.Contains(err.Error()+fault.HintOf(err)+r.Message+r.Code, Key) {
		t.Errorf("%v, %+v", err, r)
	}
	found := false
	for name, values := range u.Asked()[0].Header {
		if strings.Contains(strings.Join(values, " "), Key) {
			found = true
		}
		if name == "Authorization" && values[0] != "Bearer "+Key {
			t.Errorf("it shows %q", values)
		}
	}
	if !found {
		t.Error("the key is not shown")
	}
	access := Access(u)
	access.Key = func(context.Context) (string, error) { return "", fault.New(fault.NotFound, "the variable is not set") }
	_, err = ask(t.Context(), open(t, u.URL, access), question(true))
	if r, ok := llm.RefusalOf(err); !fault.Is(err, fault.Unavailable) || !ok || !r.Final || len(u.Asked()) != 1 {
		t.Errorf("without its key it asks %d times: %v", len(u.Asked()), err)
	}
}

func testRedirect(t *testing.T, open Open[llm.Chat]) {
	elsewhere := Serve(t, Say("got you"))
	chat, _ := start(t, open, func(a Asked) Reply {
		return Reply{Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {elsewhere.URL + a.Path}}}
	})
	_, err := ask(t.Context(), chat, question(true))
	if r, ok := llm.RefusalOf(err); !fault.Is(err, fault.Unavailable) || !ok || !r.Final || len(elsewhere.Asked()) > 0 {
		t.Errorf("%d went elsewhere: %v", len(elsewhere.Asked()), err)
	}
}

func testMany(t *testing.T, open Open[llm.Chat]) {
	c, u := start(t, open, func(a Asked) Reply { return Reply{Text: a.Messages[len(a.Messages)-1].Text} })
	var group sync.WaitGroup
	for i := range 32 {
		group.Go(func() {
			r := question(i%2 == 0)
			text := strings.Repeat("word ", i+1)
			r.Messages[1] = llm.Text(llm.User, text)
			if a, err := ask(t.Context(), c, r); err != nil || a.Text() != text {
				t.Errorf("%q: %q, %v", text, a.Text(), err)
			}
		})
	}
	group.Wait()
	free(t, u)
}
