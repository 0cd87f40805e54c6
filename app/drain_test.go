package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leat-ai/leat/internal/killtest"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/surface/cli"
	"github.com/leat-ai/leat/surface/client"
)

// serveJob is `leat up`.
func serveJob(ctx context.Context, dir string) error {
	code := cli.Main(ctx, cli.Program{
		Args: []string{"-C", dir, "--home", filepath.Join(dir, "home"), "up", "--listen", "127.0.0.1:0"},
		Out:  os.Stdout, Err: os.Stderr, Start: StartFor,
	})
	if code != 0 {
		return fmt.Errorf("exit code %d", code)
	}
	return nil
}

// TestTerminated: asked to end, the server answers what has begun, takes on
// nothing more, and ends well; a run goes on when it starts again.
func TestTerminated(t *testing.T) {
	const n = 50_000
	dir := t.TempDir()
	if err := makeProject(dir, n); err != nil {
		t.Fatal(err)
	}
	if err := job(spec.KindPipeline, "learn")(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	child := killtest.Child(t, "serve", dir)
	child.Stdout, child.Stderr = &output, &output
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	l := &loop{T: t, dir: dir, config: here(dir)}
	url := l.address()
	begun := l.begin(url, 30)
	c, err := client.New(url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	run, err := c.Start(t.Context(), spec.KindBatch, "all")
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	l.eventually("nothing more is taken on", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	for _, b := range begun {
		if _, err := io.WriteString(b.conn, b.rest); err != nil {
			t.Fatal(err)
		}
		if res, text := l.reply(b.conn); res.StatusCode != http.StatusOK {
			t.Errorf("%s %s", res.Status, text)
		}
	}
	if err := child.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, output.Bytes())
	}
	l.start()
	defer stopped(l.App)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	status, err := l.runs.Wait(ctx, run)
	if err != nil || status.Err() != nil {
		t.Fatalf("the run: %v, %v", status.Err(), err)
	}
	if rows := len(l.scored("scores")); rows != len(good(n)) {
		t.Errorf("%d rows", rows)
	}
}

// address waits for the server of a folder to tell where it listens.
func (l *loop) address() string {
	l.Helper()
	var a cli.Address
	l.eventually("the server listens", func() bool {
		text, err := os.ReadFile(filepath.Join(l.dir, "home", cli.AddressFile))
		return err == nil && json.Unmarshal(text, &a) == nil
	})
	l.eventually("the endpoint serves", func() bool {
		res, err := http.Get(a.URL + "/v2/models/risk/ready")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return a.URL
}

// begun is a request that is half sent.
type begun struct {
	conn net.Conn
	rest string
}

// begin sends halves of requests, and returns once the server works on them.
func (l *loop) begin(url string, n int) (list []begun) {
	l.Helper()
	body, err := json.Marshal(payments(1)[0].row())
	if err != nil {
		l.Fatal(err)
	}
	for range n {
		conn := dial(l.T, url, "/v1/endpoints/risk/score", fmt.Sprintf("Expect: 100-continue\r\nContent-Length: %d", len(body)))
		// The server says "continue" when the handler begins to read.
		line := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			l.Fatal(err)
		}
		if _, err := io.ReadFull(conn, line); err != nil || !bytes.Contains(line, []byte(" 100 ")) {
			l.Fatalf("%q, %v", line, err)
		}
		half := len(body) / 2
		if _, err := conn.Write(body[:half]); err != nil {
			l.Fatal(err)
		}
		list = append(list, begun{conn, string(body[half:])})
	}
	return list
}
