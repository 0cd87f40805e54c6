// Package command is the trainer that runs any program.
//
// The program finds its rows in the folder that LEAT_TRAIN_DATA names, and
// leaves its model in the folder that LEAT_OUTPUT names:
//
//	LEAT_TRAIN_DATA/train.parquet   rows to fit
//	LEAT_TRAIN_DATA/test.parquet    rows that the stage will measure on
//	LEAT_TRAIN_DATA/train.csv …     the same as text, while they are not large
//	LEAT_OUTPUT/artifact/…          the files of the model
//	LEAT_OUTPUT/leat-model.json     {"format": "onnx", "params": {…}, "notes": […]}
//	LEAT_OUTPUT/metrics.json        {"name": number, …}, if it has figures of its own
//
// LEAT_LABEL, LEAT_TASK, LEAT_CLASSES and LEAT_PARAMS (both JSON), LEAT_SEED
// and LEAT_THREADS say what is asked for. Of the environment it sees PATH and
// the variables that the step names, nothing else. A line on its standard
// output such as
//
//	leat:progress 3/10 0.52
//
// reports progress, with the validation loss if there is one; every other
// line goes to the log. The program and all that it started end with the
// training's context, and when it is done.
package command

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/model"
)

// Trainer runs a program. It meets train.TableTrainer and is safe for many
// goroutines.
type Trainer struct {
	Command []string       // the program and its arguments; not run by a shell
	Env     []string       // names of variables that the program may see
	Dir     string         // its working folder; that of this process when empty
	Temp    string         // where its data is put, and removed after; the system's when empty
	Formats []model.Format // that its artifact may have
	Log     func(line string)
}

// grace is how long a program that was told to end may take, before it is
// killed.
const grace = 5 * time.Second

// TrainTables writes the rows, runs the program and loads what it made.
func (t Trainer) TrainTables(ctx context.Context, tables *train.Tables, p train.Params) (*train.Artifact, map[string]float64, error) {
	if len(t.Command) == 0 {
		return nil, nil, fault.New(fault.Invalid, "there is no command to train with").Hint("name the program and its arguments under command")
	}
	if len(p.Monotone) > 0 {
		return nil, nil, fault.New(fault.Unsupported, "a command cannot be held to monotone constraints")
	}
	work, err := os.MkdirTemp(t.Temp, "leat-train-")
	if err != nil {
		return nil, nil, fault.Wrap(err, fault.Unavailable, "there is no folder for the training data")
	}
	defer os.RemoveAll(work)
	data, output := filepath.Join(work, "data"), filepath.Join(work, "output")
	for _, dir := range []string{data, filepath.Join(output, artifactDir)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, nil, fault.Wrap(err, fault.Unavailable, "there is no folder for the training data")
		}
	}
	if err := writeTables(ctx, data, tables); err != nil {
		return nil, nil, err
	}
	env, err := t.environment(data, output, tables, p)
	if err != nil {
		return nil, nil, err
	}
	if err := t.run(ctx, env, p); err != nil {
		return nil, nil, err
	}
	return t.collect(ctx, output)
}

// environment is all that the program sees.
func (t Trainer) environment(data, output string, tables *train.Tables, p train.Params) ([]string, error) {
	classes, err := json.Marshal(tables.Classes)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the classes cannot be written")
	}
	params, err := json.Marshal(p.Values)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the parameters cannot be written")
	}
	env := []string{
		"PATH=" + os.Getenv("PATH"),
		"LEAT_TRAIN_DATA=" + data, "LEAT_OUTPUT=" + output,
		"LEAT_LABEL=" + tables.Label, "LEAT_TASK=" + string(tables.Task),
		"LEAT_CLASSES=" + string(classes), "LEAT_PARAMS=" + string(params),
		"LEAT_SEED=" + strconv.FormatInt(p.Seed, 10), "LEAT_THREADS=" + strconv.Itoa(p.Threads),
	}
	for _, name := range t.Env {
		value, ok := os.LookupEnv(name)
		if !ok {
			return nil, fault.New(fault.Invalid, "the training command needs the variable %s, which is not set", name).
				Hint("set it where Leat runs, or take it off the step's env")
		}
		env = append(env, name+"="+value)
	}
	return env, nil
}

// run runs the program to its end.
func (t Trainer) run(ctx context.Context, env []string, p train.Params) error {
	cmd := exec.CommandContext(ctx, t.Command[0], t.Command[1:]...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = t.Dir, env, grace
	lines := &lineWriter{line: func(line string) {
		if done, total, loss, ok := progressOf(line); ok {
			if p.Progress != nil {
				p.Progress(done, total, loss)
			}
		} else if t.Log != nil {
			t.Log(line)
		}
	}}
	cmd.Stdout, cmd.Stderr = lines, lines
	group(cmd)
	err := cmd.Start()
	if err == nil {
		err = cmd.Wait()
		killGroup(cmd)
	}
	lines.flush()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "the training command was stopped")
	case cmd.Process == nil:
		return fault.New(fault.Invalid, "the training command %q cannot be run", t.Command[0]).Because(err).
			Hint("is it installed, and on the PATH of Leat?")
	}
	return fault.New(fault.Invalid, "the training command %q failed", t.Command[0]).Because(err).
		Hint("its last lines were:\n%s", strings.Join(lines.last, "\n"))
}
