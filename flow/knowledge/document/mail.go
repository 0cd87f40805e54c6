package document

import (
	"bufio"
	"context"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
	"time"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/transform"

	"github.com/leat-ai/leat/base/fault"
)

// The bounds of an e-mail: of parts within parts, and of a head.
const (
	deepParts   = 16
	longestHead = 1 << 20
)

// mail renders an e-mail: its subject, who wrote to whom and when, the message
// (as plain text where it has that, else as HTML), messages within it, and the
// names of what is attached.
func (j *job) mail() (Document, error) {
	m := &mailReader{job: j, w: j.writer(), meta: map[string]string{}}
	if err := m.message(j.section(), 0); err != nil {
		return Document{}, err
	}
	if len(m.attached) > 0 {
		if err := m.w.add(Block{Kind: List}, strings.Join(m.attached, "\n")); err != nil {
			return Document{}, err
		}
	}
	doc := m.w.document()
	doc.Meta, doc.Title, doc.Language = m.meta, m.meta["subject"], m.meta["language"]
	return doc, nil
}

type mailReader struct {
	*job
	w        *writer
	meta     map[string]string
	attached []string
	parts    int
}

// headReader bounds the lines of a head; the body after it has no such bound.
type headReader struct {
	r    io.Reader
	left int
}

func (h *headReader) Read(p []byte) (int, error) {
	if h.left == 0 {
		return 0, fault.New(fault.TooLarge, "the head of the e-mail has more than %d bytes", longestHead)
	}
	if h.left > 0 && len(p) > h.left {
		p = p[:h.left]
	}
	n, err := h.r.Read(p)
	if h.left > 0 {
		h.left -= n
	}
	return n, err
}

// message renders a message, which may stand within another.
func (m *mailReader) message(r io.Reader, depth int) error {
	bound := &headReader{r: r, left: longestHead}
	body := bufio.NewReader(bound)
	// Some mailboxes begin a message with a line "From sender date".
	if start, err := body.Peek(5); err == nil && string(start) == "From " {
		if _, err := body.ReadString('\n'); err != nil {
			return fault.New(fault.Invalid, "the file is not an e-mail")
		}
	}
	msg, err := mail.ReadMessage(body)
	if err != nil {
		if fault.KindOf(err) == fault.TooLarge {
			return err
		}
		return fault.New(fault.Invalid, "the file is not an e-mail: its head is broken").Because(err)
	}
	bound.left = -1
	header := textproto.MIMEHeader(msg.Header)
	if err := m.head(header, depth); err != nil {
		return err
	}
	return m.part(header, msg.Body, depth)
}

var words = mime.WordDecoder{CharsetReader: func(label string, r io.Reader) (io.Reader, error) { return charset.NewReaderLabel(label, r) }}

func headerText(h textproto.MIMEHeader, key string) string {
	raw := h.Get(key)
	text, err := words.DecodeHeader(raw)
	if err != nil {
		text = raw
	}
	return oneLine(clean(text), 2000)
}

// head renders who wrote what to whom.
func (m *mailReader) head(h textproto.MIMEHeader, depth int) error {
	var lines []string
	for _, key := range []string{"From", "To", "Cc", "Date"} {
		v := headerText(h, key)
		if v == "" {
			continue
		}
		lines = append(lines, key+": "+v)
		if depth > 0 {
			continue
		}
		if key == "Date" {
			if at, err := mail.ParseDate(v); err == nil {
				v = at.UTC().Format(time.RFC3339)
			}
		}
		m.meta[strings.ToLower(key)] = v
	}
	subject := headerText(h, "Subject")
	if depth == 0 {
		if subject != "" {
			m.meta["subject"] = subject
		}
		if v := headerText(h, "Content-Language"); v != "" {
			m.meta["language"] = v
		}
	}
	if err := m.w.add(Block{Kind: Heading, Level: min(depth+1, 6)}, subject); err != nil {
		return err
	}
	return m.w.add(Block{Kind: Paragraph}, strings.Join(lines, "\n"))
}

// part renders a part of a message by its type.
func (m *mailReader) part(h textproto.MIMEHeader, body io.Reader, depth int) error {
	if m.parts++; m.parts > m.limits.Entries {
		return fault.New(fault.TooLarge, "the e-mail has more than %d parts", m.limits.Entries)
	}
	mediaType, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || mediaType == "" {
		mediaType, params = "text/plain", map[string]string{}
	}
	disposition, names, err := mime.ParseMediaType(h.Get("Content-Disposition"))
	if err != nil {
		names = map[string]string{}
	}
	name := names["filename"]
	if name == "" {
		name = params["name"]
	}
	if strings.HasPrefix(mediaType, "multipart/") {
		return m.multipart(mediaType, params["boundary"], body, depth)
	}
	decoded := &lenient{ctx: m.ctx, r: transfer(h.Get("Content-Transfer-Encoding"), body)}
	switch {
	case disposition == "attachment" || name != "" && !strings.HasPrefix(mediaType, "text/"):
		return m.attach(name, mediaType, decoded)
	case mediaType == "message/rfc822" && depth < deepParts:
		return m.message(decoded, depth+1)
	case mediaType == "text/html":
		h := &htmlReader{w: m.w, meta: map[string]string{}, main: -1}
		return h.read(inCharset(decoded, params["charset"]))
	case mediaType == "text/plain":
		return m.plainText(inCharset(decoded, params["charset"]))
	case strings.HasPrefix(mediaType, "text/"):
		return m.attach(name, mediaType, decoded)
	}
	return m.attach(name, mediaType, decoded)
}

// multipart renders the parts; of alternatives, the plain text where there is
// one, else the last that can be read.
func (m *mailReader) multipart(mediaType, boundary string, body io.Reader, depth int) error {
	if boundary == "" || depth >= deepParts {
		return fault.New(fault.Invalid, "the parts of the e-mail are broken or nest deeper than %d", deepParts)
	}
	parts := multipart.NewReader(body, boundary)
	chosen := false
	for {
		p, err := parts.NextRawPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return m.ctx.Err() // what came before the break is read
		}
		if mediaType == "multipart/alternative" {
			if chosen || !m.takes(p.Header) {
				continue
			}
			chosen = true
		}
		if err := m.part(p.Header, p, depth+1); err != nil {
			return err
		}
	}
}

// takes tells alternatives that are rendered: plain text comes first in e-mails
// that have it, and before HTML.
func (m *mailReader) takes(h textproto.MIMEHeader) bool {
	mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err != nil || mediaType == "text/plain" || mediaType == "text/html" || strings.HasPrefix(mediaType, "multipart/")
}

// attach lists a part that is not rendered.
func (m *mailReader) attach(name, mediaType string, body io.Reader) error {
	size, err := io.Copy(io.Discard, body)
	if err != nil && m.ctx.Err() != nil {
		return m.ctx.Err()
	}
	if decoded, err := words.DecodeHeader(name); err == nil {
		name = decoded
	}
	if name = oneLine(clean(name), 300); name == "" {
		name = "without a name"
	}
	m.attached = append(m.attached, "- "+name+" ("+oneLine(clean(mediaType), 100)+", "+itoa(int(size))+" bytes)")
	return nil
}

// lenient ends where its source breaks: what came before is still text. The end
// of the context stays an error.
type lenient struct {
	ctx context.Context
	r   io.Reader
}

func (l *lenient) Read(p []byte) (int, error) {
	if err := l.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := l.r.Read(p)
	if err != nil && fault.KindOf(err) != fault.TooLarge {
		err = io.EOF
	}
	return n, err
}

func transfer(encoding string, body io.Reader) io.Reader {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, &base64Body{r: body})
	case "quoted-printable":
		return quotedprintable.NewReader(body)
	}
	return body
}

// base64Body leaves out what is not of the alphabet, as e-mails have it.
type base64Body struct{ r io.Reader }

func (b *base64Body) Read(p []byte) (int, error) {
	for {
		n, err := b.r.Read(p)
		kept := 0
		for _, c := range p[:n] {
			if isLetter(c) || c >= '0' && c <= '9' || c == '+' || c == '/' || c == '=' {
				p[kept] = c
				kept++
			}
		}
		if kept > 0 || err != nil {
			return kept, err
		}
	}
}

func inCharset(r io.Reader, label string) io.Reader {
	if e, name := charset.Lookup(label); e != nil && name != "utf-8" && name != "replacement" {
		return transform.NewReader(r, e.NewDecoder())
	}
	return r
}

// plainText renders paragraphs; lines that begin with ">" are quoted.
func (m *mailReader) plainText(r io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(r, int64(m.limits.Text)+1))
	if len(text) > m.limits.Text {
		return m.w.over("the text has more than %d bytes", m.limits.Text)
	}
	if err != nil && m.ctx.Err() != nil {
		return m.ctx.Err()
	}
	for _, b := range paragraphs(text, Paragraph) {
		part := string(text[b.Start:b.End])
		if part[0] == '>' {
			b.Kind = Quote
		}
		if err := m.w.add(Block{Kind: b.Kind}, part); err != nil {
			return err
		}
	}
	return nil
}
