package api

import (
	"context"
	"net/http"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/pattern/stream"
)

// Streams shows and steers the streams of a server: pattern/stream.
type Streams interface {
	List(ctx context.Context) ([]stream.Status, error)
	Status(ctx context.Context, name string) (stream.Status, error)
	Pause(ctx context.Context, name, by string) (stream.Status, error)
	Resume(ctx context.Context, name, by string) (stream.Status, error)
	Seek(ctx context.Context, name string, to stream.Place, by string) (stream.Sought, error)
	Letters
}

// Letters are the dead letters of streams.
type Letters interface {
	Dead(ctx context.Context, name string, after int64, limit int) ([]stream.Letter, error)
	Letter(ctx context.Context, name string, number int64) (stream.Letter, error)
	Edit(ctx context.Context, name string, number int64, body []byte) error
	Replay(ctx context.Context, name string, numbers []int64) (int64, error)
	Drop(ctx context.Context, name string, numbers []int64) (int64, error)
}

// LettersChanged says of how many dead letters something was done.
type LettersChanged struct {
	Letters int64 `json:"letters"`
}

type streamNamed struct {
	Name string `path:"name"`
}

func (a *API) streams() {
	s := a.services.Streams
	type noInput struct{}
	type seek struct {
		Name string `path:"name"`
		Body struct {
			To string `json:"to" minLength:"1" maxLength:"500" doc:"first, latest, an offset, PARTITION:OFFSET, or a time (RFC 3339)"`
		}
	}
	named := func(in *streamNamed) string { return in.Name }
	register(a, route{http.MethodGet, "/v1/streams", "list-streams", "List streams and how they are", "streams", verbRead}, anything,
		func(ctx context.Context, _ identity.Principal, _ *noInput) ([]stream.Status, error) {
			return s.List(ctx)
		})
	register(a, route{http.MethodGet, "/v1/streams/{name}", "get-stream", "Show how a stream is", "streams", verbRead}, named,
		func(ctx context.Context, _ identity.Principal, in *streamNamed) (stream.Status, error) {
			return s.Status(ctx, in.Name)
		})
	register(a, route{http.MethodPost, "/v1/streams/{name}/pause", "pause-stream", "Hold a stream", "streams", verbRun}, named,
		func(ctx context.Context, p identity.Principal, in *streamNamed) (stream.Status, error) {
			return s.Pause(ctx, in.Name, p.Name)
		})
	register(a, route{http.MethodPost, "/v1/streams/{name}/resume", "resume-stream", "Let a paused stream go on", "streams", verbRun}, named,
		func(ctx context.Context, p identity.Principal, in *streamNamed) (stream.Status, error) {
			return s.Resume(ctx, in.Name, p.Name)
		})
	register(a, route{http.MethodPost, "/v1/streams/{name}/seek", "seek-stream", "Let a stream go on elsewhere in its topic", "streams", verbRun},
		func(in *seek) string { return in.Name },
		func(ctx context.Context, p identity.Principal, in *seek) (stream.Sought, error) {
			to, err := stream.ParsePlace(in.Body.To)
			if err != nil {
				return stream.Sought{}, err
			}
			return s.Seek(ctx, in.Name, to, p.Name)
		})
	a.letters()
}

// letters are the routes of dead letters. Their bodies are data that somebody
// sent, so who lists them needs the same verb as who reads data.
func (a *API) letters() {
	s := a.services.Streams
	type list struct {
		Name  string `path:"name"`
		After int64  `query:"after" minimum:"0" doc:"the number of the last one seen"`
		Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	}
	type one struct {
		Name   string `path:"name"`
		Letter int64  `path:"letter" minimum:"1"`
	}
	type edit struct {
		Name   string `path:"name"`
		Letter int64  `path:"letter" minimum:"1"`
		Body   struct {
			Body []byte `json:"body" doc:"the event's new body, in base64"`
		}
	}
	type some struct {
		Name string `path:"name"`
		Body struct {
			Letters []int64 `json:"letters,omitempty" maxItems:"100000" doc:"their numbers"`
			All     bool    `json:"all,omitempty" doc:"every one that there is"`
		}
	}
	register(a, route{http.MethodGet, "/v1/streams/{name}/dead", "list-dead-letters", "List the events that a stream could not deal with", "streams", verbRead},
		func(in *list) string { return in.Name },
		func(ctx context.Context, _ identity.Principal, in *list) ([]stream.Letter, error) {
			return s.Dead(ctx, in.Name, in.After, in.Limit)
		})
	register(a, route{http.MethodGet, "/v1/streams/{name}/dead/{letter}", "get-dead-letter", "Show a dead letter with its body", "streams", verbRead},
		func(in *one) string { return in.Name },
		func(ctx context.Context, _ identity.Principal, in *one) (stream.Letter, error) {
			return s.Letter(ctx, in.Name, in.Letter)
		})
	register(a, route{http.MethodPut, "/v1/streams/{name}/dead/{letter}", "edit-dead-letter", "Replace the body of a dead letter", "streams", verbRun},
		func(in *edit) string { return in.Name },
		func(ctx context.Context, _ identity.Principal, in *edit) (stream.Letter, error) {
			if err := s.Edit(ctx, in.Name, in.Letter, in.Body.Body); err != nil {
				return stream.Letter{}, err
			}
			return s.Letter(ctx, in.Name, in.Letter)
		})
	change := func(path, id, summary string, do func(context.Context, string, []int64) (int64, error)) {
		register(a, route{http.MethodPost, "/v1/streams/{name}/dead/" + path, id, summary, "streams", verbRun},
			func(in *some) string { return in.Name },
			func(ctx context.Context, _ identity.Principal, in *some) (LettersChanged, error) {
				if in.Body.All == (len(in.Body.Letters) > 0) {
					return LettersChanged{}, fault.New(fault.Invalid, "say which dead letters, or all").Hint(`send {"letters": [1, 2]} or {"all": true}`)
				}
				n, err := do(ctx, in.Name, in.Body.Letters)
				return LettersChanged{n}, err
			})
	}
	change("replay", "replay-dead-letters", "Try dead letters again", func(ctx context.Context, name string, numbers []int64) (int64, error) {
		return s.Replay(ctx, name, numbers)
	})
	change("drop", "drop-dead-letters", "Delete dead letters", func(ctx context.Context, name string, numbers []int64) (int64, error) {
		return s.Drop(ctx, name, numbers)
	})
}
