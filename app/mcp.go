package app

import (
	"slices"

	"github.com/leat-ai/leat/surface/compat/mcp"
	"github.com/leat-ai/leat/surface/compat/openai"
	"github.com/leat-ai/leat/surface/server"
)

// openMCP lets in agents that search, read and ask by the Model Context
// Protocol.
func (a *App) openMCP(s *server.Server) {
	mcp.Register(s, mcp.Services{
		Searcher: a.known, Texts: a.known, Assistants: asking{a}, Names: mcpNames{a}, Version: Version, Log: a.log,
	})
}

// mcpNames is what is declared, as agents may ask for it.
type mcpNames struct{ app *App }

// Knowledge meets mcp.Names.
func (n mcpNames) Knowledge() []string { return n.app.known.Names() }

// Assistants meets mcp.Names.
func (n mcpNames) Assistants() []string {
	var names []string
	n.app.askable.mu.RLock()
	defer n.app.askable.mu.RUnlock()
	for _, m := range n.app.askable.models {
		if m.Kind == openai.Assistant {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	return names
}
