package https

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/ingest"
)

// body is the content of a file, read to its end over as many answers as it
// takes.
type body struct {
	ctx    context.Context
	fetch  fetch
	tag    string    // the answers must have this entity tag; "" for any
	since  string    // Last-Modified of the first answer, where there is no tag
	digest string    // SHA-256 of the content, in hex; "" when not known
	hash   hash.Hash // of what was read
	size   int64     // or -1
	at     int64     // bytes read
	now    io.ReadCloser
	failed int // attempts since the last byte
	err    error
}

func open(ctx context.Context, f fetch, o ingest.Object) (io.ReadCloser, error) {
	b := &body{ctx: ctx, fetch: f, size: o.Size, hash: sha256.New()}
	if strings.HasPrefix(o.Digest, `"`) {
		b.tag = o.Digest
	} else {
		b.digest = o.Digest
	}
	answer, err := f.ask(ctx, http.MethodGet, nil)
	if err != nil {
		return nil, err
	}
	if err := f.check(answer); err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		_ = answer.Body.Close() // it is not the whole file
		return nil, fault.New(fault.Unavailable, "%q answers with a part of %q", f.address.Hostname(), f.address.Path)
	}
	if err := b.same(answer); err != nil {
		_ = answer.Body.Close() // it is another file
		return nil, err
	}
	if b.size < 0 {
		b.size = answer.ContentLength
	}
	b.since = answer.Header.Get("Last-Modified")
	b.now = answer.Body
	return b, nil
}

// same tells whether an answer is about the file that was listed.
func (b *body) same(answer *http.Response) error {
	tag, size := strongTag(answer), sizeOf(answer)
	if b.tag != "" && tag != "" && tag != b.tag || b.size >= 0 && size >= 0 && size != b.size {
		return b.changed()
	}
	return nil
}

func (b *body) changed() error {
	return fault.New(fault.Conflict, "%q changed on %q while it was being read", b.fetch.address.Path, b.fetch.address.Hostname()).
		Hint("nothing was taken in; run the ingest again when its writer is done")
}

// Read reads on, through answers that break.
func (b *body) Read(p []byte) (int, error) {
	for {
		if b.err != nil {
			return 0, b.err
		}
		if b.now == nil {
			b.err = b.resume()
			continue
		}
		n, err := b.now.Read(p)
		b.hash.Write(p[:n])
		b.at += int64(n)
		if n > 0 {
			b.failed = 0
		}
		switch {
		case b.size >= 0 && b.at > b.size:
			b.err = b.changed()
			return 0, b.err
		case errors.Is(err, io.EOF) && (b.size < 0 || b.at == b.size):
			b.err = b.complete()
		case err != nil:
			b.err = b.broken(err)
		}
		if n > 0 {
			return n, nil
		}
	}
}

// complete checks what was read as a whole.
func (b *body) complete() error {
	if b.digest != "" && hex.EncodeToString(b.hash.Sum(nil)) != b.digest {
		return b.changed()
	}
	return io.EOF
}

// broken drops an answer that ended too early; nil when it is worth to go on.
func (b *body) broken(cause error) error {
	_ = b.now.Close() // it failed already
	b.now = nil
	if err := b.ctx.Err(); err != nil {
		return err
	}
	if fault.KindOf(cause) == fault.TooLarge {
		return cause
	}
	b.failed++
	if b.failed > b.fetch.sources.attempts || b.tag == "" && b.since == "" && b.digest == "" {
		return b.cut(cause)
	}
	pause := b.fetch.sources.wait << min(b.failed-1, 6)
	select {
	case <-b.ctx.Done():
		return b.ctx.Err()
	case <-time.After(pause/2 + rand.N(pause)):
		return nil
	}
}

func (b *body) cut(cause error) error {
	of := ""
	if b.size >= 0 {
		of = fmt.Sprintf(" of %d", b.size)
	}
	return fault.New(fault.Unavailable, "%q was cut off after %d%s bytes", b.fetch.address.Path, b.at, of).
		Hint("nothing was taken in; the run can be retried").Because(cause)
}

// resume asks for the rest.
func (b *body) resume() error {
	header := http.Header{"Range": {fmt.Sprintf("bytes=%d-", b.at)}}
	switch {
	case b.tag != "":
		header.Set("If-Range", b.tag)
	case b.digest == "":
		header.Set("If-Range", b.since)
	}
	answer, err := b.fetch.ask(b.ctx, http.MethodGet, header)
	if err != nil {
		return b.later(err)
	}
	b.now = answer.Body
	if answer.StatusCode == http.StatusRequestedRangeNotSatisfiable && total(answer) == b.at {
		return b.complete() // there is no more: only that was lost
	}
	if err := b.fetch.check(answer); err != nil {
		return b.later(err)
	}
	if err := b.same(answer); err != nil {
		return err
	}
	if answer.StatusCode == http.StatusPartialContent {
		if start(answer) != b.at {
			return b.cut(fmt.Errorf("the server answers with another range"))
		}
		return nil
	}
	// The whole file again: without a tag or a hash, it may be another one.
	if b.digest == "" && (b.tag == "" || strongTag(answer) != b.tag) {
		return b.changed()
	}
	if _, err := io.CopyN(io.Discard, answer.Body, b.at); err != nil {
		return b.broken(err)
	}
	return nil
}

// later counts an answer that is not to be had yet as one more failure.
func (b *body) later(err error) error {
	if !fault.KindOf(err).Retryable() {
		return err
	}
	b.now = io.NopCloser(strings.NewReader(""))
	return b.broken(err)
}

// Close ends the reading.
func (b *body) Close() error {
	if b.err == nil {
		b.err = fault.New(fault.Internal, "a closed file is read")
	}
	if b.now == nil {
		return nil
	}
	return b.now.Close()
}
