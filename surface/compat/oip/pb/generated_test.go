package pb_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestGenerated compares the committed code with what the generators write.
func TestGenerated(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "./generate.sh", dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the generators are missing or failed (`make tools` installs them): %v\n%s", err, out)
	}
	for _, name := range []string{"inference.pb.go", "inference_grpc.pb.go"} {
		want, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(name); err != nil || string(got) != string(want) {
			t.Errorf("%s is not what inference.proto says; run go generate ./surface/compat/oip/pb (%v)", name, err)
		}
	}
}
