package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/guard/identity"
)

// guarded is the outermost layer: no panic leaves it, and no request that is
// not meant for this server enters.
func (s *Server) guarded(next http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.recovered(w, r)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set(RequestID, requestID(r))
		if err := s.addressed(r.Host); err != nil {
			WriteProblem(w, err)
			return
		}
		if err := crossOrigin.Check(r); err != nil {
			WriteProblem(w, fault.New(fault.Forbidden, "a page of another site may not call this server"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// RequestID is the header with which a request is found again in logs: the
// caller's, or one that the server makes.
const RequestID = "X-Request-Id"

func requestID(r *http.Request) string {
	id := r.Header.Get(RequestID)
	odd := strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' })
	if id == "" || len(id) > 128 || odd {
		return rand.Text()
	}
	return id
}

func (s *Server) recovered(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	s.tel.Log().Error("a handler panicked", "request", w.Header().Get(RequestID), "path", r.URL.Path, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	WriteProblem(w, fault.New(fault.Internal, "something went wrong inside the server").Hint("the server's log has the details"))
}

// addressed refuses requests whose Host is not a loopback name when no key is
// asked for: such a request came through a name that somebody else controls.
func (s *Server) addressed(host string) error {
	if s.config.Auth != AuthLocal {
		return nil
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if loopback(strings.Trim(host, "[]")) {
		return nil
	}
	return fault.New(fault.Forbidden, "the server answers only to localhost while no keys are asked for").
		Hint("start it with --auth keys to serve other names")
}

// authenticated puts the principal of a request into its context.
func (s *Server) authenticated(next http.Handler, refuse func(http.ResponseWriter, *http.Request, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := s.principal(r)
		if err != nil {
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(identity.With(r.Context(), p)))
	})
}

func (s *Server) principal(r *http.Request) (identity.Principal, error) {
	if p, ok := identity.From(r.Context()); ok { // only this process can have put it there
		return p, nil
	}
	// The second is what clients of Azure Event Grid send.
	key := cmp.Or(r.Header.Get("Api-Key"), r.Header.Get("Aeg-Sas-Key"))
	return s.authenticate(r.Context(), r.Header.Get("Authorization"), key)
}

// authenticate says who sends one of two headers.
func (s *Server) authenticate(ctx context.Context, authorization, key string) (identity.Principal, error) {
	token, ok := strings.CutPrefix(authorization, "Bearer ")
	if !ok {
		token = cmp.Or(password(authorization), key)
	}
	token = strings.TrimSpace(token)
	// Clients of other makers cannot send no key; where none is asked for, what
	// is no key of ours says nothing. One of ours that is wrong does.
	if token != "" && (s.config.Auth != AuthLocal || identity.IsToken(token)) {
		return s.keys.Authenticate(ctx, token)
	}
	if s.config.Auth == AuthLocal {
		return identity.Local(), nil
	}
	return identity.Principal{}, fault.New(fault.Unauthenticated, "no API key").
		Hint("send it as `Authorization: Bearer leat_…`")
}

// password returns that of basic authentication, in which clients that know
// nothing else send a key; the user's name says nothing. "" for none.
func password(authorization string) string {
	encoded, ok := strings.CutPrefix(authorization, "Basic ")
	if !ok {
		return ""
	}
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return ""
	}
	_, password, _ := strings.Cut(string(text), ":")
	return password
}

// traced makes a span of each request, named by its route, in the trace that
// the caller began.
func (s *Server) traced(next http.Handler) http.Handler {
	if !s.tel.Tracing() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, pattern := s.mux.Handler(r)
		ctx, end := s.tel.Span(s.tel.Remote(r.Context(), r.Header), pattern,
			slog.String("http.request.method", r.Method), slog.String("url.path", r.URL.Path))
		sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(sw, r.WithContext(ctx))
		if sw.status >= http.StatusInternalServerError {
			end(fault.New(fault.Internal, "status %d", sw.status))
			return
		}
		end(nil)
	})
}

var classes = [...]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"}

// counted counts requests by the class of their status.
func (s *Server) counted(next http.Handler) http.Handler {
	var requests [len(classes)]telemetry.BoundCounter
	for i, class := range classes {
		requests[i] = s.requests.With(class)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		panicked := true
		defer func() {
			class := sw.status / 100
			if panicked {
				class = http.StatusInternalServerError / 100
			}
			if class >= len(classes) {
				class = 0
			}
			requests[class].Add(1)
		}()
		next.ServeHTTP(sw, r)
		panicked = false
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection's writer.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
