package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/leat-ai/leat/base/frame"
	program "github.com/leat-ai/leat/bench/internal/binary"
	"github.com/leat-ai/leat/bench/internal/load"
)

// house is the servers, all with the same features.
type house struct {
	size
	dir          string
	local, redis *program.Server
	redisServer  *process
	peer         *process
	redisPort    string
	peerPort     string
}

// process is a server of somebody else.
type process struct{ cmd *exec.Cmd }

// starting bounds how long a server may take to listen.
const starting = 2 * time.Minute

func newHouse(ctx context.Context, dir string, s size) (*house, error) {
	h := &house{size: s, dir: dir}
	rows := filepath.Join(dir, "rows.parquet")
	if err := h.write(rows); err != nil {
		return h, err
	}
	if err := h.startRedis(ctx); err != nil {
		return h, err
	}
	var err error
	if h.local, err = h.leat(ctx, "local"); err != nil {
		return h, err
	}
	if h.redis, err = h.leat(ctx, "redis", "--online", "redis://127.0.0.1:"+h.redisPort+"/1"); err != nil {
		return h, err
	}
	if s.alone {
		return h, nil
	}
	return h, h.startPeer(ctx, rows)
}

func (h *house) stop() error {
	var mistakes []error
	for _, s := range []*program.Server{h.local, h.redis} {
		if s != nil {
			_, err := s.Stop()
			mistakes = append(mistakes, err)
		}
	}
	for _, p := range []*process{h.peer, h.redisServer} {
		if p != nil {
			_ = p.cmd.Process.Signal(syscall.SIGTERM)
			_ = p.cmd.Wait() // a server that was told to end says so
		}
	}
	return errors.Join(mistakes...)
}

// write makes the rows: a driver each, at one time of the last day.
func (h *house) write(path string) (err error) {
	columns := []frame.Column{{Name: "driver", Type: frame.String}, {Name: "at", Type: frame.Timestamp}}
	for i := range h.features {
		columns = append(columns, frame.Column{Name: fmt.Sprint("f", i), Type: frame.Double})
	}
	schema := frame.SchemaOf(columns)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	random := rand.New(rand.NewPCG(1, 2))
	yesterday := time.Now().Add(-24 * time.Hour).UnixMicro()
	for i := range h.entities {
		b.Field(0).(*array.StringBuilder).Append(driver(i))
		b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(yesterday + int64(i)*1_000_001))
		for k := range h.features {
			b.Field(2 + k).(*array.Float64Builder).Append(random.NormFloat64() * 100)
		}
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w, err := pqarrow.NewFileWriter(schema, f, parquet.NewWriterProperties(), pqarrow.DefaultWriterProps())
	if err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(w.Write(batch), w.Close()) // closes the file too
}

func driver(i int) string { return fmt.Sprintf("driver-%05d", i) }

// leat starts a server on a project of its own, and materialises.
func (h *house) leat(ctx context.Context, name string, flags ...string) (*program.Server, error) {
	dir := filepath.Join(h.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "kind: Source\nname: rows\nfrom: %s\n", filepath.Join(h.dir, "rows.parquet"))
	each := h.features / h.views
	for v := range h.views {
		var names []string
		for i := v * each; i < (v+1)*each; i++ {
			names = append(names, fmt.Sprint("f", i))
		}
		fmt.Fprintf(&text, "---\nkind: FeatureView\nname: v%d\nentity: driver\nsource: rows\ntimestamp: at\nttl: 3650d\ncolumns: [%s]\n", v, strings.Join(names, ", "))
	}
	if err := os.WriteFile(filepath.Join(dir, "leat.yaml"), []byte(text.String()), 0o644); err != nil {
		return nil, err
	}
	if _, _, err := program.Leat(ctx, dir, "ingest", "rows", "--apply"); err != nil {
		return nil, err
	}
	s, err := program.UpWith(ctx, dir, flags...)
	if err != nil {
		return nil, err
	}
	if err := h.materialise(s.URL); err != nil {
		_, _ = s.Stop()
		return nil, err
	}
	return s, nil
}

// materialise brings all views online. A server that has just started may not
// know them for a moment.
func (h *house) materialise(url string) error {
	var names []string
	for v := range h.views {
		names = append(names, fmt.Sprintf("%q", fmt.Sprint("v", v)))
	}
	order := fmt.Sprintf(`{"start_ts":"2000-01-01","end_ts":%q,"feature_views":[%s]}`, time.Now().UTC().Format(time.RFC3339), strings.Join(names, ","))
	var last error
	for begin := time.Now(); time.Since(begin) < starting; time.Sleep(500 * time.Millisecond) {
		answer, err := http.Post(url+"/materialize", "application/json", strings.NewReader(order))
		if err != nil {
			return err
		}
		said, err := io.ReadAll(answer.Body)
		if err := errors.Join(err, answer.Body.Close()); err != nil {
			return err
		}
		if answer.StatusCode == http.StatusOK {
			return nil
		}
		if last = fmt.Errorf("materialise: %s %s", answer.Status, said); answer.StatusCode != http.StatusNotFound {
			return last
		}
	}
	return last
}

func (h *house) startRedis(ctx context.Context) (err error) {
	if h.redisPort, err = load.FreePort(); err != nil {
		return err
	}
	h.redisServer, err = start(ctx, h.redisPort, h.dir, "redis-server", "--port", h.redisPort, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
	return err
}

// startPeer starts Feast's feature server, with workers that live on.
func (h *house) startPeer(ctx context.Context, rows string) (err error) {
	bin := filepath.Join(tools(), "venv-feast", "bin")
	repository := filepath.Join(h.dir, "feast")
	setup := exec.CommandContext(ctx, filepath.Join(bin, "python"), filepath.Join("bench", "features", "peer.py"), repository, rows,
		"127.0.0.1:"+h.redisPort, strconv.Itoa(h.views), strconv.Itoa(h.features))
	var said bytes.Buffer
	setup.Stdout, setup.Stderr, setup.Env = &said, &said, append(os.Environ(), "FEAST_USAGE=False")
	if err := setup.Run(); err != nil {
		return fmt.Errorf("the peer cannot be made; run internal/tools/install.sh bench: %w\n%s", err, said.Bytes()[max(0, said.Len()-3000):])
	}
	if h.peerPort, err = load.FreePort(); err != nil {
		return err
	}
	bin, err = filepath.Abs(bin)
	if err != nil {
		return err
	}
	h.peer, err = start(ctx, h.peerPort, repository, filepath.Join(bin, "feast"), "serve", "--host", "127.0.0.1", "--port", h.peerPort,
		"--workers", strconv.Itoa(h.workers), "--max-requests", "0", "--max-requests-jitter", "0", "--no-access-log")
	if err == nil {
		time.Sleep(5 * time.Second) // the other workers import their packages yet
	}
	return err
}

// tools is where the peers are installed.
func tools() string {
	if dir := os.Getenv("LEAT_TOOLS"); dir != "" {
		return dir
	}
	return filepath.Join(".cache", "tools")
}

// start starts a server and waits until it listens.
func start(ctx context.Context, port, dir, name string, args ...string) (*process, error) {
	log, err := os.Create(filepath.Join(dir, filepath.Base(name)+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has it
	p := &process{exec.CommandContext(ctx, name, args...)}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, log, log
	p.cmd.Env = append(os.Environ(), "FEAST_USAGE=False", "OMP_NUM_THREADS=1")
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	for begin := time.Now(); time.Since(begin) < starting; time.Sleep(50 * time.Millisecond) {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			_ = c.Close() // it was only to see that somebody listens
			return p, nil
		}
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	text, _ := os.ReadFile(log.Name())
	return nil, fmt.Errorf("%s does not listen: %s", filepath.Base(name), text[max(0, len(text)-2000):])
}
