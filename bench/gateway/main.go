// Command gateway measures what a gateway adds to a call of a language model:
// leat, with limits, a budget, the ledger, records and metrics on, and
// LiteLLM's proxy, each in front of the same upstream, which answers at once.
// Calls go to the upstream itself, too, in the same rounds: what is added is
// the difference. Answers are first held equal.
//
//	make build && go run ./bench/gateway
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/leat-ai/leat/bench/internal/binary"
	"github.com/leat-ai/leat/bench/internal/load"
	"github.com/leat-ai/leat/bench/internal/result"
)

// size is how much is measured.
type size struct {
	rate        float64 // calls a second, open loop
	connections int
	rounds      int
	seconds     float64 // of load, each round and side
	streams     int     // answers in pieces, each round and side
	alone       bool
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == upstreamWord {
		log.Fatal(serveUpstream())
	}
	var s size
	flag.Float64Var(&s.rate, "rate", 2000, "calls a second")
	flag.IntVar(&s.connections, "connections", 64, "of the load")
	flag.IntVar(&s.rounds, "rounds", 5, "")
	flag.Float64Var(&s.seconds, "seconds", 5*result.Scale(), "of load, each round and side")
	flag.IntVar(&s.streams, "streams", 300, "answers in pieces, each round and side")
	flag.BoolVar(&s.alone, "alone", false, "without the peer, to profile")
	flag.Parse()
	runtime.GOMAXPROCS(runtime.NumCPU() + 1) // one for pace, which holds on to it
	if err := run(context.Background(), s); err != nil {
		log.Fatal(err)
	}
}

// side is a server that is asked: the upstream itself, or a gateway before it.
type side struct {
	name   string
	url    string // where chat/completions is
	pid    int
	target *load.Target
}

func run(ctx context.Context, s size) error {
	dir, err := os.MkdirTemp("", "leat-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	up, err := startUpstream(ctx)
	if err != nil {
		return err
	}
	defer up.stop()
	server, err := startLeat(ctx, dir, up.host)
	if err != nil {
		return err
	}
	defer server.Stop()
	sides := []*side{
		{name: "upstream", url: "http://" + up.host + "/v1/chat/completions", pid: up.pid()},
		{name: "leat", url: server.URL + "/v1/chat/completions", pid: server.PID()},
	}
	if !s.alone {
		p, err := startPeer(ctx, dir, up.host)
		if err != nil {
			return err
		}
		defer p.stop()
		sides = append(sides, &side{name: "LiteLLM", url: p.url + "/v1/chat/completions", pid: p.pid()})
	}
	for _, x := range sides {
		if x.target, err = load.New(x.name, x.url, bodies(false)); err != nil {
			return err
		}
	}
	if err := equal(sides); err != nil {
		return err
	}
	c := &contest{size: s, sides: sides, server: server.URL}
	if err := c.measure(ctx); err != nil {
		return err
	}
	return c.report()
}

// project is what leat serves: everything that costs time is on.
const project = `kind: LLM
name: gpt
deployments:
  - {at: "openai+http://%s/gpt-4o-mini", secret: "env:BENCH_KEY"}
limits: {requests: 10000000/m, tokens: 1000000000/m, concurrency: 10000, per: caller}
budget: {usd: 1000000, every: 1d, per: caller}
price: {input: 0.25, cached: 0.025, output: 2}
record: on
`

func startLeat(ctx context.Context, dir, upstream string) (*binary.Server, error) {
	if err := os.WriteFile(filepath.Join(dir, "gpt.yaml"), fmt.Appendf(nil, project, upstream), 0o600); err != nil {
		return nil, err
	}
	server, err := binary.Up(ctx, dir, "BENCH_KEY=sk-bench", "LEAT_EGRESS_ALLOW=127.0.0.1")
	if err != nil {
		return nil, err
	}
	return server, applyTo(ctx, dir, server)
}

// applyTo puts the project in force, by the server.
func applyTo(ctx context.Context, dir string, server *binary.Server) error {
	_, _, err := binary.Leat(ctx, dir, "apply", "--server", server.URL)
	return err
}

// bodies are questions of about the length that questions have.
func bodies(stream bool) [][]byte {
	const context = "You are an assistant of the travel desk. Answer from the policy below, and name the paragraph that the answer is in. " +
		"1. Economy class is booked for flights of less than six hours. 2. Hotels cost at most 180 a night, breakfast included. " +
		"3. Receipts are handed in within 30 days. 4. Rented cars are of the compact class, electric where there are any. "
	list := make([][]byte, 100)
	for i := range list {
		body, err := json.Marshal(map[string]any{"model": "gpt", "stream": stream, "temperature": 0.2, "max_tokens": 256, "messages": []map[string]string{
			{"role": "system", "content": context}, {"role": "user", "content": fmt.Sprintf("May I book business class for a flight of %d hours?", i%15)},
		}})
		if err != nil {
			panic(err) // strings and numbers can be written
		}
		list[i] = body
	}
	return list
}

// answer is what is compared.
type answer struct {
	Choices []struct {
		Message struct{ Content string }
		Finish  string `json:"finish_reason"`
	}
	Usage struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
	}
}

// equal holds the answers of all sides to the same questions together.
func equal(sides []*side) error {
	var first []string
	for _, x := range sides {
		err := x.target.Each(func(i int, body []byte) error {
			var a answer
			if err := json.Unmarshal(body, &a); err != nil || len(a.Choices) == 0 {
				return fmt.Errorf("%s answers %.200s: %w", x.name, body, err)
			}
			text := fmt.Sprintf("%+v", a)
			if x == sides[0] {
				first = append(first, text)
			} else if text != first[i] {
				return fmt.Errorf("%s answers %s, and the upstream %s", x.name, text, first[i])
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// warm is how long each side is asked before it is measured.
const warm = 2 * time.Second
