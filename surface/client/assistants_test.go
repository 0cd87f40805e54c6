package client_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/client"
)

// An answer that comes piece by piece is one only when its last event came.
func TestAskIsWholeOrAnError(t *testing.T) {
	const part = "event: part\ndata: {\"text\":\"Leave is 30 days [1].\"}\n\n"
	for name, c := range map[string]struct {
		status int
		body   string
		kind   fault.Kind // "" for an answer
		texts  string
	}{
		"whole":        {200, part + "event: answer\ndata: {\"answer\":\"Leave is 30 days [1].\",\"abstained\":false}\n\n", "", "Leave is 30 days [1]."},
		"broken off":   {200, part, fault.Unavailable, "Leave is 30 days [1]."},
		"an error":     {200, part + "event: error\ndata: {\"status\":503,\"kind\":\"overloaded\",\"detail\":\"too much to do\"}\n\n", fault.Overloaded, "Leave is 30 days [1]."},
		"not begun":    {403, `{"status":403,"kind":"forbidden","detail":"ann may not ask"}`, fault.Forbidden, ""},
		"no more text": {200, "", fault.Unavailable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if r.URL.Path != "/v1/assistants/hr/ask" || !strings.Contains(string(body), `"question":"How much leave?"`) {
					t.Errorf("asked %s %s", r.URL.Path, body)
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			defer s.Close()
			cl, err := client.New(s.URL, client.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var texts string
			a, err := cl.Ask(t.Context(), "hr", api.Asked{Question: "How much leave?"}, func(p api.AnswerPart) { texts += p.Text })
			if texts != c.texts || c.kind == "" && (err != nil || a.Answer != texts) || c.kind != "" && !fault.Is(err, c.kind) {
				t.Errorf("%q, then %+v, %v", texts, a, err)
			}
		})
	}
}
