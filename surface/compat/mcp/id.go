package mcp

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// id names a version of a document: KNOWLEDGE/DOCUMENT@VERSION. Names of
// knowledge have no slash, and versions are 64 hexadecimal digits, so it is
// read back whatever the document is called.
type id struct {
	Knowledge, Document, Version string
}

// String writes the id.
func (i id) String() string {
	text := i.Knowledge + "/" + i.Document
	if i.Version != "" {
		text += "@" + i.Version
	}
	return text
}

const scheme = "source://"

// uri is the id as the address of a resource.
func (i id) uri() string {
	parts := strings.Split(i.String(), "/")
	for n, p := range parts {
		parts[n] = strings.ReplaceAll(url.PathEscape(p), "%40", "@")
	}
	return scheme + strings.Join(parts, "/")
}

// maxID bounds an id, in bytes.
const maxID = 8 << 10

// parseID reads an id, or the address of a resource.
func parseID(text string) (id, error) {
	bad := fault.New(fault.Invalid, "%.200q is no id of a document", text).Hint("use an id that search gave: KNOWLEDGE/DOCUMENT@VERSION")
	if len(text) > maxID {
		return id{}, bad
	}
	if escaped, ok := strings.CutPrefix(text, scheme); ok {
		plain, err := url.PathUnescape(escaped)
		if err != nil {
			return id{}, bad
		}
		text = plain
	}
	var i id
	var ok bool
	if i.Knowledge, i.Document, ok = strings.Cut(text, "/"); !ok || i.Knowledge == "" {
		return id{}, bad
	}
	if at := strings.LastIndexByte(i.Document, '@'); at >= 0 && isVersion(i.Document[at+1:]) {
		i.Document, i.Version = i.Document[:at], i.Document[at+1:]
	}
	if i.Document == "" {
		return id{}, bad
	}
	return i, nil
}

// isVersion tells whether a text is a SHA-256 in lower-case hexadecimal.
func isVersion(text string) bool {
	return len(text) == 64 && !strings.ContainsFunc(text, func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'f') })
}

// find reads an id that the caller may use; without a version it is that which
// is current.
func (x *exchange) find(ctx context.Context, text, version string) (id, error) {
	i, err := parseID(text)
	if err != nil {
		return i, err
	}
	if version != "" {
		if !isVersion(version) {
			return i, fault.New(fault.Invalid, "%.100q is no version of a document", version).Hint("a version is a SHA-256 in 64 hexadecimal digits")
		}
		i.Version = version
	}
	if !slices.Contains(x.knowledge, i.Knowledge) {
		return i, fault.New(fault.NotFound, "there is no document %q", i.String()).Hint("or you may not read it")
	}
	if i.Version != "" {
		return i, nil
	}
	versions, err := x.Texts.Versions(ctx, i.Knowledge, i.Document)
	if err != nil {
		return i, err
	}
	for _, v := range versions {
		if i.Version == "" || v.Current {
			i.Version = v.Version
		}
	}
	if i.Version == "" {
		return i, fault.New(fault.NotFound, "there is no document %q", i.String()).Hint("or you may not read it")
	}
	return i, nil
}
