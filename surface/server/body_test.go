package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
)

// answering reads a body in little time and then works for longer than that.
func answering(within, work time.Duration) *httptest.Server {
	return httptest.NewServer(unhurried(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		if err := ReadBody(w, r, 100, within, &body); err != nil {
			WriteProblem(w, err)
			return
		}
		select {
		case <-r.Context().Done():
			WriteProblem(w, fault.Wrap(r.Context().Err(), fault.Canceled, "while working"))
		case <-time.After(work):
			_, _ = body.WriteTo(w)
		}
	})))
}

// TestBodyDeadline: the time of a body is not the time of the work on it.
func TestBodyDeadline(t *testing.T) {
	s := answering(100*time.Millisecond, 400*time.Millisecond)
	defer s.Close()
	for _, body := range []string{"", "hello"} {
		res, err := http.Post(s.URL, "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if string(text) != body || err != nil {
			t.Errorf("%q is answered %s %q, %v", body, res.Status, text, err)
		}
	}
}

// TestFrameworkDeadline: nor is it where the framework reads the body.
func TestFrameworkDeadline(t *testing.T) {
	s := httptest.NewServer(unhurried(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		time.Sleep(300 * time.Millisecond)
		if r.Context().Err() != nil {
			t.Errorf("after %q: %v", body, r.Context().Err())
		}
	})))
	defer s.Close()
	for _, body := range []string{"hello", strings.Repeat("x", 100_000)} {
		res, err := http.Post(s.URL, "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
}

func TestReadBody(t *testing.T) {
	s := answering(100*time.Millisecond, 0)
	defer s.Close()
	for name, c := range map[string]struct {
		head, body string
		status     string
	}{
		"slow":      {"Content-Length: 50", "some", "504"},
		"announced": {"Content-Length: 101", "", "413"},
		"chunks":    {"Transfer-Encoding: chunked", fmt.Sprintf("65\r\n%s\r\n", strings.Repeat("x", 101)), "413"},
		"whole":     {"Content-Length: 4", "some", "200"},
	} {
		var d net.Dialer
		conn, err := d.DialContext(context.Background(), "tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n\r\n%s", c.head, c.body)
		answer, _ := io.ReadAll(conn) // the connection may be reset behind the answer
		conn.Close()
		if !bytes.HasPrefix(answer, []byte("HTTP/1.1 "+c.status)) {
			t.Errorf("%s: %q", name, answer)
		}
	}
}
