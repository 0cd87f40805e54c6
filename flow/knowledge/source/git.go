package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/egress"
)

// Git reads the files of one commit of a repository, fetched by the git
// program into a bare repository: no file is written to a working tree, so no
// hook, filter or link of the repository means anything. Submodules and links
// are left out.
type Git struct {
	config GitConfig
	repo   string // bare repository
	url    string // what git is told
	name   string // what ids begin with
	ref    string

	mu     sync.Mutex
	commit string // that is read; "" before the first listing
}

// GitConfig says what to read.
type GitConfig struct {
	// From is git+https://host/repository.git#ref, git+ssh://user@host/…,
	// git+http://… for hosts that the policy names, or git+file://path beneath
	// Root. Without a ref it is the head of the repository.
	From   string
	Path   string // folder within the repository
	Names  Names
	Secret string // a token for https, a private key for ssh
	// KnownHosts are the keys of ssh servers, as lines of known_hosts.
	KnownHosts string
	Policy     egress.Policy
	Resolver   egress.Resolver // nil: the system's
	Root       string          // the project's folder
	Folder     string          // where the bare repository is kept between runs
}

// Bounds of a repository.
const (
	gitTime  = 15 * time.Minute
	gitBytes = 4 << 30 // that one fetch may bring
)

// NewGit opens a repository. Nothing is asked yet.
func NewGit(c GitConfig) (*Git, error) {
	if _, err := exec.LookPath("git"); err != nil {
		return nil, fault.New(fault.Unsupported, "the program git is not installed").Hint("install it where this server runs")
	}
	u, err := url.Parse(strings.TrimPrefix(c.From, "git+"))
	if err != nil {
		return nil, fault.New(fault.Invalid, "%q is no address of a repository", c.From).Hint("write git+https://host/repository.git#main")
	}
	g := &Git{config: c, ref: u.Fragment, repo: filepath.Join(c.Folder, shortDigest([]byte(c.From)))}
	if g.ref == "" {
		g.ref = "HEAD"
	}
	if strings.HasPrefix(g.ref, "-") || strings.ContainsAny(g.ref, " \t\n:^~?*[\\") {
		return nil, fault.New(fault.Invalid, "%q is no branch, tag or commit", g.ref)
	}
	u.Fragment = ""
	switch u.Scheme {
	case "https", "http":
		if err := c.Policy.CheckURL(u); err != nil {
			return nil, err
		}
	case "ssh":
		if u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-") || strings.HasPrefix(u.Path, "/-") {
			return nil, fault.New(fault.Invalid, "%q is no address of a repository", c.From)
		}
	case "file":
		return g, g.local(u)
	default:
		return nil, fault.New(fault.Unsupported, "repositories are not fetched by %s", u.Scheme)
	}
	g.url = u.String()
	g.name = u.Host + strings.TrimSuffix(u.Path, "/")
	return g, nil
}

// local checks that a repository of files lies beneath the project's folder.
func (g *Git) local(u *url.URL) error {
	name := path.Clean(strings.TrimPrefix(u.Host+u.Path, "/"))
	if rel, err := filepath.Rel(g.config.Root, "/"+name); err == nil && filepath.IsAbs(u.Path) && u.Host == "" && filepath.IsLocal(rel) {
		name = filepath.ToSlash(rel)
	}
	if !filepath.IsLocal(name) {
		return outside(name)
	}
	root, err := os.OpenRoot(g.config.Root)
	if err != nil {
		return fault.Wrap(err, fault.NotFound, "the project's folder cannot be opened")
	}
	defer root.Close()
	info, err := root.Stat(name) // a link that leads out is refused
	if err != nil || !info.IsDir() {
		return fault.New(fault.NotFound, "there is no repository at %q", name).Hint("write a path relative to the project's folder")
	}
	g.url, g.name = filepath.Join(g.config.Root, filepath.FromSlash(name)), name
	return nil
}

// List fetches the commit that the ref names now, and lists its files. It is
// ErrSame where it is the one of the last time.
func (g *Git) List(ctx context.Context, since string, found func(Item) error) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, gitTime)
	defer cancel()
	commit, err := g.fetch(ctx)
	if err != nil {
		return "", err
	}
	if commit == since {
		return since, ErrSame
	}
	return commit, g.tree(ctx, commit, found)
}

// tree lists the files of a commit.
func (g *Git) tree(ctx context.Context, commit string, found func(Item) error) error {
	args := []string{"ls-tree", "-r", "-z", "-l", "--full-tree", commit}
	if g.config.Path != "" {
		args = append(args, "--", path.Clean(g.config.Path)+"/")
	}
	cmd := g.command(ctx, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "git cannot be run")
	}
	if err := cmd.Start(); err != nil {
		return fault.Wrap(err, fault.Unavailable, "git cannot be run")
	}
	lerr := g.entries(bufio.NewReader(out), commit, found)
	if lerr != nil {
		cancelled := cmd.Process.Kill()
		_, _ = cancelled, cmd.Wait() // it ended because we ended it
		return lerr
	}
	if err := cmd.Wait(); err != nil {
		return gitFault(ctx, err, &stderr, "the files of the commit cannot be listed")
	}
	return nil
}

// entries reads what ls-tree prints: mode, type, object and size, a tab, the
// name, NUL.
func (g *Git) entries(r *bufio.Reader, commit string, found func(Item) error) error {
	for n := 0; ; n++ {
		line, err := r.ReadString(0)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fault.Wrap(err, fault.Unavailable, "the files of the commit cannot be listed")
		}
		if n > maxItems {
			return fault.New(fault.TooLarge, "the repository has more than %d files", maxItems)
		}
		head, name, ok := strings.Cut(strings.TrimSuffix(line, "\x00"), "\t")
		fields := strings.Fields(head)
		if !ok || len(fields) != 4 {
			return fault.New(fault.Corrupt, "git answered with what is not understood")
		}
		if fields[1] != "blob" || fields[0] == "120000" || !g.config.Names.Wanted(name) || hidden(name) {
			continue // a submodule, a link, what is not asked for
		}
		size, err := strconv.ParseInt(fields[3], 10, 64)
		if err != nil {
			continue
		}
		if err := found(Item{ID: g.name + "/" + name, Name: name, Mark: fields[2], Size: size, Place: fields[2] + " " + commit}); err != nil {
			return err
		}
	}
}

// hidden tells whether a file, or a folder above it, begins with a dot.
func hidden(name string) bool {
	return strings.HasPrefix(name, ".") || strings.Contains(name, "/.")
}

// Open reads a file of the commit, which never changes.
func (g *Git) Open(ctx context.Context, it Item, _ string) (Content, error) {
	object, commit, _ := strings.Cut(it.Place, " ")
	if !isHash(object) || !isHash(commit) {
		return Content{}, fault.New(fault.Corrupt, "the place of %q in its repository is damaged", it.ID)
	}
	if err := g.has(ctx, commit); err != nil {
		return Content{}, err
	}
	cmd := g.command(ctx, "cat-file", "blob", object)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return Content{}, fault.Wrap(err, fault.Unavailable, "git cannot be run")
	}
	if err := cmd.Start(); err != nil {
		return Content{}, fault.Wrap(err, fault.Unavailable, "git cannot be run")
	}
	return Content{Body: &gitBody{ReadCloser: out, cmd: cmd, stderr: &stderr, ctx: ctx}, Mark: it.Mark}, nil
}

// gitBody is what cat-file prints: its end is one only where git ended well.
type gitBody struct {
	io.ReadCloser
	cmd    *exec.Cmd
	stderr *bytes.Buffer
	ctx    context.Context
	ended  bool
}

func (b *gitBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF && !b.ended {
		b.ended = true
		if werr := b.cmd.Wait(); werr != nil {
			return n, gitFault(b.ctx, werr, b.stderr, "the file cannot be read")
		}
	}
	return n, err
}

func (b *gitBody) Close() error {
	if b.ended {
		return nil
	}
	b.ended = true
	_ = b.ReadCloser.Close() // git ends because nobody reads
	_ = b.cmd.Wait()         // with an error, therefore
	return nil
}

// Close leaves the bare repository for the next time.
func (g *Git) Close() error { return nil }

func isHash(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}

// has makes sure that a commit is in the bare repository: after a restart
// elsewhere it is fetched anew.
func (g *Git) has(ctx context.Context, commit string) error {
	g.mu.Lock()
	known := g.commit
	g.mu.Unlock()
	if known == commit {
		return nil
	}
	if g.command(ctx, "cat-file", "-e", commit+"^{commit}").Run() == nil {
		g.mu.Lock()
		g.commit = commit
		g.mu.Unlock()
		return nil
	}
	if _, err := g.fetch(ctx); err != nil {
		return err
	}
	if err := g.command(ctx, "cat-file", "-e", commit+"^{commit}").Run(); err != nil {
		return fault.New(fault.Conflict, "the repository has another commit now").Hint("the next run reads that one")
	}
	return nil
}

// gitFault says what git said, without what may be secret.
func gitFault(ctx context.Context, err error, stderr *bytes.Buffer, what string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	text := strings.ToLower(stderr.String())
	switch {
	case strings.Contains(text, "couldn't find remote ref"), strings.Contains(text, "not our ref"), strings.Contains(text, "bad object"):
		return fault.New(fault.NotFound, "%s: there is no such branch, tag or commit", what)
	case strings.Contains(text, "authentication failed"), strings.Contains(text, "could not read username"), strings.Contains(text, "permission denied"),
		strings.Contains(text, "403"):
		return fault.New(fault.Forbidden, "%s: the server refuses", what).Hint("name a token, or a private key, by secret:")
	case strings.Contains(text, "host key verification failed"):
		return fault.New(fault.Forbidden, "%s: the server's key is not known", what).Hint("give the server's line of known_hosts by options: {known_hosts: …}")
	case strings.Contains(text, "not found"), strings.Contains(text, "does not exist"), strings.Contains(text, "not appear to be a git repository"):
		return fault.New(fault.NotFound, "%s: there is no such repository", what)
	case strings.Contains(text, "proxy connect aborted"), strings.Contains(text, "response 403"):
		return fault.New(fault.Forbidden, "%s: the address is not public", what).Hint("an operator can allow the host, or its network, for this server")
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return fault.New(fault.Unavailable, "%s (git ended with status %d)", what, exit.ExitCode())
	}
	return fault.Wrap(err, fault.Unavailable, "%s", what)
}

// command is git with nothing of the machine's or of a user's configuration.
func (g *Git) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", append([]string{"--git-dir=" + g.repo}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + g.repo, "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=true", "GIT_NO_REPLACE_OBJECTS=1", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_LAZY_FETCH=1"}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}
