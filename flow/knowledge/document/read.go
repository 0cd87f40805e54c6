package document

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// job is the reading of one source.
type job struct {
	ctx    context.Context
	src    Source
	limits Limits
	opened *officeFile // by the look at what an archive is
}

// readers are the readers of the formats. A reader gets the source, or, where
// the format is text, the decoded text as well.
var readers = map[Format]func(*job) (Document, error){
	HTML: (*job).html,
	PDF:  (*job).pdf,
	DOCX: (*job).docx,
	PPTX: (*job).pptx,
	XLSX: (*job).xlsx,
	Mail: (*job).mail,
}

// textReaders are the readers of formats whose text is the source itself: they
// only find blocks.
var textReaders = map[Format]func(*job, decoded) (Document, error){
	Markdown: (*job).markdown,
	CSV:      (*job).csv,
	JSON:     (*job).json,
	JSONL:    (*job).jsonl,
	Program:  (*job).code,
	Text:     (*job).plain,
}

func read(ctx context.Context, src Source, limits Limits) (doc Document, err error) {
	j := &job{ctx: ctx, src: src, limits: limits.orDefault()}
	defer func() {
		if r := recover(); r != nil {
			doc, err = Document{}, fault.New(fault.Invalid, "the document cannot be read: its bytes confuse the reader").
				Hint("open it in the program that wrote it and save it again")
		}
		err = j.located(err)
	}()
	if src.Size < 0 || src.Size > j.limits.Source {
		return Document{}, fault.New(fault.TooLarge, "the source has %d bytes; at most %d are read", src.Size, j.limits.Source)
	}
	head := make([]byte, min(src.Size, sniffed))
	if _, err := io.ReadFull(j.section(), head); err != nil {
		return Document{}, fault.Wrap(err, fault.Unavailable, "the source cannot be read")
	}
	format, err := j.format(head)
	if err != nil {
		return Document{}, err
	}
	if doc, err = j.as(format); err != nil {
		return Document{}, err
	}
	doc.Format = format
	doc.Title = oneLine(doc.Title, longestTitle)
	if doc.Title == "" {
		doc.Title = firstHeading(doc)
	}
	if doc.Title == "" {
		doc.Title = stem(src.Name)
	}
	return doc, ctx.Err()
}

func (j *job) as(format Format) (Document, error) {
	if r, ok := readers[format]; ok {
		return r(j)
	}
	text, err := j.text()
	if err != nil {
		return Document{}, err
	}
	return textReaders[format](j, text)
}

// text reads the whole source as text; what it holds is bounded beforehand.
func (j *job) text() (decoded, error) {
	if j.src.Size > int64(j.limits.Text) {
		return decoded{}, fault.New(fault.TooLarge, "the text has %d bytes; at most %d are read", j.src.Size, j.limits.Text).
			Hint("split it, or raise the limit of text")
	}
	raw := make([]byte, j.src.Size)
	if _, err := io.ReadFull(j.section(), raw); err != nil {
		return decoded{}, fault.Wrap(err, fault.Unavailable, "the source cannot be read")
	}
	return decode(raw, j.src.MIME, j.limits.Text)
}

func (j *job) section() *io.SectionReader { return io.NewSectionReader(j.src.Body, 0, j.src.Size) }

// located says of which source an error is, and turns the end of the context
// into its kind.
func (j *job) located(err error) error {
	if err == nil {
		return nil
	}
	if ctx := j.ctx.Err(); ctx != nil {
		kind := fault.Canceled
		if errors.Is(ctx, context.DeadlineExceeded) {
			kind = fault.Timeout
		}
		return fault.Wrap(ctx, kind, "reading %s was ended", j.src.Name)
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		return fault.Wrap(err, fault.Invalid, "%s cannot be read", j.src.Name)
	}
	if f.Where == "" {
		f.Where = j.src.Name
	} else {
		f.Where = j.src.Name + ": " + f.Where
	}
	return err
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	for _, f := range []struct{ v, d *int }{{&l.Text, &d.Text}, {&l.Entries, &d.Entries}, {&l.Pages, &d.Pages}, {&l.Blocks, &d.Blocks}, {&l.Depth, &d.Depth}} {
		if *f.v <= 0 {
			*f.v = *f.d
		}
	}
	for _, f := range []struct{ v, d *int64 }{{&l.Source, &d.Source}, {&l.Unpack, &d.Unpack}} {
		if *f.v <= 0 {
			*f.v = *f.d
		}
	}
	return l
}

const longestTitle = 300

func firstHeading(doc Document) string {
	for _, b := range doc.Blocks {
		if b.Kind == Heading {
			return oneLine(Plain(doc.Format, doc.Text[b.Start:b.End]), longestTitle)
		}
	}
	return ""
}

// stem is the last part of a name without its ending.
func stem(name string) string {
	name, _, _ = strings.Cut(name, "?")
	name = path.Base(strings.ReplaceAll(strings.TrimRight(name, "/"), `\`, "/"))
	return strings.TrimSuffix(name, path.Ext(name))
}

// oneLine folds space and cuts between characters.
func oneLine(s string, most int) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= most {
		return s
	}
	return string(bytes.ToValidUTF8([]byte(s[:most]), nil))
}
