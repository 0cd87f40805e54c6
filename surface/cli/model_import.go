package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/registry/intake"
	"github.com/leat-ai/leat/model/importer"
	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/client"
)

func (c *commands) importCommand() *cobra.Command {
	var f modelFlags
	var name string
	var o api.ImportOptions
	cmd := c.command("", "import FILE|FOLDER|URI --name NAME", "Bring a model that was made elsewhere into the registry",
		"  leat model import churn.ubj --name churn --alias champion\n"+
			"  leat model import mlruns/1/models/m-1/artifacts --name churn --label churned --tag team=growth\n"+
			"  leat model import s3://models/churn/model.onnx --name churn", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			if name == "" {
				return &usageError{fault.New(fault.Invalid, "the model has no name in the registry").Hint("give it with --name NAME")}
			}
			return c.importModel(cmd.Context(), args[0], name, o, f)
		})
	cmd.Long = "Sends a model file or folder to the server, or has the server fetch an address, and registers it as a version with its " +
		"signature, the hashes of its files and where it came from. The same model twice is the same version. " +
		"Point an Endpoint at NAME@ALIAS to serve it."
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&name, "name", "", "name of the model in the registry")
	flags.StringVar(&o.Alias, "alias", "", "alias to point at the version, such as champion")
	flags.StringVar(&o.Label, "label", "", "column that the model predicts")
	flags.StringVar(&o.Description, "description", "", "what the version is, for people")
	flags.StringVar(&o.Secret, "secret", "", "reference to a secret for the address, such as env:MODELS_KEY")
	flags.StringToStringVar(&o.Tags, "tag", nil, "key=value, more than once for several")
	return cmd
}

func (c *commands) importModel(ctx context.Context, from, name string, o api.ImportOptions, f modelFlags) error {
	hints, err := f.hints(ctx)
	if err != nil {
		return err
	}
	o.Columns, o.Flavor = hints.Columns, hints.Flavor
	send := func(ctx context.Context, cl *client.Client) (intake.Imported, error) {
		o.URI = from
		return cl.Import(ctx, name, o)
	}
	if !strings.Contains(from, "://") {
		files, file, err := importer.Gather(from)
		if err != nil {
			return err
		}
		o.File, o.Source = file, filepath.ToSlash(filepath.Clean(from))
		send = func(ctx context.Context, cl *client.Client) (intake.Imported, error) {
			return cl.Upload(ctx, name, files, o)
		}
	}
	return c.with(ctx, func(ctx context.Context, cl *client.Client) error {
		imported, err := send(ctx, cl)
		if err != nil {
			return err
		}
		return c.show(imported, func(w io.Writer) { printImported(w, imported, o.Alias) })
	})
}

func printImported(w io.Writer, i intake.Imported, alias string) {
	v := i.Version
	what := fmt.Sprintf("%s version %d (%s)", v.Model, v.Number, short(v.ID))
	if i.Existing {
		fmt.Fprintf(w, "%s has this model already\n", what)
	} else {
		fmt.Fprintf(w, "%s is registered\n", what)
	}
	s := v.Manifest.Signature
	rows := [][2]string{
		{"kind", i.Kind}, {"library", strings.TrimSpace(i.About.Library + " " + i.About.LibraryVersion)},
		{"task", string(s.Task)}, {"inputs", fmt.Sprintf("%d: %s", len(s.Inputs), fieldNames(s.Inputs))}, {"outputs", fieldNames(s.Outputs)},
	}
	if alias != "" {
		rows = append(rows, [2]string{"alias", alias})
	}
	for _, note := range i.Notes {
		rows = append(rows, [2]string{"note", note})
	}
	pairs(w, rows)
}

func (c *commands) deployCommand() *cobra.Command {
	return c.command("run", "deploy ENDPOINT[@VERSION]", "Release a version of an endpoint's model",
		"  leat deploy churn\n  leat deploy churn@3\n  leat deploy churn@latest", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			endpoint, version, _ := strings.Cut(args[0], "@")
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				r, err := cl.Deploy(ctx, endpoint, version)
				if err != nil {
					return err
				}
				return c.show(r, func(w io.Writer) {
					fmt.Fprintf(w, "%s serves release %d (%s): %s\n", r.Endpoint, r.Number, short(r.ID), r.Content.Serves())
				})
			})
		})
}
