package openai_test

import (
	"testing"

	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/llmtest"
	"github.com/leat-ai/leat/llm/openai"
)

func open(t *testing.T, c openai.Config) *openai.Provider {
	t.Helper()
	p, err := openai.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func TestChat(t *testing.T) {
	for name, c := range map[string]openai.Config{"openai": {}, "compatible": {Compatible: true}} {
		t.Run(name, func(t *testing.T) {
			llmtest.RunChat(t, func(t *testing.T, url string, access llm.Access) llm.Chat {
				c.URL, c.Access = url+"/v1", access
				return open(t, c)
			})
		})
	}
	for name, version := range map[string]string{"azure old": "2024-10-21", "azure new": "", "azure preview": "preview"} {
		t.Run(name, func(t *testing.T) {
			llmtest.RunChat(t, func(t *testing.T, url string, access llm.Access) llm.Chat {
				return open(t, openai.Config{URL: url, Access: access, Azure: &openai.Azure{Version: version}})
			})
		})
	}
}
