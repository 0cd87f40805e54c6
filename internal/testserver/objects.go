package testserver

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
)

// S3Server is a running S3 server that takes path-style requests.
type S3Server struct {
	Endpoint  string // http://127.0.0.1:port
	Region    string
	AccessKey string
	SecretKey string
	root      string
}

// S3 starts versitygw on a folder.
func S3(t testing.TB) *S3Server {
	t.Helper()
	program, data := tool(t, "bin", "versitygw"), folder(t)
	s := &S3Server{Region: "us-east-1", AccessKey: "leat", SecretKey: "leat-test-only", root: filepath.Join(data, "root")}
	sidecar := filepath.Join(data, "sidecar") // the file system may know no extended attributes
	for _, path := range []string{s.root, sidecar} {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	address := "127.0.0.1:" + strconv.Itoa(freePort(t))
	s.Endpoint = "http://" + address
	cmd := exec.Command(program, "--port", address, "--access", s.AccessKey, "--secret", s.SecretKey,
		"--region", s.Region, "--quiet", "--keep-alive", "posix", "--sidecar", sidecar, s.root)
	cmd.Dir = data
	start(t, cmd, syscall.SIGKILL).await(t, listening(address))
	return s
}

// Bucket makes a bucket.
func (s *S3Server) Bucket(t testing.TB, name string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(s.root, name), 0o700); err != nil {
		t.Fatal(err)
	}
}

// Path returns where the server keeps an object, for tests that damage it.
func (s *S3Server) Path(bucket, name string) string { return filepath.Join(s.root, bucket, name) }

// AzuriteServer is a running emulator of Azure Blob Storage. Account and key
// are the ones that every such emulator has.
type AzuriteServer struct {
	Endpoint string // http://127.0.0.1:port/devstoreaccount1
	Account  string
	Key      string
}

// Azurite starts the emulator, with its data in memory.
func Azurite(t testing.TB) *AzuriteServer {
	t.Helper()
	script := tool(t, "node_modules", "azurite", "dist", "src", "blob", "main.js")
	node := tool(t, "node_modules", "node-linux-"+strings.Replace(runtime.GOARCH, "amd64", "x64", 1), "bin", "node")
	cmd := exec.Command(node, script, "--blobHost", "127.0.0.1", "--blobPort", "0",
		"--skipApiVersionCheck", "--inMemoryPersistence", "--disableTelemetry")
	cmd.Dir = folder(t)
	p := start(t, cmd, syscall.SIGKILL)
	s := &AzuriteServer{
		Account: "devstoreaccount1",
		Key:     "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
	}
	p.await(t, func(context.Context) error {
		address, err := p.output.after("successfully listens on ")
		s.Endpoint = strings.TrimSuffix(address, "/") + "/" + s.Account
		return err
	})
	return s
}

// Container makes a container.
func (s *AzuriteServer) Container(t testing.TB, name string) {
	t.Helper()
	credential, err := azblob.NewSharedKeyCredential(s.Account, s.Key)
	if err != nil {
		t.Fatal(err)
	}
	client, err := azblob.NewClientWithSharedKeyCredential(s.Endpoint, credential, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateContainer(t.Context(), name, nil); err != nil {
		t.Fatal(err)
	}
}
