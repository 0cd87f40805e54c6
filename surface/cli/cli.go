// Package cli is the command line: leat and its commands.
//
// Main runs one command and returns its exit code. Every command speaks with a
// server through surface/client: the one named by --server, else the one that
// serves the project's folder now, else one that the command starts inside
// itself and stops at its end. So there is one way to do each thing, and a
// command works the same with and without a server.
//
// Rules of the house for output: the result goes to standard output and
// nothing else does; progress, hints and errors go to standard error; with
// --json the result is one JSON value, and an error one JSON object a line; the
// exit code is that of the error's kind (base/fault).
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/surface/client"
)

// ServeOptions say what to serve and how.
type ServeOptions struct {
	Project string // folder of resource files
	Home    string // folder of what the server keeps; Project/.leat when empty
	Env     string // environment
	Listen  string // host:port; "" does not listen, for use from within
	Auth    string // local or keys
	GRPC    string // host:port for gRPC; "" for none
	// GRPCOptional: without gRPC where something else has its port.
	GRPCOptional bool
	OTLP         string        // collector of traces
	Log          io.Writer     // nil for none
	Catalog      string        // URL of the catalog database; a file in Home when empty
	Blobs        string        // URL of the blob store; a folder in Home when empty
	Lake         string        // URL of where tables are; a folder in Home when empty
	Online       string        // URL of the store of online features; a folder in Home when empty
	Bus          []string      // brokers of events; one within the process when empty
	Egress       string        // hosts and networks that are not public and may be asked
	Retain       time.Duration // how long old snapshots of tables stay; 7 days when 0
	// AllowProcess lets models be programs where others can reach the server.
	AllowProcess bool
	// ModelMemory is how much memory models may have; 512 MiB when 0.
	ModelMemory spec.Bytes
	// CertFile and KeyFile are for HTTPS; plain HTTP when empty.
	CertFile, KeyFile string
}

// Running is a server that was started.
type Running interface {
	Client() *client.Client
	URL() string  // "" when it does not listen
	GRPC() string // host:port, "" when it does not listen for gRPC
	Done() <-chan struct{}
	Stop(ctx context.Context) error
}

// Start starts a server: app's.
type Start func(ctx context.Context, o ServeOptions) (Running, error)

// Program is what the commands work with.
type Program struct {
	Version string
	Args    []string
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
	Start   Start
	Formats func() []model.Format // the model formats that are built in
	// Index opens an index in a folder, and Embedder what makes vectors of texts
	// by its address, for commands that need no server.
	Index    func(ctx context.Context, folder string) (index.Index, error)
	Embedder func(ctx context.Context, address string) (llm.Embedder, error)
}

// Main runs the command that the arguments name and returns the exit code.
func Main(ctx context.Context, p Program) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	c := &commands{Program: p}
	root := c.root()
	root.SetArgs(p.Args)
	root.SetIn(p.In)
	root.SetOut(p.Out)
	root.SetErr(p.Err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if !c.ran { // no command was found for the words
		err = &usageError{fault.New(fault.Invalid, "%s", err).Hint("`leat --help` lists the commands")}
	}
	if c.json {
		explainJSON(p.Err, err)
	} else {
		explain(p.Err, err)
	}
	return exitCode(err)
}

func exitCode(err error) int {
	if _, ok := errors.AsType[*usageError](err); ok {
		return fault.Invalid.Exit()
	}
	return fault.KindOf(err).Exit()
}

// usageError is a mistake in the words of the command.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }

// Unwrap returns the fault with its hint.
func (e *usageError) Unwrap() error { return e.err }

// explain prints every mistake with its hint.
func explain(w io.Writer, err error) {
	fault.Each(err, func(e error) {
		fmt.Fprintf(w, "error: %s\n", e)
		if hint := fault.HintOf(e); hint != "" {
			fmt.Fprintf(w, "  hint: %s\n", hint)
		}
	})
}

// mistake is an error as --json prints it, one a line.
type mistake struct {
	Kind  fault.Kind `json:"kind"`
	Error string     `json:"error"`
	Where string     `json:"where,omitempty"`
	Hint  string     `json:"hint,omitempty"`
}

// explainJSON prints every mistake as a JSON object on a line of its own.
func explainJSON(w io.Writer, err error) {
	fault.Each(err, func(e error) {
		m := mistake{Kind: fault.KindOf(e), Error: e.Error(), Hint: fault.HintOf(e)}
		if f, ok := errors.AsType[*fault.Error](e); ok {
			m.Where = f.Where
		}
		_ = json.NewEncoder(w).Encode(m) // standard error is gone: there is nowhere to say so
	})
}

// commands holds what the commands share.
type commands struct {
	Program
	project string
	home    string
	env     string
	server  string
	json    bool
	ran     bool // a command was found, and what follows is its doing
}

func (c *commands) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "leat",
		Short: "Bring AI into the applications and processes that you already have",
		Long: "Leat ingests data, keeps it in a lake, computes features, trains, gates, registers and\n" +
			"releases models, scores in real time and in batch, records every decision, and watches.\n\n" +
			"Begin with `leat demo`, or with `leat init` in a folder of your own.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       c.Version,
	}
	f := root.PersistentFlags()
	f.StringVarP(&c.project, "project", "C", ".", "folder of the project")
	f.StringVar(&c.home, "home", os.Getenv("LEAT_HOME"), "folder of what Leat keeps (default PROJECT/.leat)")
	f.StringVar(&c.env, "env", os.Getenv("LEAT_ENV"), "environment")
	f.StringVar(&c.server, "server", os.Getenv("LEAT_SERVER"), "address of a server; the key is read from LEAT_KEY")
	f.BoolVar(&c.json, "json", false, "print the result as JSON")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		c.ran = true
		return &usageError{fault.New(fault.Invalid, "%s", err).Hint("`%s --help` shows the flags", cmd.CommandPath())}
	})
	root.AddGroup(&cobra.Group{ID: "project", Title: "A project:"}, &cobra.Group{ID: "run", Title: "Doing:"},
		&cobra.Group{ID: "ask", Title: "Asking:"})
	c.addProject(root)
	c.addRuns(root)
	c.addAsk(root)
	return root
}

// command makes a cobra command whose words are checked.
func (c *commands) command(group, use, short, example string, args cobra.PositionalArgs, run func(cmd *cobra.Command, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Example: example, GroupID: group,
		Args: func(cmd *cobra.Command, words []string) error {
			c.ran = true
			if err := args(cmd, words); err != nil {
				return &usageError{fault.New(fault.Invalid, "%s", err).Hint("usage: %s", strings.TrimSpace(cmd.UseLine()))}
			}
			return nil
		},
		RunE: run,
	}
}
