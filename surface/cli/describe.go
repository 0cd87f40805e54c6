package cli

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Command describes a command, for reference pages.
type Command struct {
	Path     string // "leat models show"
	Usage    string // "leat models show NAME[@VERSION] [flags]"
	Short    string
	Long     string // "" when Short is all there is
	Example  string
	Group    string   // title of the group that it is listed under; "" for subcommands
	Flags    []Flag   // its own; those of the root go with every command
	Groups   []string // titles, in order
	Commands []Command
}

// Flag describes a flag of a command.
type Flag struct {
	Name    string
	Letter  string // "C" of -C; "" when it has none
	Type    string // "string", "bool", "int"
	Default string
	Usage   string
}

// Describe returns the tree of commands, the root first. Defaults that come
// from the environment are those of this process.
func Describe() Command {
	c := &commands{}
	root := c.root()
	titles := map[string]string{}
	var order []string
	for _, g := range root.Groups() {
		titles[g.ID] = g.Title
		order = append(order, g.Title)
	}
	d := describe(root, titles)
	d.Groups = order
	return d
}

func describe(cmd *cobra.Command, titles map[string]string) Command {
	d := Command{
		Path: cmd.CommandPath(), Usage: cmd.UseLine(), Short: cmd.Short, Long: cmd.Long,
		Example: cmd.Example, Group: titles[cmd.GroupID],
	}
	cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			d.Flags = append(d.Flags, Flag{f.Name, f.Shorthand, f.Value.Type(), f.DefValue, f.Usage})
		}
	})
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			d.Commands = append(d.Commands, describe(sub, titles))
		}
	}
	return d
}
