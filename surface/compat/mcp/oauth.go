package mcp

import (
	"encoding/json"
	"net/http"

	"github.com/leat-ai/leat/surface/server"
)

// metadataPath is where RFC 9728 has the description of a protected resource;
// that of one with a path has it after this.
const metadataPath = "/.well-known/oauth-protected-resource"

// metadata describes how callers show who they are: by keys of Leat as bearer
// tokens. No authorization server is named, because none of them gives such
// keys out.
type metadata struct {
	Resource string   `json:"resource"`
	Name     string   `json:"resource_name"`
	Scopes   []string `json:"scopes_supported"`
	Methods  []string `json:"bearer_methods_supported"`
}

func describe(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "max-age=3600")
	_ = json.NewEncoder(w).Encode(metadata{ // a client that is gone has nobody to tell
		Resource: base(r) + Path, Name: "Leat", Scopes: []string{verbSearch + ":*", verbAsk + ":*"}, Methods: []string{"header"},
	})
}

// base is how the caller addresses this server.
func base(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// refuse answers who is not known, and says where to read how to be.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="`+base(r)+metadataPath+Path+`", scope="`+verbSearch+`:* `+verbAsk+`:*"`)
	server.WriteProblem(w, err)
}
