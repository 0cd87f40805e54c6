package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/surface/cli"
)

// openHome makes the home folder and takes its lock: only one process works
// with a home at a time.
func (a *App) openHome(context.Context) (func(context.Context) error, error) {
	for _, dir := range []string{a.config.Home, a.scratch()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "cannot make the folder %s", dir)
		}
	}
	f, err := os.OpenFile(filepath.Join(a.config.Home, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "cannot write into %s", a.config.Home)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fault.New(fault.Conflict, "another leat works with %s", a.config.Home).
				Hint("use it through its server, or end it first")
		}
		return nil, fault.Wrap(err, fault.Unavailable, "cannot lock %s", a.config.Home)
	}
	a.home = f
	return func(context.Context) error {
		_ = os.Remove(a.addressFile())
		return f.Close()
	}, nil
}

func (a *App) addressFile() string { return filepath.Join(a.config.Home, cli.AddressFile) }

// tellAddress writes where the server listens, for commands in this folder.
func (a *App) tellAddress() error {
	text, err := json.Marshal(cli.Address{URL: reachable(a.server.URL()), PID: os.Getpid()})
	if err != nil {
		return err
	}
	temporary := a.addressFile() + ".new"
	if err := os.WriteFile(temporary, text, 0o600); err != nil {
		return fault.Wrap(err, fault.Full, "cannot write into %s", a.config.Home)
	}
	return fault.Wrap(os.Rename(temporary, a.addressFile()), fault.Full, "cannot write into %s", a.config.Home)
}

// reachable turns the address of all interfaces into that of this machine.
func reachable(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	host, port, err := net.SplitHostPort(u.Host)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		u.Host = net.JoinHostPort("127.0.0.1", port)
	}
	return u.String()
}

// executor names the server of a home on this machine, the same after a
// restart.
func executor(home string) string {
	if absolute, err := filepath.Abs(home); err == nil {
		home = absolute
	}
	machine, err := os.Hostname()
	if err != nil {
		machine = "local"
	}
	sum := sha256.Sum256([]byte(home))
	return machine + "-" + hex.EncodeToString(sum[:4])
}

func isPostgres(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}
