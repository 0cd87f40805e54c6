package openai

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/surface/compat"
)

// Entry is a model as the protocol lists it.
type Entry struct {
	ID          string `json:"id"`
	Object      string `json:"object"` // "model"
	Created     int64  `json:"created"`
	OwnedBy     string `json:"owned_by"`
	Description string `json:"description,omitempty"`
}

// Prefixes say which of an assistant and a language model a name means.
const (
	assistantPrefix = "assistant/"
	llmPrefix       = "llm/"
)

// List is the models that somebody may ask, as a client names them: a language
// model whose name is an assistant's as well has a prefix.
func List(ctx context.Context, names Names, p identity.Principal) []Entry {
	entries := []Entry{}
	taken := map[string]bool{}
	for _, m := range names.All(ctx) {
		if !p.May(m.Kind.verb(), m.Name) && !p.May(verbRead, m.Name) {
			continue
		}
		e := entry(m, m.Name)
		if taken[e.ID] {
			e.ID = llmPrefix + m.Name
		}
		taken[e.ID] = true
		entries = append(entries, e)
	}
	return entries
}

// Show is List for one model, by any of its names. It answers with a Forbidden
// or NotFound fault.
func Show(ctx context.Context, names Names, p identity.Principal, id string) (Entry, error) {
	m, err := find(ctx, names, id)
	bare := bareName(id)
	verbs := []string{verbRead, verbAsk, verbChat}
	if err == nil {
		verbs = []string{verbRead, m.Kind.verb()}
	}
	if !slices.ContainsFunc(verbs, func(verb string) bool { return p.May(verb, bare) }) {
		return Entry{}, fault.New(fault.Forbidden, "%s may not see %s", p.Name, bare)
	}
	return entry(m, id), err
}

func entry(m Model, id string) Entry {
	return Entry{ID: id, Object: "model", Created: max(m.Since.Unix(), 0), OwnedBy: "leat", Description: m.Description}
}

// verb is the grant that asking takes.
func (k Kind) verb() string {
	if k == Assistant {
		return verbAsk
	}
	return verbChat
}

// unknownModel is a NotFound fault about a name that nothing has.
type unknownModel struct{ error }

func (u unknownModel) Unwrap() error { return u.error }

// bareName is a name without its prefix.
func bareName(name string) string {
	if bare, ok := strings.CutPrefix(name, assistantPrefix); ok {
		return bare
	}
	return strings.TrimPrefix(name, llmPrefix)
}

// find returns what a name means: the assistant, where a language model has
// the same one, unless a prefix says otherwise.
func find(ctx context.Context, names Names, name string) (Model, error) {
	for _, k := range []struct {
		kind   Kind
		prefix string
	}{{Assistant, assistantPrefix}, {LLM, llmPrefix}} {
		if bare, ok := strings.CutPrefix(name, k.prefix); ok {
			if m, ok := names.Find(ctx, k.kind, bare); ok {
				return m, nil
			}
		}
	}
	for _, kind := range []Kind{Assistant, LLM} {
		if m, ok := names.Find(ctx, kind, name); ok {
			return m, nil
		}
	}
	return Model{}, unknownModel{fault.New(fault.NotFound, "no assistant and no language model is called %.80q", name).
		Hint("GET /v1/models lists them")}
}

// model finds what a request asks, if the caller may ask it.
func (x *exchange) model(name string) (Model, error) {
	if name == "" {
		return Model{}, bad("model", "the request names no model")
	}
	m, err := find(x.r.Context(), x.Names, name)
	if err == nil {
		return m, x.permit(m.Kind.verb(), m.Name)
	}
	if x.who.May(verbChat, bareName(name)) {
		return m, err
	}
	return m, cmp.Or(x.permit(verbAsk, bareName(name)), err) // who may not, does not learn that it is not there
}

func (x *exchange) listModels() error {
	x.out = append(x.out, `{"object":"list","data":[`...)
	for i, e := range List(x.r.Context(), x.Names, x.who) {
		if i > 0 {
			x.out = append(x.out, ',')
		}
		x.out = e.appendTo(x.out)
	}
	x.out = append(x.out, "]}\n"...)
	x.reply()
	return nil
}

func (x *exchange) showModel() error {
	e, err := Show(x.r.Context(), x.Names, x.who, x.r.PathValue("id"))
	if err != nil {
		return err
	}
	x.out = append(e.appendTo(x.out), '\n')
	x.reply()
	return nil
}

func (e Entry) appendTo(dst []byte) []byte {
	dst = compat.AppendString(append(dst, `{"id":`...), e.ID)
	dst = appendInt(append(dst, `,"object":"model","created":`...), e.Created)
	dst = compat.AppendString(append(dst, `,"owned_by":`...), e.OwnedBy)
	if e.Description != "" {
		dst = compat.AppendString(append(dst, `,"description":`...), e.Description)
	}
	return append(dst, '}')
}
