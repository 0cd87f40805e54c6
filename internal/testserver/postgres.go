package testserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// PostgresServer is a running server.
type PostgresServer struct {
	address   string
	databases atomic.Int64
	start     func(testing.TB) *process
	process   *process
}

// Postgres starts a server. It does not wait for the disk, unless settings
// such as "fsync=on" say so: they come after the fast ones.
func Postgres(t testing.TB, settings ...string) *PostgresServer {
	t.Helper()
	return postgres(t, postgresBin(t), settings)
}

// PostgresWithVectors starts a server that has the extension pgvector, which
// Debian's has not.
func PostgresWithVectors(t testing.TB, settings ...string) *PostgresServer {
	t.Helper()
	return postgres(t, filepath.Dir(tool(t, "pgvector", "pginstall", "bin", "postgres")), settings)
}

func postgres(t testing.TB, bin string, settings []string) *PostgresServer {
	t.Helper()
	data := folder(t)
	owner := credential(t, data)
	cluster := filepath.Join(data, "cluster")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", cluster, "-U", "leat",
		"--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "--no-instructions")
	initdb.Dir, initdb.SysProcAttr = data, owner
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s := &PostgresServer{address: "127.0.0.1:" + strconv.Itoa(freePort(t))}
	args := []string{"-D", cluster}
	for _, setting := range append(s.settings(), settings...) {
		args = append(args, "-c", setting)
	}
	s.start = func(t testing.TB) *process {
		cmd := exec.Command(filepath.Join(bin, "postgres"), args...)
		cmd.Dir = data
		if owner != nil {
			copied := *owner
			cmd.SysProcAttr = &copied
		}
		return start(t, cmd, syscall.SIGQUIT) // at once: the data is not needed any more
	}
	s.Start(t)
	return s
}

// Stop ends the server, and lets it write what it has.
func (s *PostgresServer) Stop(testing.TB) { s.process.stop(syscall.SIGINT) }

// Start starts the server again after Stop.
func (s *PostgresServer) Start(t testing.TB) {
	t.Helper()
	s.process = s.start(t)
	s.process.await(t, func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, s.url("postgres"))
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
}

func (s *PostgresServer) settings() []string {
	return []string{
		"listen_addresses=127.0.0.1", "port=" + s.address[len("127.0.0.1:"):], "unix_socket_directories=",
		"fsync=off", "full_page_writes=off", "synchronous_commit=off",
		"shared_buffers=32MB", "max_connections=200", "max_wal_size=512MB", "autovacuum=off",
	}
}

// URL makes a database of its own for a caller, and returns its URL.
func (s *PostgresServer) URL(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", s.databases.Add(1))
	conn, err := pgx.Connect(t.Context(), s.url("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return s.url(name)
}

func (s *PostgresServer) url(database string) string {
	return "postgres://leat@" + s.address + "/" + database + "?sslmode=disable"
}

// postgresBin finds the newest server of Debian's packages.
func postgresBin(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		t.Fatal("PostgreSQL is not installed: run make tools")
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(found[len(found)-1])
}

// version is the 15 of /usr/lib/postgresql/15/bin/postgres.
func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

// credential makes the server run as the user postgres, to whom the folder is
// given: as root it refuses to. Any other user runs it as itself.
func credential(t testing.TB, data string) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatalf("PostgreSQL is not installed: run make tools (%v)", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(data, uid, gid); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}
