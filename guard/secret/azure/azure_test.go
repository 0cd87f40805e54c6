package azure_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/secret/azure"
)

const tenant = "11111111-2222-3333-4444-555555555555"

// entra is a server of tokens for one client.
func entra(t *testing.T, asked *atomic.Int64) *azure.Tokens {
	mux := http.NewServeMux()
	s := httptest.NewTLSServer(mux)
	t.Cleanup(s.Close)
	answer := func(w http.ResponseWriter, status int, body map[string]any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		base := s.URL + "/" + r.PathValue("tenant")
		answer(w, 200, map[string]any{"issuer": base + "/v2.0", "authorization_endpoint": base + "/oauth2/v2.0/authorize", "token_endpoint": base + "/oauth2/v2.0/token"})
	})
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/token", func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.FormValue("client_secret") != "right" || !strings.Contains(r.FormValue("scope"), "https://ml.azure.com/.default") {
			answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client", "error_description": "the secret wrong is not right"})
			return
		}
		answer(w, 200, map[string]any{"token_type": "Bearer", "expires_in": 3600, "access_token": "a token for " + r.FormValue("client_id")})
	})
	return azure.New(azure.Config{Authority: s.URL + "/", Client: s.Client()})
}

func TestTokensOfAClient(t *testing.T) {
	var asked atomic.Int64
	tokens := entra(t, &asked)
	id := azure.Identity{Tenant: tenant, Client: "leat", Secret: "right"}
	for range 3 {
		got, err := tokens.Token(t.Context(), id, "https://ml.azure.com/.default")
		if err != nil || got != "a token for leat" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("Entra was asked %d times for one token", asked.Load())
	}
	id.Secret = "wrong"
	_, err := tokens.Token(t.Context(), id, "https://ml.azure.com/.default")
	if !fault.Is(err, fault.Unauthenticated) || strings.Contains(err.Error()+fault.HintOf(err), "wrong") {
		t.Errorf("a wrong secret gives %v (%s)", err, fault.HintOf(err))
	}
}
