package mcp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/surface/server"
)

// stateless is a request of the newest revision with its headers.
func stateless(method, name string, params map[string]any) (body string, header http.Header) {
	if params == nil {
		params = map[string]any{}
	}
	params["_meta"] = map[string]any{
		"io.modelcontextprotocol/protocolVersion":    "2026-07-28",
		"io.modelcontextprotocol/clientInfo":         map[string]any{"name": "test", "version": "1"},
		"io.modelcontextprotocol/clientCapabilities": map[string]any{},
	}
	text, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	header = http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {method}}
	if name != "" {
		header.Set("Mcp-Name", name)
	}
	return string(text), header
}

func request(t *testing.T, url, key, method, name string, params map[string]any) answer {
	t.Helper()
	body, header := stateless(method, name, params)
	a, err := post(t.Context(), t, url, key, body, header)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// called is the result of a tool.
type called struct {
	Content []struct{ Type, Text string }
	IsError bool
	Out     json.RawMessage `json:"structuredContent"`
	Type    string          `json:"resultType"`
}

// call calls a tool; its result must be complete and, as text, the same.
func call(t *testing.T, url, key, tool string, arguments map[string]any) (c called, a answer) {
	t.Helper()
	a = request(t, url, key, "tools/call", tool, map[string]any{"name": tool, "arguments": arguments})
	if a.Error != nil {
		return c, a
	}
	if err := json.Unmarshal(a.Result, &c); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	if c.Type != "complete" || len(c.Content) != 1 || c.Content[0].Type != "text" || !c.IsError && c.Content[0].Text != string(c.Out) {
		t.Errorf("%s: %s", tool, a.body)
	}
	return c, a
}

func toolNames(t *testing.T, a answer) (names []string) {
	t.Helper()
	var list struct {
		Tools      []struct{ Name, Description string }
		TTL        int    `json:"ttlMs"`
		CacheScope string `json:"cacheScope"`
	}
	if err := json.Unmarshal(a.Result, &list); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	if list.TTL <= 0 || list.CacheScope != "private" {
		t.Errorf("%s", a.body)
	}
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
		if strings.Contains(tool.Description, "private") {
			t.Errorf("a tool tells of what the caller may not use: %s", tool.Description)
		}
	}
	return names
}

func TestToolsAreThoseOfTheCaller(t *testing.T) {
	_, url := start(t, server.AuthKeys)
	documents := []string{"fetch", "read_source", "search", "search_documents", "verify_quote"}
	for key, want := range map[string][]string{
		all:                       append([]string{"ask"}, documents...),
		"bob/search:*":            documents,
		"bob/search:handbook":     documents,
		"bob/ask:guide":           {"ask"},
		"bob/read:*,score:x":      nil,
		"bob/search:nothing-here": nil,
	} {
		if key == "bob/search:*" {
			continue // sees "private", too
		}
		for range 2 { // the order is always the same
			if got := toolNames(t, request(t, url, key, "tools/list", "", nil)); !slices.Equal(got, want) {
				t.Errorf("%s: %q", key, got)
			}
		}
	}
	if _, a := call(t, url, "bob/ask:guide", "search", map[string]any{"query": "hotels"}); a.Error == nil || a.Error.Code != -32602 {
		t.Errorf("a tool that is not offered: %s", a.body)
	}
}

func TestDiscover(t *testing.T) {
	_, url := start(t, server.AuthKeys)
	a := request(t, url, all, "server/discover", "", nil)
	var d struct {
		Versions     []string                   `json:"supportedVersions"`
		Capabilities map[string]json.RawMessage `json:"capabilities"`
		Instructions string
		TTL          int    `json:"ttlMs"`
		Scope        string `json:"cacheScope"`
		Type         string `json:"resultType"`
	}
	if err := json.Unmarshal(a.Result, &d); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	if !slices.Contains(d.Versions, "2026-07-28") || !slices.Contains(d.Versions, "2025-11-25") || d.TTL <= 0 || d.Scope != "private" || d.Type != "complete" {
		t.Errorf("%s", a.body)
	}
	for _, gone := range []string{"logging", "prompts", "completions"} {
		if d.Capabilities[gone] != nil {
			t.Errorf("%s is offered: %s", gone, a.body)
		}
	}
	if d.Capabilities["tools"] == nil || d.Capabilities["resources"] == nil || !strings.Contains(d.Instructions, "handbook") || strings.Contains(d.Instructions, "private") {
		t.Errorf("%s", a.body)
	}
	if a.header.Get("X-Accel-Buffering") != "no" || a.header.Get("Mcp-Session-Id") != "" {
		t.Errorf("%v", a.header)
	}
}

// What is wrong with the protocol is an error of it, with its code.
func TestProtocolErrors(t *testing.T) {
	_, url := start(t, server.AuthKeys)
	list, listHeader := stateless("tools/list", "", nil)
	search, searchHeader := stateless("tools/call", "search", map[string]any{"name": "search", "arguments": map[string]any{"query": "hotels"}})
	nothing, nothingHeader := stateless("nothing/here", "", nil)
	future, futureHeader := stateless("tools/list", "", nil)
	future = strings.ReplaceAll(future, "2026-07-28", "2099-01-01")
	futureHeader.Set("Mcp-Protocol-Version", "2099-01-01")
	with := func(h http.Header, name, value string) http.Header {
		h = h.Clone()
		h.Set(name, value)
		if value == "" {
			h.Del(name)
		}
		return h
	}
	for name, c := range map[string]struct {
		body   string
		header http.Header
		status int
		code   int
	}{
		"all is right":          {search, searchHeader, 200, 0},
		"a name in base64":      {search, with(searchHeader, "Mcp-Name", "=?base64?c2VhcmNo?="), 200, 0},
		"another method":        {list, with(listHeader, "Mcp-Method", "tools/call"), 400, -32020},
		"no method":             {list, with(listHeader, "Mcp-Method", ""), 400, -32020},
		"another name":          {search, with(searchHeader, "Mcp-Name", "fetch"), 400, -32020},
		"no name":               {search, with(searchHeader, "Mcp-Name", ""), 400, -32020},
		"another version":       {list, with(listHeader, "Mcp-Protocol-Version", "2025-11-25"), 400, -32020},
		"a version of tomorrow": {future, futureHeader, 400, -32022},
		"an unknown method":     {nothing, nothingHeader, 404, -32601},
		"no JSON":               {"{", listHeader, 400, 0},
		"another type":          {list, with(listHeader, "Content-Type", "text/plain"), 415, 0},
		"too long":              {strings.Repeat(" ", 2<<20) + list, listHeader, 413, 0},
		"a page elsewhere":      {list, with(listHeader, "Origin", "https://evil.example"), 403, 0},
	} {
		a, err := post(t.Context(), t, url, all, c.body, c.header)
		code := 0
		if a.Error != nil {
			code = a.Error.Code
		}
		if err != nil || a.status != c.status || code != c.code {
			t.Errorf("%s: %d %s, %v", name, a.status, a.body, err)
		}
		if c.code == -32022 && !strings.Contains(string(a.Error.Data), "2026-07-28") {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		r, _ := http.NewRequestWithContext(t.Context(), method, url+"/mcp", nil)
		r.Header.Set("Authorization", "Bearer "+all)
		reply, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		reply.Body.Close()
		if reply.StatusCode != http.StatusMethodNotAllowed || reply.Header.Get("Allow") != http.MethodPost {
			t.Errorf("%s: %d", method, reply.StatusCode)
		}
	}
}

func TestWhoIsNotKnown(t *testing.T) {
	_, url := start(t, server.AuthKeys)
	body, header := stateless("tools/list", "", nil)
	for _, key := range []string{"", "nonsense"} {
		a, err := post(t.Context(), t, url, key, body, header)
		challenge := a.header.Get("WWW-Authenticate")
		if err != nil || a.status != http.StatusUnauthorized || !strings.HasPrefix(challenge, `Bearer resource_metadata="`+url+`/.well-known/oauth-protected-resource/mcp", scope="`) {
			t.Errorf("%d, %s, %v", a.status, challenge, err)
		}
	}
	for _, path := range []string{"/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"} {
		reply, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		err = json.NewDecoder(reply.Body).Decode(&m)
		reply.Body.Close()
		if err != nil || m["resource"] != url+"/mcp" || fmt.Sprint(m["bearer_methods_supported"]) != "[header]" {
			t.Errorf("%s: %v, %v", path, m, err)
		}
	}
}

// hit is what the searches give.
type hit struct {
	ID, Title, URL, Text, Knowledge, Source, Version string
	Start, End                                       int
	After                                            []struct{ Text string }
}

func TestSearchAndFetch(t *testing.T) {
	w, url := start(t, server.AuthKeys)
	c, _ := call(t, url, all, "search", map[string]any{"query": "hotels"})
	var found struct {
		Results []hit
		Notes   []string
	}
	if err := json.Unmarshal(c.Out, &found); err != nil || len(found.Results) != 4 {
		t.Fatalf("%s, %v", c.Out, err)
	}
	// Where not all could be searched, what is missing is told.
	if len(found.Notes) != 1 || !strings.HasPrefix(found.Notes[0], "broken: ") || !strings.Contains(found.Notes[0], "no snapshot yet") {
		t.Errorf("%q", found.Notes)
	}
	for _, r := range found.Results {
		c, _ := call(t, url, all, "fetch", map[string]any{"id": r.ID})
		var got struct {
			ID, Title, Text, URL string
			Metadata             map[string]string
		}
		if err := json.Unmarshal(c.Out, &got); err != nil || got.Text != r.Text || got.ID != r.ID || got.Title != r.Title || got.Metadata["text_sha256"] != digest(r.Text) || got.URL == "" {
			t.Errorf("%+v, %s, %v", r, c.Out, err)
		}
	}
	// What is found in two knowledge is mixed by its place.
	if got := found.Results[0].ID + " " + found.Results[1].ID; !strings.HasPrefix(got, "handbook/docs/travel.md@") || !strings.Contains(got, " wiki/https://wiki.example/h@") || found.Results[1].URL != "https://wiki.example/h" {
		t.Errorf("%s", got)
	}
	// Whoever may not read a document does not find it, nor learns that it is there.
	c, _ = call(t, url, "bob/search:handbook", "search", map[string]any{"query": "hotels"})
	if strings.Contains(string(c.Out), "notes") {
		t.Errorf("all could be searched: %s", c.Out)
	}
	if strings.Contains(string(c.Out), "secret.md") || strings.Contains(string(c.Out), "wiki") || !strings.Contains(string(c.Out), "travel.md") {
		t.Errorf("%s", c.Out)
	}
	secret := "handbook/secret.md@" + digest(w.versions["handbook/secret.md"][0])
	for _, id := range []string{secret, "handbook/secret.md", "private/x.md", "private/x.md@" + digest("Hotels of nobody.\n"), "handbook/none.md", "handbook/docs/travel.md@" + digest("other")} {
		for tool, more := range map[string]map[string]any{"fetch": {}, "read_source": {}, "verify_quote": {"quote": "Hotels"}} {
			more["id"] = id
			if c, _ := call(t, url, "bob/search:handbook", tool, more); !c.IsError || strings.Contains(c.Content[0].Text, "bought") {
				t.Errorf("%s of %s: %+v", tool, id, c.Content)
			}
		}
	}
}

func TestSearchDocuments(t *testing.T) {
	w, url := start(t, server.AuthKeys)
	for len(w.asked) > 0 {
		<-w.asked
	}
	c, _ := call(t, url, all, "search_documents", map[string]any{
		"query": "hotels", "knowledge": "handbook", "top_k": 2, "as_of": "2026-11-20", "neighbours": 1,
		"filter": map[string]any{"field": "team", "eq": "a"},
	})
	var out struct {
		Passages  []hit
		Snapshots map[string]string
	}
	if err := json.Unmarshal(c.Out, &out); err != nil || len(out.Passages) != 2 || out.Snapshots["handbook"] != "s1" {
		t.Fatalf("%+v, %v", c, err)
	}
	p := out.Passages[0]
	if p.Source != "docs/travel.md" || p.Version != digest(p.Text) || p.End != len(p.Text) || p.ID != "handbook/docs/travel.md@"+p.Version || len(p.After) != 1 || p.URL != "source://"+p.ID {
		t.Errorf("%+v", p)
	}
	asked := <-w.asked
	if asked.K != 2 || asked.Neighbours != 1 || asked.Filter == nil || !asked.AsOf.Equal(time.Date(2026, 11, 20, 23, 59, 59, 999999000, time.UTC)) {
		t.Errorf("%+v", asked)
	}
	// What one of several cannot do is told, and the others answer.
	c, _ = call(t, url, all, "search_documents", map[string]any{"query": "hotels"})
	if !strings.Contains(string(c.Out), "broken: ") || !strings.Contains(string(c.Out), "travel.md") {
		t.Errorf("%s", c.Out)
	}
}

// What is wrong with the arguments of a tool, and what goes wrong in it, is for
// the model to read.
func TestToolErrors(t *testing.T) {
	_, url := start(t, server.AuthKeys)
	for name, c := range map[string]struct {
		tool      string
		arguments map[string]any
		says      string
	}{
		"no query":          {"search", map[string]any{}, "query"},
		"an empty query":    {"search", map[string]any{"query": " "}, "empty"},
		"another argument":  {"search", map[string]any{"query": "x", "odd": 1}, "odd"},
		"a number":          {"search", map[string]any{"query": 7}, "query"},
		"too long":          {"search", map[string]any{"query": strings.Repeat("x", 20_000)}, "16384"},
		"another knowledge": {"search_documents", map[string]any{"query": "x", "knowledge": "private"}, "handbook"},
		"too many":          {"search_documents", map[string]any{"query": "x", "top_k": 1000}, "100"},
		"no time":           {"search_documents", map[string]any{"query": "x", "as_of": "yesterday"}, "2026-11-22"},
		"no filter":         {"search_documents", map[string]any{"query": "x", "filter": map[string]any{"field": "a"}}, ""},
		"all fail":          {"search_documents", map[string]any{"query": "x", "knowledge": "broken"}, "leat knowledge sync"},
		"a defect":          {"search_documents", map[string]any{"query": "defect", "knowledge": "wiki"}, "something went wrong inside the server"},
		"a panic":           {"search_documents", map[string]any{"query": "panic", "knowledge": "wiki"}, "something went wrong inside the server"},
		"no id":             {"fetch", map[string]any{"id": "nonsense"}, "KNOWLEDGE/DOCUMENT@VERSION"},
		"no version":        {"read_source", map[string]any{"id": "handbook/docs/travel.md", "version": "v1"}, "64"},
		"a range too far":   {"read_source", map[string]any{"id": "handbook/docs/travel.md", "start": 1000}, "range"},
		"a range backwards": {"read_source", map[string]any{"id": "handbook/docs/travel.md", "start": 9, "end": 3}, "range"},
		"a negative range":  {"read_source", map[string]any{"id": "handbook/docs/travel.md", "start": -1}, "range"},
		"no quote":          {"verify_quote", map[string]any{"id": "handbook/docs/travel.md", "quote": ""}, "empty"},
		"no assistant":      {"ask", map[string]any{"question": "x"}, "guide, helper"},
		"another assistant": {"ask", map[string]any{"question": "x", "assistant": "boss"}, "guide, helper"},
		"an empty question": {"ask", map[string]any{"question": "", "assistant": "guide"}, "empty"},
		"a role":            {"ask", map[string]any{"question": "x", "assistant": "guide", "conversation": []any{map[string]any{"role": "system", "text": "x"}}}, "roles"},
		"asked too often":   {"ask", map[string]any{"question": "too much", "assistant": "guide"}, "try again in a second"},
	} {
		got, a := call(t, url, all, c.tool, c.arguments)
		if a.Error != nil || !got.IsError || !strings.Contains(got.Content[0].Text, c.says) {
			t.Errorf("%s: %s", name, a.body)
		}
		if strings.Contains(a.body, "disco") || strings.Contains(a.body, "knowledge_versions") || strings.Contains(a.body, "goroutine") {
			t.Errorf("%s tells of the inside: %s", name, a.body)
		}
	}
}

func TestReadSource(t *testing.T) {
	w, url := start(t, server.AuthKeys)
	text, older := w.versions["handbook/docs/travel.md"][0], w.versions["handbook/docs/travel.md"][1]
	euro := strings.Index(text, "€")
	long := w.versions["handbook/long.md"][0]
	for name, c := range map[string]struct {
		arguments  map[string]any
		text       string
		start, end int
	}{
		"all":                 {map[string]any{"id": "handbook/docs/travel.md"}, text, 0, len(text)},
		"an older version":    {map[string]any{"id": "handbook/docs/travel.md", "version": digest(older)}, older, 0, len(older)},
		"an older id":         {map[string]any{"id": "handbook/docs/travel.md@" + digest(older)}, older, 0, len(older)},
		"a range":             {map[string]any{"id": "handbook/docs/travel.md", "start": 7, "end": 11}, "cost", 7, 11},
		"within a character":  {map[string]any{"id": "handbook/docs/travel.md", "start": euro + 1, "end": euro + 5}, "€ a", euro, euro + 5},
		"ends in a character": {map[string]any{"id": "handbook/docs/travel.md", "start": euro - 1, "end": euro + 2}, " ", euro - 1, euro},
		"beyond the end":      {map[string]any{"id": "handbook/docs/travel.md", "start": 7, "end": 99999}, text[7:], 7, len(text)},
		"the end":             {map[string]any{"id": "handbook/docs/travel.md", "start": len(text)}, "", len(text), len(text)},
		"a long one":          {map[string]any{"id": "handbook/long.md"}, long[:16384], 0, 16384},
		"as long as can be":   {map[string]any{"id": "handbook/long.md", "start": 101, "end": 300_000}, long[100:65636], 100, 65636},
		"an odd name":         {map[string]any{"id": "handbook/odd @ na/me?.md"}, "Hotels have odd names.\n", 0, 23},
		"the address of it":   {map[string]any{"id": "source://handbook/odd%20@%20na/me%3F.md"}, "Hotels have odd names.\n", 0, 23},
	} {
		got, a := call(t, url, all, "read_source", c.arguments)
		var out struct {
			Text, Version string
			Start, End    int
			SHA256        string `json:"text_sha256"`
		}
		if err := json.Unmarshal(got.Out, &out); err != nil || out.Text != c.text || out.Start != c.start || out.End != c.end || out.SHA256 != out.Version {
			t.Errorf("%s: %.300s, %v", name, a.body, err)
		}
	}
}

func TestVerifyQuote(t *testing.T) {
	w, url := start(t, server.AuthKeys)
	older := digest(w.versions["handbook/docs/travel.md"][1])
	for name, c := range map[string]struct {
		arguments  map[string]any
		verified   bool
		start, end int
		found      int
		current    bool
	}{
		"it stands there":    {map[string]any{"quote": "180 €"}, true, 18, 25, 1, true},
		"several times":      {map[string]any{"quote": "s"}, true, 5, 6, 6, true},
		"at its place":       {map[string]any{"quote": "cost", "start": 7}, true, 7, 11, 1, true},
		"at another place":   {map[string]any{"quote": "cost", "start": 8}, false, 0, 0, 0, false},
		"beyond the end":     {map[string]any{"quote": "cost", "start": 9999}, false, 0, 0, 0, false},
		"below the start":    {map[string]any{"quote": "cost", "start": -1}, false, 0, 0, 0, false},
		"nearly":             {map[string]any{"quote": "180 €"}, false, 0, 0, 0, false},
		"other case":         {map[string]any{"quote": "hotels"}, false, 0, 0, 0, false},
		"not in the older":   {map[string]any{"quote": "180 €", "version": older}, false, 0, 0, 0, false},
		"in the older alone": {map[string]any{"quote": "150 €", "version": older}, true, 18, 25, 1, false},
	} {
		if name == "nearly" {
			c.arguments["quote"] = "180\u00a0€"
		}
		c.arguments["id"] = "handbook/docs/travel.md"
		got, a := call(t, url, all, "verify_quote", c.arguments)
		var out struct {
			Verified, Current bool
			Start, End        int
			Occurrences       int
			Reason            string
		}
		if err := json.Unmarshal(got.Out, &out); err != nil || out.Verified != c.verified || out.Start != c.start || out.End != c.end || out.Occurrences != c.found || out.Current != c.current || out.Verified == (out.Reason != "") {
			t.Errorf("%s: %s, %v", name, a.body, err)
		}
	}
}

func TestAsk(t *testing.T) {
	_, url := start(t, server.AuthKeys)
	for _, key := range []string{all, "bob/ask:guide"} {
		arguments := map[string]any{"question": "What does it cost?", "conversation": []any{map[string]any{"role": "user", "text": "Hi"}}}
		if key == all {
			arguments["assistant"] = "guide"
		}
		c, a := call(t, url, key, "ask", arguments)
		var out struct {
			Answer, Decision string
			Citations        []struct {
				ID, Quote, URL string
				Verified       bool
			}
			Sentences []struct{ Supported bool }
		}
		if err := json.Unmarshal(c.Out, &out); err != nil || out.Answer != "guide says 180 € [1]." || out.Decision != "decision-1" || len(out.Citations) != 1 || !out.Citations[0].Verified ||
			!strings.HasPrefix(out.Citations[0].ID, "handbook/docs/travel.md@") || !out.Sentences[0].Supported {
			t.Errorf("%s, %v", a.body, err)
		}
	}
}

func TestResources(t *testing.T) {
	w, url := start(t, server.AuthKeys)
	text := w.versions["handbook/docs/travel.md"][1]
	uri := "source://handbook/docs/travel.md@" + digest(text)
	a := request(t, url, all, "resources/read", uri, map[string]any{"uri": uri})
	var got struct {
		Contents []struct{ URI, Text, MimeType string }
		TTL      int    `json:"ttlMs"`
		Scope    string `json:"cacheScope"`
	}
	if err := json.Unmarshal(a.Result, &got); err != nil || len(got.Contents) != 1 || got.Contents[0].Text != text || got.Contents[0].URI != uri || got.TTL != 0 || got.Scope != "private" {
		t.Errorf("%s, %v", a.body, err)
	}
	a = request(t, url, all, "resources/templates/list", "", nil)
	if !strings.Contains(string(a.Result), "source://{+id}") {
		t.Errorf("%s", a.body)
	}
	for _, uri := range []string{"source://handbook/none.md", "source://private/x.md", "source://x", "file:///etc/passwd", "source://handbook/%zz"} {
		if a := request(t, url, all, "resources/read", uri, map[string]any{"uri": uri}); a.Error == nil || a.Error.Code != -32602 {
			t.Errorf("%s: %s", uri, a.body)
		}
	}
	if a := request(t, url, "bob/ask:guide", "resources/read", uri, map[string]any{"uri": uri}); a.Error == nil {
		t.Errorf("%s", a.body)
	}
}

// A caller that goes away ends what is done for it, in either revision.
func TestWhoGoesAway(t *testing.T) {
	for _, revision := range []string{"2026-07-28", "2025-11-25"} {
		w, url := start(t, server.AuthKeys)
		body, header := stateless("tools/call", "search", map[string]any{"name": "search", "arguments": map[string]any{"query": "wait"}})
		if revision == "2025-11-25" {
			body, header = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{"query":"wait"}}}`, http.Header{"Mcp-Protocol-Version": {revision}}
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-w.asked
			cancel()
		}()
		if _, err := post(ctx, t, url, "bob/search:wiki", body, header); err == nil {
			t.Error("there is an answer")
		}
		select {
		case <-w.slow:
		case <-time.After(10 * time.Second):
			t.Errorf("%s: the search goes on", revision)
		}
	}
}
