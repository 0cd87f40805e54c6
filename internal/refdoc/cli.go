package refdoc

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/leat-ai/leat/surface/cli"
)

// variables are what the program reads from its environment. A test
// holds the list against the sources.
func variables() map[string]string {
	return map[string]string{
		"LEAT_HOME":                   "default of `--home`",
		"LEAT_ENV":                    "default of `--env`",
		"LEAT_SERVER":                 "default of `--server`",
		"LEAT_KEY":                    "API key that is sent to a server",
		"LEAT_CATALOG":                "URL of the catalog database, such as `postgres://…`; a SQLite file in the home when absent",
		"LEAT_BLOBS":                  "URL of the bucket for models and reports, `s3://…` or `azblob://…`; a folder in the home when absent",
		"LEAT_LAKE":                   "URL of where the tables' files are, `s3://…` or `azblob://…`; a folder in the home when absent",
		"LEAT_ONLINE":                 "default of `leat up --online`",
		"LEAT_BUS":                    "default of `leat up --bus`; several are separated by spaces",
		"AZURE_STORAGE_KEY":           "key of the account in an `azblob://` address, where no identity says who asks",
		"LEAT_ONNXRUNTIME":            "file of ONNX Runtime's library; where it is looked for otherwise stands in the guide to ONNX",
		"GOGC":                        "turns the collector's own sizing off and sets its percentage",
		"GOMEMLIMIT":                  "bound of the heap; three quarters of what the control group grants when absent",
		"LEAT_WORKER_PYTHON":          "interpreter of Python models that name none; `python3` when absent",
		"LEAT_EGRESS_ALLOW":           "hosts and networks that are not public and that sources may be read from and models asked at, such as `files.internal,.corp.example,10.20.0.0/16`; none when absent",
		"OTEL_EXPORTER_OTLP_ENDPOINT": "default of `leat up --otlp`",
		"TERM":                        "`dumb` turns progress bars into lines",
	}
}

// cliPage describes the command line.
func cliPage(string) ([]byte, error) {
	root := cli.Describe()
	p := newPage("The command line", "surface/cli")
	p.say("\n%s\n", root.Long)
	p.say(`
A command speaks with the server that ` + "`--server`" + ` names, else with the one that
serves the project's folder, else with one that it starts inside itself and
stops at its end: it works the same in all three. The result goes to standard
output, everything else to standard error; the exit code is that of the
[error's kind](errors.md).

## Flags of every command
`)
	p.flags(root.Flags)
	p.say("\n## Variables of the environment\n")
	p.table("variable", "means")
	all := variables()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		p.row(code(name), all[name])
	}
	p.say("\nShell completion: `source <(leat completion bash)`, or `zsh`, `fish`, `powershell`.\n")
	for _, group := range root.Groups {
		p.say("\n## %s\n", strings.TrimSuffix(group, ":"))
		for _, c := range root.Commands {
			if c.Group == group {
				p.command("###", c)
			}
		}
	}
	return p.bytes(), nil
}

func (p *page) command(level string, c cli.Command) {
	p.say("\n%s %s\n\n%s.\n\n    %s\n", level, c.Path, strings.TrimSuffix(c.Short, "."), c.Usage)
	p.flags(c.Flags)
	if c.Example != "" {
		p.say("\n```sh\n%s\n```\n", unindent(c.Example))
	}
	for _, sub := range c.Commands {
		p.command(level+"#", sub)
	}
}

func (p *page) flags(flags []cli.Flag) {
	shown := slices.DeleteFunc(slices.Clone(flags), func(f cli.Flag) bool { return f.Name == "help" || f.Name == "version" })
	if len(shown) == 0 {
		return
	}
	p.table("flag", "value", "means")
	for _, f := range shown {
		name := code("--" + f.Name)
		if f.Letter != "" {
			name += ", " + code("-"+f.Letter)
		}
		means := f.Usage
		if f.Default != "" && f.Default != "false" && f.Default != "[]" && f.Default != "0s" {
			means = fmt.Sprintf("%s; default %s", means, code(f.Default))
		}
		value := map[string]string{"bool": "", "stringSlice": "list"}
		kind, ok := value[f.Type]
		if !ok {
			kind = f.Type
		}
		p.row(name, kind, means)
	}
}

// unindent takes the two spaces away that examples have in help.
func unindent(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}
