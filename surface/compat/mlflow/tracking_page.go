package mlflow

import (
	"encoding/json"
	"io"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/track"
)

type someRuns struct {
	Runs []runMessage `json:"runs,omitempty"`
	Next string       `json:"next_page_token,omitempty"`
}

func writeRuns(w io.Writer, runs []*track.Run, next string) error {
	a := someRuns{Next: next}
	for _, r := range runs {
		a.Runs = append(a.Runs, messageOfRun(r))
	}
	text, err := json.Marshal(a)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "an answer could not be written")
	}
	_, _ = w.Write(text) // a client that is gone has nobody to tell
	return nil
}
