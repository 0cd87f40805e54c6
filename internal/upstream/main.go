// Command upstream is a language model that is none: it answers in the
// protocols of OpenAI, Azure, Anthropic and Cohere what its flags say, for
// benchmarks and for trying things out.
//
//	upstream -addr 127.0.0.1:9090 -words 50 -pace 10ms
//	upstream -obey                 # does whatever its prompt asks for
//	upstream -fault "reset midway" # see llm/llmtest for the faults
//
// It prints the address that it listens at.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/leat-ai/leat/llm/llmtest"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "address to listen at")
	words := flag.Int("words", 20, "how many words are answered")
	wait := flag.Duration("wait", 0, "how long until an answer begins")
	pace := flag.Duration("pace", 0, "how long between two words of a stream")
	fault := flag.String("fault", "", "what goes wrong with every answer")
	status := flag.Int("status", 0, "a status to answer instead")
	obey := flag.Bool("obey", false, "do whatever the prompt asks for")
	flag.Parse()
	script := llmtest.Always(llmtest.Reply{
		Text: strings.TrimSpace(strings.Repeat("word ", *words)), Wait: *wait, Pace: *pace, Fault: llmtest.Fault(*fault), Status: *status, Body: `{"error":{"message":"as the flags say"}}`,
	})
	if *obey {
		script = llmtest.Obey
	}
	if err := serve(*addr, llmtest.Handler(script)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(addr string, h http.Handler) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close() // it ends Serve
	}()
	if err := server.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}
