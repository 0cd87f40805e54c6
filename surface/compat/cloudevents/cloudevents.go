// Package cloudevents takes events in by HTTP, for the streams that read
// webhook://NAME:
//
//	POST    /v1/streams/NAME/events   events
//	OPTIONS /v1/streams/NAME/events   may these be sent?
//
// A body is CloudEvents 1.0 (in binary, structured or batch mode), the schema
// of Azure Event Grid as it is delivered and as its clients publish it, or
// plain JSON: one value, or an array of them. Whatever the form, a stream sees
// the same: the data as the body of an event, and the attributes as headers
// ce-id, ce-source, ce-type, … An event's ID is its source and id together,
// which is what the specification makes unique; the attribute partitionkey is
// its key.
//
// The answer comes when the Inbox has the events as durably as it keeps them:
// 202, and 200 to Event Grid. All events of a request are taken or none, and
// one that is sent again is known by its ID. Who is asked to wait (429, 503)
// is told for how long. Event Grid's handshake is answered to callers who may
// send; the question whether events may be sent at all (OPTIONS) to anybody,
// because it is asked without a key.
package cloudevents

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/resilience"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/surface/server"
)

// Inbox keeps events for the streams that read them.
type Inbox interface {
	// Send returns when the events are durable, all of them: what is in the
	// Inbox already, by its ID, is not kept twice. A name that nobody reads is
	// a NotFound fault; Overloaded, Limited and Unavailable ones say that the
	// same may be sent again later.
	Send(ctx context.Context, name string, events []bus.Event) error
}

// The bounds of a request.
const (
	maxBody   = 8 << 20 // bytes
	maxEvents = 5000    // as Event Grid delivers at the most
	together  = 16      // requests that are read and sent at one time
	waiting   = 256     // requests that wait for that
	patience  = 2 * time.Second
	within    = 30 * time.Second // for a body to arrive
)

type surface struct {
	inbox   Inbox
	limiter *resilience.Limiter
	buffers sync.Pool
}

// Register puts the routes on a server.
func Register(s *server.Server, inbox Inbox) error {
	limiter, err := resilience.NewLimiter("the inbox of events", together, waiting, patience)
	if err != nil {
		return err
	}
	a := &surface{inbox: inbox, limiter: limiter}
	a.buffers.New = func() any { return new(bytes.Buffer) }
	s.HandleAs("POST /v1/streams/{name}/events", http.HandlerFunc(a.post), refuseAny)
	s.HandleOpen("OPTIONS /v1/streams/{name}/events", http.HandlerFunc(options))
	return nil
}

func (a *surface) post(w http.ResponseWriter, r *http.Request) {
	status, reply, err := a.take(w, r)
	if err != nil {
		refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(reply) // a client that is gone has nobody to tell
}

// take reads the events of a request and hands them on.
func (a *surface) take(w http.ResponseWriter, r *http.Request) (status int, reply []byte, err error) {
	name := r.PathValue("name")
	p, _ := identity.From(r.Context())
	if !p.May("score", name) {
		return 0, nil, fault.New(fault.Forbidden, "%s may not send events to %.100s", p.Name, name).
			Hint("a key needs the grant \"score:%.100s\"", name)
	}
	if err := a.limiter.Acquire(r.Context()); err != nil {
		return 0, nil, err
	}
	defer a.limiter.Release()
	buffer := a.buffers.Get().(*bytes.Buffer)
	defer a.buffers.Put(buffer)
	if err := server.ReadBody(w, r, maxBody, within, buffer); err != nil {
		return 0, nil, err
	}
	d, err := Decode(r.Header, buffer.Bytes())
	if err != nil {
		return 0, nil, err
	}
	if d.Validation != "" {
		reply, err := json.Marshal(map[string]string{"validationResponse": d.Validation})
		return http.StatusOK, reply, err
	}
	if len(d.Events) > 0 {
		if err := a.inbox.Send(r.Context(), name, d.Events); err != nil {
			return 0, nil, err
		}
	}
	status = http.StatusAccepted
	if d.Grid || fromGrid(r.Header) {
		status = http.StatusOK
	}
	return status, []byte(`{"accepted":` + strconv.Itoa(len(d.Events)) + "}\n"), nil
}

// refuse tells of an error: to Event Grid's clients as it does.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	if !fromGrid(r.Header) {
		if fault.Is(err, fault.Unsupported) {
			p := server.NewProblem(err)
			p.Status, p.Title = http.StatusUnsupportedMediaType, http.StatusText(http.StatusUnsupportedMediaType)
			w.Header().Set("Content-Type", p.ContentType(""))
			w.WriteHeader(p.Status)
			_ = json.NewEncoder(w).Encode(p) // a client that is gone has nobody to tell
			return
		}
		server.WriteProblem(w, err)
		return
	}
	kind := fault.KindOf(err)
	status := kind.HTTP()
	if kind == fault.Unsupported {
		status = http.StatusUnsupportedMediaType
	}
	server.SetRetryAfter(w.Header(), err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{ // a client that is gone has nobody to tell
		"code": gridCode(status), "message": server.Sentence(err),
	}})
}

func refuseAny(w http.ResponseWriter, err error) { server.WriteProblem(w, err) }

// gridCode is the word that Event Grid has for a status.
func gridCode(status int) string {
	return strings.ReplaceAll(http.StatusText(status), " ", "")
}

// maxOrigin bounds the name of who asks whether they may send.
const maxOrigin = 253

// options answers who asks whether they may send events here (the CNCF's "HTTP
// 1.1 Web Hooks for Event Delivery", section 4). What they send must have a key
// all the same; nobody is called back.
func options(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		server.WriteProblem(w, fault.New(fault.Forbidden, "a page of another site may not call this server"))
		return
	}
	w.Header().Set("Allow", "POST, OPTIONS")
	origin := r.Header.Get("WebHook-Request-Origin")
	if origin == "" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if len(origin) > maxOrigin || strings.ContainsFunc(origin, oddInOrigin) {
		server.WriteProblem(w, fault.New(fault.Invalid, "the header WebHook-Request-Origin is not the name of a host"))
		return
	}
	w.Header().Set("WebHook-Allowed-Origin", origin)
	w.Header().Set("WebHook-Allowed-Rate", allowedRate(r.Header.Get("WebHook-Request-Rate")))
	w.WriteHeader(http.StatusOK)
}

func oddInOrigin(c rune) bool {
	return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune(".-_:", c))
}

// allowedRate repeats the requests a minute that somebody asks for: it is not
// promised that they are all taken, for that there are 429 and 503.
func allowedRate(asked string) string {
	if n, err := strconv.ParseUint(asked, 10, 31); err == nil && n > 0 {
		return strconv.FormatUint(n, 10)
	}
	return "*"
}
