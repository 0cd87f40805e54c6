package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// shortDigest names bytes.
func shortDigest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:12])
}

// fetch brings the commit that the ref names, and nothing before it.
func (g *Git) fetch(ctx context.Context) (commit string, err error) {
	if err := g.ensure(ctx); err != nil {
		return "", err
	}
	// Configuration is given by the environment: arguments can be seen by every
	// user of a machine.
	settings := [][2]string{
		{"core.hooksPath", os.DevNull}, {"transfer.fsckObjects", "true"}, {"fetch.recurseSubmodules", "false"}, {"gc.auto", "0"},
		{"http.followRedirects", "initial"}, {"http.emptyAuth", "false"}, {"credential.helper", ""}, {"protocol.allow", "never"},
	}
	var more []string
	scheme := "file"
	if u, perr := url.Parse(g.url); perr == nil && u.Scheme != "" && !filepath.IsAbs(g.url) {
		scheme = u.Scheme
	}
	settings = append(settings, [2]string{"protocol." + scheme + ".allow", "always"})
	switch scheme {
	case "https", "http":
		t, terr := newTunnel(g.config, gitBytes)
		if terr != nil {
			return "", terr
		}
		defer t.close()
		settings = append(settings, [2]string{"http.proxy", t.address()})
		if g.config.Secret != "" {
			token := g.config.Secret
			if !strings.Contains(token, ":") {
				token = "git:" + token // what servers of tokens take any name with
			}
			settings = append(settings, [2]string{"http." + g.url + ".extraHeader",
				"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(token))})
		}
	case "ssh":
		t, command, serr := g.ssh(ctx)
		if serr != nil {
			return "", serr
		}
		defer t.close()
		more = append(more, "GIT_SSH_COMMAND="+command, "GIT_SSH_VARIANT=ssh")
	case "file":
		settings = append(settings, [2]string{"safe.directory", "*"})
	}
	cmd := g.command(ctx, "fetch", "--quiet", "--no-tags", "--depth=1", "--force", "--no-write-fetch-head", "--update-shallow",
		"--end-of-options", g.url, g.ref+":refs/leat/head")
	cmd.Env = append(append(cmd.Env, more...), environmentOf(settings)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return "", gitFault(ctx, err, &stderr, "the repository cannot be fetched")
	}
	out, err := g.command(ctx, "rev-parse", "--verify", "--quiet", "refs/leat/head^{commit}").Output()
	commit = strings.TrimSpace(string(out))
	if err != nil || !isHash(commit) {
		return "", fault.New(fault.NotFound, "%q is no commit", g.ref)
	}
	g.mu.Lock()
	g.commit = commit
	g.mu.Unlock()
	return commit, nil
}

// environmentOf gives git settings that no command line shows.
func environmentOf(settings [][2]string) []string {
	env := []string{fmt.Sprintf("GIT_CONFIG_COUNT=%d", len(settings))}
	for i, s := range settings {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, s[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, s[1]))
	}
	return env
}

// ensure makes the bare repository.
func (g *Git) ensure(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(g.repo, "HEAD")); err == nil {
		return nil
	}
	if err := os.MkdirAll(g.repo, 0o700); err != nil {
		return fault.Wrap(err, fault.Unavailable, "there is no place for the repository")
	}
	cmd := g.command(ctx, "init", "--quiet", "--bare", "--template=", g.repo)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return gitFault(ctx, err, &stderr, "the repository cannot be kept")
	}
	return nil
}

// ssh is how git calls ssh: to the port of a tunnel, with the key of the secret
// and the keys of servers that the source names, and with nothing of the
// user's.
func (g *Git) ssh(ctx context.Context) (*tunnel, string, error) {
	u, err := url.Parse(g.url)
	if err != nil {
		return nil, "", fault.New(fault.Invalid, "the address of the repository cannot be read")
	}
	port := u.Port()
	if port == "" {
		port = "22"
	}
	folder, err := os.MkdirTemp(g.repo, "ssh-")
	if err != nil {
		return nil, "", fault.Wrap(err, fault.Unavailable, "there is no place for the key")
	}
	remove := func() { _ = os.RemoveAll(folder) }
	files := map[string]string{"key": strings.TrimSpace(g.config.Secret) + "\n", "known_hosts": g.config.KnownHosts + "\n"}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			remove()
			return nil, "", fault.Wrap(err, fault.Unavailable, "there is no place for the key")
		}
	}
	t, err := newForward(ctx, g.config, u.Hostname()+":"+port, gitBytes)
	if err != nil {
		remove()
		return nil, "", err
	}
	t.ended = remove
	alias := u.Hostname()
	if port != "22" {
		alias = "[" + alias + "]:" + port
	}
	command := "ssh -F none -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o HostName=127.0.0.1 -o Port=" + t.port() +
		" -o HostKeyAlias=" + quoteShell(alias) + " -o UserKnownHostsFile=" + quoteShell(filepath.Join(folder, "known_hosts")) +
		" -o GlobalKnownHostsFile=none -o IdentityFile=" + quoteShell(filepath.Join(folder, "key"))
	return t, command, nil
}

// quoteShell quotes a word for the shell that git hands the command to.
func quoteShell(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
