package app

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestMCPClient: an agent searches, reads, verifies and asks of a whole server,
// and can still verify what it noted down after the document has changed.
func TestMCPClient(t *testing.T) {
	a := startAskable(t)
	client := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &sdk.StreamableClientTransport{Endpoint: a.URL() + "/mcp"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	call := func(tool string, arguments, out any) {
		t.Helper()
		result, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: tool, Arguments: arguments})
		if err != nil {
			t.Fatal(err)
		}
		text := result.Content[0].(*sdk.TextContent).Text
		if result.IsError {
			t.Fatalf("%s: %s", tool, text)
		}
		if err := json.Unmarshal([]byte(text), out); err != nil {
			t.Fatal(err)
		}
	}
	var found struct {
		Results []struct{ ID, Title, Text string }
	}
	call("search", map[string]any{"query": "how much may a hotel cost?"}, &found)
	if len(found.Results) == 0 || !strings.HasPrefix(found.Results[0].ID, "manual/docs/travel.md@") || !strings.Contains(found.Results[0].Text, "180 €") {
		t.Fatalf("%+v", found)
	}
	id := found.Results[0].ID
	for _, r := range found.Results {
		if strings.Contains(r.ID, "secret") {
			t.Errorf("what only the board reads is found: %+v", r)
		}
	}
	var document struct{ Text string }
	call("fetch", map[string]any{"id": id}, &document)
	if document.Text != manual["docs/travel.md"] {
		t.Errorf("%q", document.Text)
	}
	var answer struct {
		Answer    string
		Citations []struct {
			ID, Quote string
			Verified  bool
		}
	}
	call("ask", map[string]any{"question": "How much may a hotel cost a night?", "assistant": "helpdesk"}, &answer)
	if !strings.Contains(answer.Answer, "180 €") || len(answer.Citations) == 0 || !answer.Citations[0].Verified {
		t.Fatalf("%+v", answer)
	}
	quote := answer.Citations[0].Quote
	var proof struct{ Verified, Current bool }
	call("verify_quote", map[string]any{"id": answer.Citations[0].ID, "quote": quote}, &proof)
	if !proof.Verified || !proof.Current {
		t.Errorf("%+v of %q", proof, quote)
	}
	changed := strings.ReplaceAll(manual["docs/travel.md"], "180", "210")
	if err := os.WriteFile(filepath.Join(a.config.Project, "docs", "travel.md"), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	reply, err := http.Post(a.URL()+"/v1/knowledge/manual/sync", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	reply.Body.Close()
	if reply.StatusCode >= 300 {
		t.Fatalf("a sync is answered %d", reply.StatusCode)
	}
	for deadline := time.Now().Add(time.Minute); proof.Current; time.Sleep(50 * time.Millisecond) {
		call("verify_quote", map[string]any{"id": answer.Citations[0].ID, "quote": quote}, &proof)
		if time.Now().After(deadline) {
			t.Fatal("the change is not seen")
		}
	}
	if !proof.Verified {
		t.Errorf("what was cited cannot be verified any more: %+v", proof)
	}
	call("verify_quote", map[string]any{"id": "manual/docs/travel.md", "quote": "at most 210 €"}, &proof)
	if !proof.Verified || !proof.Current {
		t.Errorf("%+v", proof)
	}
}
