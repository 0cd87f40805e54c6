package embedded

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/indextest"
)

// TestConforms runs the suite twice: with segments as they are, and with
// segments so small that everything is of several.
func TestConforms(t *testing.T) {
	for name, c := range map[string]Config{"one": {}, "several": {Segment: 40, Memory: 20_000, Cache: 2_000}} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			indextest.Run(t, indextest.Options{Checks: 60, Open: func(t testing.TB, name string) index.Index {
				c.Path = filepath.Join(root, name)
				ix, err := Open(context.Background(), c)
				if err != nil {
					t.Fatal(err)
				}
				return ix
			}})
		})
	}
}
