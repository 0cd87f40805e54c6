package feast

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/surface/server"
)

// The names of errors that Feast's client knows and raises again.
const (
	noView       = "FeatureViewNotFoundException"
	noService    = "FeatureServiceNotFoundException"
	noPushSource = "PushSourceNotFoundException"
	collision    = "FeatureNameCollisionError"
	notPermitted = "FeastPermissionError"
)

// known is an error that has a name in Feast.
type known struct {
	class string
	err   error
}

func (k *known) Error() string { return k.err.Error() }
func (k *known) Unwrap() error { return k.err }

// named gives an error of a kind its name in Feast.
func named(err error, kind fault.Kind, class string) error {
	if fault.Is(err, kind) {
		return &known{class, err}
	}
	return err
}

// refuse tells of an error: as a JSON string, which is Feast's way, and for
// errors that have a name there it is a JSON object once more.
func refuse(w http.ResponseWriter, err error) {
	if u, ok := errors.AsType[unreadable](err); ok {
		u.write(w)
		return
	}
	kind, text := fault.KindOf(err), server.Sentence(err)
	class := ""
	if k, ok := errors.AsType[*known](err); ok {
		class = k.class
	} else if kind == fault.Forbidden {
		class = notPermitted
	}
	status := kind.HTTP()
	if class == noPushSource {
		status = http.StatusUnprocessableEntity
	}
	if class != "" {
		object, _ := json.Marshal(map[string]string{"module": "feast.errors", "class": class, "message": text}) // strings alone
		text = string(object)
	}
	body, _ := json.Marshal(text)
	server.SetRetryAfter(w.Header(), err)
	reply(w, status, body)
}

// unreadable is a body that is not the protocol's, which FastAPI tells of in
// its own shape.
type unreadable struct{ error }

func (u unreadable) Unwrap() error { return u.error }

func unread(err error) error {
	return unreadable{fault.New(fault.Invalid, "the body is not what the operation takes").Because(err)}
}

func (u unreadable) write(w http.ResponseWriter) {
	type detail struct {
		Type string   `json:"type"`
		Loc  []string `json:"loc"`
		Msg  string   `json:"msg"`
	}
	body, _ := json.Marshal(map[string][]detail{"detail": {{"value_error", []string{"body"}, server.Sentence(u.error)}}}) // strings alone
	reply(w, http.StatusUnprocessableEntity, body)
}
