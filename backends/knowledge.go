package backends

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/knowledge/source"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/spec"
)

// KnowledgeSources opens where documents of a Knowledge come from.
type KnowledgeSources struct {
	// Policy says whom sources may ask.
	Policy egress.Policy
	// Secret resolves a reference to a secret.
	Secret func(ctx context.Context, reference string) (string, error)
	// Root is the project's folder, beneath which files are.
	Root string
	// Folder is where checkouts are kept.
	Folder string
	// Lake has the tables of lake://.
	Lake *lake.Lake
}

// Source opens one source of a knowledge.
func (k KnowledgeSources) Source(ctx context.Context, knowledge string, s spec.KnowledgeSource) (source.Source, error) {
	names := source.Names{Include: s.Include, Exclude: s.Exclude}
	secret := ""
	if s.Secret != "" {
		var err error
		if secret, err = k.Secret(ctx, s.Secret); err != nil {
			return nil, err
		}
	}
	scheme := spec.Scheme(s.From)
	switch scheme {
	case "":
		return source.OpenFolder(k.Root, s.From, names)
	case "s3", "azblob":
		root, _ := source.SplitBucket(s.From)
		bucket, err := cloudBucket(ctx, root, secret, s.Options)
		if err != nil {
			return nil, err
		}
		return source.NewBucket(bucket, s.From, names), nil
	case "https", "http":
		return k.web(s, names, secret)
	case "postgres", "postgresql":
		database := Databases()["postgres"]
		return source.NewQuery(s.From, s.Query, rowColumns(s), textType(s), func(ctx context.Context, sql string) (frame.Reader, error) {
			return database.Query(ctx, s.From, secret, sql)
		}), nil
	case "lake":
		return k.table(s), nil
	}
	if strings.HasPrefix(scheme, "git+") {
		return source.NewGit(source.GitConfig{From: s.From, Path: s.Path, Names: names, Secret: secret, KnownHosts: s.Options["known_hosts"],
			Policy: k.Policy, Root: k.Root, Folder: filepath.Join(k.Folder, knowledge)})
	}
	return nil, fault.New(fault.Unsupported, "documents are not read from %s://", scheme)
}

func (k KnowledgeSources) web(s spec.KnowledgeSource, names source.Names, secret string) (source.Source, error) {
	c := source.WebConfig{From: s.From, Pages: s.Pages, Names: names, Secret: secret, Policy: k.Policy}
	if pace := s.Options["pace"]; pace != "" {
		var err error
		if c.Pace, err = time.ParseDuration(pace); err != nil || c.Pace < 0 {
			return nil, fault.New(fault.Invalid, "the pace %q is no length of time", pace).Hint("write options: {pace: 500ms}")
		}
	}
	return source.NewWeb(c)
}

func rowColumns(s spec.KnowledgeSource) source.RowColumns {
	return source.RowColumns{ID: s.ID, Title: s.Title, URL: s.URL, Readers: s.ReadersFrom, Changed: s.Changed, Text: s.Text}
}

// textType is what the text of rows is: options: {format: markdown} or html.
func textType(s spec.KnowledgeSource) string {
	if format := s.Options["format"]; format != "" {
		return "text/" + format
	}
	return ""
}

// table makes documents of the rows of a lake table; its snapshot tells whether
// anything has changed.
func (k KnowledgeSources) table(s spec.KnowledgeSource) source.Source {
	return source.Rows{RowColumns: rowColumns(s), Base: s.From, MIME: textType(s), Read: func(ctx context.Context, since string) (frame.Reader, string, error) {
		t, err := k.Lake.Table(ctx, strings.TrimPrefix(s.From, "lake://"))
		if err != nil {
			return nil, "", err
		}
		now := strconv.FormatInt(t.Snapshot(), 10)
		if now == since {
			return nil, "", source.ErrSame
		}
		rows, err := t.Scan(ctx, lake.ScanOptions{})
		return rows, now, err
	}}
}
