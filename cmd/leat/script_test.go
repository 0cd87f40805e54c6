package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/leat-ai/leat/internal/realdata"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"leat": main})
}

// TestScripts runs sessions of the command line, one a file.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("DATA", realdata.Root())
			examples, err := filepath.Abs("../../examples")
			if err != nil {
				return err
			}
			e.Setenv("EXAMPLES", examples)
			e.Setenv("TERM", "dumb")
			for _, name := range []string{"LEAT_HOME", "LEAT_ENV", "LEAT_SERVER", "LEAT_KEY", "LEAT_CATALOG", "LEAT_BLOBS", "LEAT_LAKE", "LEAT_BUS", "LEAT_EGRESS_ALLOW"} {
				e.Setenv(name, "")
			}
			return nil
		},
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
	})
}
