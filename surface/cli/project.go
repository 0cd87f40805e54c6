package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/surface/client"
)

func (c *commands) addProject(root *cobra.Command) {
	root.AddCommand(c.initCommand(), c.validateCommand(), c.planCommand(), c.applyCommand(), c.upCommand(), c.schemaCommand())
}

// starter is the project that init writes.
const starter = `# A Leat project: what is read, what is computed, what is served.
# Check it with ` + "`leat validate`" + `, see what would change with ` + "`leat plan`" + `,
# put it in force with ` + "`leat apply`" + `, serve it with ` + "`leat up`" + `.
kind: Source
name: events
from: data/*.csv
`

func (c *commands) initCommand() *cobra.Command {
	return c.command("project", "init [FOLDER]", "Begin a project in a folder",
		"  leat init churn\n  leat demo --data customers.csv --label churned   # a whole project, made from a table", cobra.MaximumNArgs(1),
		func(_ *cobra.Command, args []string) error {
			dir := c.project
			if len(args) > 0 {
				dir = args[0]
			}
			return c.initProject(dir)
		})
}

func (c *commands) initProject(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o755); err != nil {
		return fault.Wrap(err, fault.Invalid, "cannot make the folder %s", dir)
	}
	written := []string{}
	for name, text := range map[string]string{"leat.yaml": starter, ".gitignore": "/.leat/\n"} {
		path := filepath.Join(dir, name)
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if os.IsExist(err) {
			continue
		}
		if err != nil {
			return fault.Wrap(err, fault.Invalid, "cannot write %s", path)
		}
		if _, err := f.WriteString(text); err != nil {
			_ = f.Close()
			return fault.Wrap(err, fault.Full, "cannot write %s", path)
		}
		if err := f.Close(); err != nil {
			return fault.Wrap(err, fault.Full, "cannot write %s", path)
		}
		written = append(written, path)
	}
	return c.show(map[string][]string{"written": written}, func(w io.Writer) {
		if len(written) == 0 {
			fmt.Fprintf(w, "%s has a project already\n", dir)
			return
		}
		fmt.Fprintf(w, "wrote %s\nnext: put a CSV file into %s and run `leat -C %s up`\n",
			strings.Join(written, " and "), filepath.Join(dir, "data"), dir)
	})
}

func (c *commands) validateCommand() *cobra.Command {
	return c.command("project", "validate", "Check the resource files and report every mistake", "  leat validate\n  leat -C examples/fraud validate --json", cobra.NoArgs,
		func(*cobra.Command, []string) error {
			project, err := spec.Load(c.project, spec.Options{Environment: c.env})
			if err != nil {
				return err
			}
			return c.show(project.Resources, func(w io.Writer) {
				rows := make([][]string, len(project.Resources))
				for i, r := range project.Resources {
					rows[i] = []string{string(r.Kind), r.Name, r.At.String()}
				}
				table(w, []string{"kind", "name", "at"}, rows)
			})
		})
}

func (c *commands) planCommand() *cobra.Command {
	return c.command("project", "plan", "Show what apply would change", "  leat plan\n  leat plan --server https://leat.example:8080", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error {
			files, err := projectFiles(c.project)
			if err != nil {
				return err
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				plan, err := cl.Plan(ctx, files)
				if err != nil {
					return err
				}
				return c.show(plan, func(w io.Writer) { fmt.Fprint(w, planText(plan)) })
			})
		})
}

func planText(p spec.Plan) string {
	text := p.String()
	for _, note := range p.Notes {
		text += note + "\n"
	}
	return text
}

func (c *commands) applyCommand() *cobra.Command {
	return c.command("project", "apply", "Put the project in force, whole or not at all", "  leat apply", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error {
			files, err := projectFiles(c.project)
			if err != nil {
				return err
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				applied, err := cl.Apply(ctx, files)
				if err != nil {
					return err
				}
				return c.show(applied, func(w io.Writer) {
					fmt.Fprint(w, planText(applied.Plan))
					for _, v := range applied.Versions {
						if v.New {
							fmt.Fprintf(w, "registered model %s version %d as %s\n", v.Model, v.Version, v.Alias)
						}
					}
					if !applied.Plan.Empty() {
						fmt.Fprintf(w, "applied as %s\n", short(applied.ID))
					}
				})
			})
		})
}

// projectFiles reads the resource files of a folder, to send them.
func projectFiles(dir string) (map[string]string, error) {
	files, err := spec.ReadFiles(dir)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fault.New(fault.NotFound, "no resource files (*.yaml) in %s", dir).Hint("`leat init` begins a project")
	}
	return files, nil
}

func (c *commands) upCommand() *cobra.Command {
	var served ServeOptions
	var apply bool
	cmd := c.command("project", "up", "Serve the project", "  leat up\n  leat up --listen 0.0.0.0:8080 --auth keys", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error {
			o := c.serveOptions()
			o.Listen, o.Auth, o.OTLP, o.Log = served.Listen, served.Auth, served.OTLP, c.Err
			o.Retain, o.CertFile, o.KeyFile = served.Retain, served.CertFile, served.KeyFile
			o.GRPC, o.GRPCOptional = served.GRPC, !cmd.Flags().Changed("grpc")
			if o.GRPC == "off" {
				o.GRPC = ""
			}
			o.ModelMemory, o.AllowProcess = served.ModelMemory, served.AllowProcess
			if cmd.Flags().Changed("bus") {
				o.Bus = served.Bus
			}
			if cmd.Flags().Changed("online") {
				o.Online = served.Online
			}
			return c.up(cmd.Context(), o, apply)
		})
	f := cmd.Flags()
	f.StringVar(&served.Listen, "listen", "127.0.0.1:8080", "host:port to listen on")
	f.StringVar(&served.GRPC, "grpc", "127.0.0.1:8001", "host:port to listen on for gRPC; off for none")
	f.StringVar(&served.Auth, "auth", "local", "local: no key, loopback only; keys: every request needs one")
	f.StringArrayVar(&served.Bus, "bus", strings.Fields(os.Getenv("LEAT_BUS")),
		"broker of events: embedded, nats://host:4222 or kafka://host:9092, with options as ?name=value; may be given twice")
	f.StringVar(&served.Online, "online", os.Getenv("LEAT_ONLINE"), "store of online features: redis://host:6379/0, postgres://…; a folder in the home when empty")
	f.StringVar(&served.OTLP, "otlp", os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), "collector of traces over gRPC, such as http://127.0.0.1:4317")
	f.DurationVar(&served.Retain, "retain", 7*24*time.Hour, "how long old snapshots of tables stay")
	f.TextVar(&served.ModelMemory, "model-memory", spec.Bytes(512<<20), "memory of models; endpoints that are not asked fall asleep beyond it")
	f.BoolVar(&served.AllowProcess, "allow-process", false, "let models be programs also where others can reach the server")
	f.StringVar(&served.CertFile, "tls-cert", "", "certificate file, for HTTPS")
	f.StringVar(&served.KeyFile, "tls-key", "", "key file of the certificate")
	f.BoolVar(&apply, "apply", true, "apply the project's files first")
	return cmd
}

func (c *commands) up(ctx context.Context, o ServeOptions, apply bool) error {
	running, err := c.Start(ctx, o)
	if err != nil {
		return err
	}
	defer c.stop(running)
	if apply {
		if err := c.applyFiles(ctx, running.Client()); err != nil {
			return err
		}
	}
	if err := c.show(Address{URL: running.URL(), GRPC: running.GRPC(), PID: os.Getpid()}, func(w io.Writer) {
		fmt.Fprintf(w, "serving %s\n", running.URL())
		if running.GRPC() != "" {
			fmt.Fprintf(w, "gRPC at %s\n", running.GRPC())
		}
	}); err != nil {
		return err
	}
	if o.GRPC != "" && running.GRPC() == "" {
		fmt.Fprintf(c.Err, "gRPC is off: something else listens on %s; choose another address with --grpc host:port\n", o.GRPC)
	}
	select {
	case <-ctx.Done():
		return nil
	case <-running.Done():
		return fault.New(fault.Unavailable, "the server stopped by itself").Hint("its log says why")
	}
}

// applyFiles applies the folder's project, if it has one.
func (c *commands) applyFiles(ctx context.Context, cl *client.Client) error {
	files, err := projectFiles(c.project)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	applied, err := cl.Apply(ctx, files)
	if err == nil && !applied.Plan.Empty() {
		fmt.Fprint(c.Err, applied.Plan.String())
	}
	return err
}

func (c *commands) schemaCommand() *cobra.Command {
	return c.command("project", "schema", "Print the JSON Schema of the resource files, for editors", "  leat schema > leat.schema.json", cobra.NoArgs,
		func(*cobra.Command, []string) error {
			_, err := c.Out.Write(spec.Schema())
			return err
		})
}
