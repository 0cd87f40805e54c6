package anthropic_test

import (
	"testing"

	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/anthropic"
	"github.com/leat-ai/leat/llm/llmtest"
)

func open(t *testing.T, c anthropic.Config) *anthropic.Provider {
	t.Helper()
	p, err := anthropic.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func TestChat(t *testing.T) {
	llmtest.RunChat(t, func(t *testing.T, url string, access llm.Access) llm.Chat {
		return open(t, anthropic.Config{URL: url + "/v1", Access: access})
	})
}
