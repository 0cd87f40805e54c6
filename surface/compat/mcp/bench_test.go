package mcp_test

import (
	"testing"

	"github.com/leat-ai/leat/surface/server"
)

// BenchmarkCall is a call of a tool over loopback, with all that a request
// brings: the server of the caller is made for each.
func BenchmarkCall(b *testing.B) {
	w, url := start(b, server.AuthKeys)
	go func() {
		for range w.asked { // nobody looks at what is asked
		}
	}()
	body, header := stateless("tools/call", "search", map[string]any{"name": "search", "arguments": map[string]any{"query": "hotels"}})
	b.ReportAllocs()
	for b.Loop() {
		if a, err := post(b.Context(), b, url, "bob/search:wiki", body, header); err != nil || a.Error != nil {
			b.Fatal(a.body, err)
		}
	}
}

// BenchmarkList is the list of tools.
func BenchmarkList(b *testing.B) {
	_, url := start(b, server.AuthKeys)
	body, header := stateless("tools/list", "", nil)
	for b.Loop() {
		if a, err := post(b.Context(), b, url, all, body, header); err != nil || a.Error != nil {
			b.Fatal(a.body, err)
		}
	}
}
