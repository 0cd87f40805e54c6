package mcp

import (
	"bytes"
	"cmp"
	"context"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/leat-ai/leat/base/fault"
	store "github.com/leat-ai/leat/flow/knowledge"
)

// Bounds of what is given of a text at once, in bytes.
const (
	maxFetch    = 256 << 10
	maxRead     = 64 << 10
	defaultRead = 16 << 10
	maxQuote    = 64 << 10
)

type fetchIn struct {
	ID string `json:"id" jsonschema:"of a document, as search gave it"`
}

type fetchOut struct {
	ID       string            `json:"id"`
	Title    string            `json:"title"`
	Text     string            `json:"text"`
	URL      string            `json:"url" jsonschema:"where a person reads it"`
	Metadata map[string]string `json:"metadata"`
}

// fetch returns a document as search named it.
func (x *exchange) fetch(ctx context.Context, in fetchIn) (fetchOut, error) {
	i, text, digest, err := x.text(ctx, in.ID, "")
	if err != nil {
		return fetchOut{Metadata: map[string]string{}}, err
	}
	out := fetchOut{ID: i.String(), Title: i.Document, URL: i.uri(), Metadata: map[string]string{
		"knowledge": i.Knowledge, "source": i.Document, "version": i.Version, "text_sha256": digest, "bytes": strconv.Itoa(len(text)),
	}}
	part := text[:floor(text, min(len(text), maxFetch))]
	out.Text = string(part)
	if len(part) < len(text) {
		out.Metadata["truncated"] = "read on with read_source from " + strconv.Itoa(len(part))
	}
	if len(part) == 0 {
		return out, nil
	}
	proof, err := x.Texts.Verify(ctx, store.Citation{Knowledge: i.Knowledge, Source: i.Document, Version: i.Version, Start: 0, End: len(part)})
	if err != nil {
		return out, err
	}
	out.Title, out.URL = cmp.Or(proof.Title, out.Title), cmp.Or(proof.URL, out.URL)
	out.Metadata["format"] = proof.Format
	out.Metadata["current"] = strconv.FormatBool(proof.Current)
	return out, nil
}

// text reads the text of a version.
func (x *exchange) text(ctx context.Context, name, version string) (id, []byte, string, error) {
	i, err := x.find(ctx, name, version)
	if err != nil {
		return i, nil, "", err
	}
	text, digest, err := x.Texts.Text(ctx, i.Knowledge, i.Document, i.Version)
	return i, text, digest, err
}

// floor is the place at or before a place where no character is cut.
func floor(text []byte, at int) int {
	for n := 0; n < utf8.UTFMax && at > 0 && at < len(text) && !utf8.RuneStart(text[at]); n++ {
		at--
	}
	return at
}

type readIn struct {
	ID      string `json:"id" jsonschema:"of a document, as search gave it"`
	Version string `json:"version,omitempty" jsonschema:"another version than the id has; the current one when neither says"`
	Start   int    `json:"start,omitempty" jsonschema:"from which byte of the text"`
	End     int    `json:"end,omitempty" jsonschema:"up to which byte; 16384 after start when absent, 65536 at most"`
}

type readOut struct {
	ID      string `json:"id"`
	Source  string `json:"source"`
	Version string `json:"version" jsonschema:"SHA-256 of the document"`
	Start   int    `json:"start" jsonschema:"where the text begins: never within a character"`
	End     int    `json:"end"`
	Bytes   int    `json:"bytes" jsonschema:"of the whole text"`
	SHA256  string `json:"text_sha256" jsonschema:"of the whole text"`
	Text    string `json:"text"`
}

// readSource returns a range of a text.
func (x *exchange) readSource(ctx context.Context, in readIn) (readOut, error) {
	i, text, digest, err := x.text(ctx, in.ID, in.Version)
	if err != nil {
		return readOut{}, err
	}
	end := in.End
	if end == 0 {
		end = min(in.Start+defaultRead, len(text))
	}
	if in.Start < 0 || end < in.Start || in.Start > len(text) {
		return readOut{}, fault.New(fault.Invalid, "the range %d to %d is none of a text of %d bytes", in.Start, end, len(text))
	}
	start := floor(text, in.Start)
	end = floor(text, min(end, len(text), start+maxRead))
	return readOut{ID: i.String(), Source: i.Document, Version: i.Version, Start: start, End: end, Bytes: len(text), SHA256: digest,
		Text: string(text[start:max(start, end)])}, nil
}

type verifyIn struct {
	ID      string `json:"id" jsonschema:"of a document, as search gave it"`
	Quote   string `json:"quote" jsonschema:"what is to stand there, byte for byte"`
	Version string `json:"version,omitempty" jsonschema:"another version than the id has; the current one when neither says"`
	Start   *int   `json:"start,omitempty" jsonschema:"where in the text it is to stand, in bytes; anywhere when absent"`
}

type verifyOut struct {
	Verified bool   `json:"verified" jsonschema:"the quote stands there byte for byte"`
	Reason   string `json:"reason,omitempty" jsonschema:"why it is not verified"`
	ID       string `json:"id"`
	Version  string `json:"version" jsonschema:"SHA-256 of the document"`
	Start    int    `json:"start" jsonschema:"where it stands first, in bytes of the text"`
	End      int    `json:"end"`
	Found    int    `json:"occurrences,omitempty" jsonschema:"how often it stands there; 100 are counted"`
	Current  bool   `json:"current" jsonschema:"the document has not changed since"`
	SHA256   string `json:"text_sha256" jsonschema:"of the whole text"`
	URL      string `json:"url,omitempty" jsonschema:"where a person reads it"`
}

// maxFound bounds how many places of a quote are counted.
const maxFound = 100

// verifyQuote tells whether a quote stands in a version.
func (x *exchange) verifyQuote(ctx context.Context, in verifyIn) (verifyOut, error) {
	switch {
	case in.Quote == "":
		return verifyOut{}, fault.New(fault.Invalid, "there is nothing to verify: the quote is empty")
	case len(in.Quote) > maxQuote:
		return verifyOut{}, fault.New(fault.TooLarge, "the quote has %d bytes; %d are taken", len(in.Quote), maxQuote)
	}
	i, text, digest, err := x.text(ctx, in.ID, in.Version)
	if err != nil {
		return verifyOut{}, err
	}
	out := verifyOut{ID: i.String(), Version: i.Version, SHA256: digest}
	quote := []byte(in.Quote)
	at := bytes.Index(text, quote)
	if in.Start != nil {
		if at = *in.Start; at < 0 || at > len(text) || !bytes.HasPrefix(text[at:], quote) {
			at = -1
		}
	}
	if at < 0 {
		out.Reason = "these bytes do not stand there: copy the quote from the text as it is, line breaks and spaces too"
		return out, nil
	}
	for rest := text; out.Found < maxFound; out.Found++ {
		next := bytes.Index(rest, quote)
		if next < 0 {
			break
		}
		rest = rest[next+1:]
	}
	proof, err := x.Texts.Verify(ctx, store.Citation{Knowledge: i.Knowledge, Source: i.Document, Version: i.Version, Start: at, End: at + len(quote), Quote: in.Quote})
	if err != nil {
		return verifyOut{}, err
	}
	out.Verified, out.Current, out.URL = proof.Verified, proof.Current, proof.URL
	out.Start, out.End = at, at+len(quote)
	return out, nil
}

// addResources adds the resource that every version of a document is.
func (x *exchange) addResources(s *sdk.Server) {
	if len(x.knowledge) == 0 {
		return
	}
	s.AddResourceTemplate(&sdk.ResourceTemplate{
		Name: "source", Title: "A version of a document", URITemplate: scheme + "{+id}", MIMEType: "text/plain",
		Description: "The text of a document, KNOWLEDGE/DOCUMENT@VERSION as search gives it; the current version without one.",
	}, func(ctx context.Context, r *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
		if !strings.HasPrefix(r.Params.URI, scheme) {
			return nil, x.noResource(r.Params.URI)
		}
		within, cancel := x.within(ctx)
		defer cancel()
		var i id
		var text []byte
		err := x.guarded("resource", func() (err error) {
			i, text, _, err = x.text(within, r.Params.URI, "")
			return err
		})
		switch {
		case fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid):
			return nil, x.noResource(r.Params.URI)
		case err != nil:
			return nil, told(err)
		case len(text) > maxFetch:
			text = text[:floor(text, maxFetch)]
		}
		return &sdk.ReadResourceResult{Contents: []*sdk.ResourceContents{{URI: i.uri(), MIMEType: "text/plain", Text: string(text)}}}, nil
	})
}

// codeNoResource is what revisions before the stateless one have for a resource
// that is not there.
const codeNoResource = -32002

func (x *exchange) noResource(uri string) error {
	if x.stateless {
		return sdk.ResourceNotFoundError(uri)
	}
	return &jsonrpc.Error{Code: codeNoResource, Message: "there is no such resource, or you may not read it"}
}
