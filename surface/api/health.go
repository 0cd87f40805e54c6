package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/surface/server"
)

// Check is one finding of the doctor.
type Check struct {
	Name string `json:"name"` // part of the server, or an endpoint
	OK   bool   `json:"ok"`
	Note string `json:"note,omitempty"`
	Hint string `json:"hint,omitempty"` // what to do when it is not well
	// Partial is a part without which the others serve, such as one endpoint
	// of several: the server is ready all the same.
	Partial bool `json:"partial,omitempty"`
}

// Status is what a server says of itself.
type Status struct {
	Version   string    `json:"version"`
	Started   time.Time `json:"started"`
	Endpoints []string  `json:"endpoints"`
}

func (a *API) health(s *server.Server) {
	type noInput struct{}
	register(a, route{http.MethodGet, "/v1/status", "status", "What this server is and serves", "server", verbRead}, anything,
		func(_ context.Context, _ identity.Principal, _ *noInput) (Status, error) {
			return Status{Version: a.services.Version, Started: a.started, Endpoints: a.services.Endpoints.Endpoints()}, nil
		})
	register(a, route{http.MethodGet, "/v1/doctor", "doctor", "Check the parts of this server", "server", verbRead}, anything,
		func(ctx context.Context, _ identity.Principal, _ *noInput) ([]Check, error) {
			return a.services.Checks(ctx), nil
		})
	s.HandleOpen("GET /healthz", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
	}))
	s.HandleOpen("GET /readyz", http.HandlerFunc(a.ready))
}

// ready answers 200 once every part that all requests need answers.
func (a *API) ready(w http.ResponseWriter, r *http.Request) {
	status, failed := http.StatusOK, []string{}
	for _, c := range a.services.Checks(r.Context()) {
		if !c.OK && !c.Partial {
			status, failed = http.StatusServiceUnavailable, append(failed, c.Name)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string][]string{"failed": failed})
}
