// Package realdata finds the real data that tests and benchmarks read. The
// data is not part of the repository: it lies in the folder that LEAT_DATA
// names, or in ../shared/data beside the checkout.
package realdata

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Path returns the path of a file of the data folder, such as
// "tabular-telco-churn/data.csv.gz". The test fails when it is absent, and
// says what to do: a test that needs data never passes without it.
func Path(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(Root(), filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("test data %q is absent: %v; set LEAT_DATA to the folder that holds it", name, err)
	}
	return path
}

// Root returns the data folder, whether or not it exists.
func Root() string {
	if dir := os.Getenv("LEAT_DATA"); dir != "" {
		return dir
	}
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..", "shared", "data")
}
