package document

import (
	"bytes"
	"mime"
	"path"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// Format is what a source is read as.
type Format string

// The formats.
const (
	Markdown Format = "markdown"
	Text     Format = "text"
	Program  Format = "code"
	HTML     Format = "html"
	CSV      Format = "csv"
	JSON     Format = "json"
	JSONL    Format = "jsonl"
	PDF      Format = "pdf"
	DOCX     Format = "docx"
	PPTX     Format = "pptx"
	XLSX     Format = "xlsx"
	Mail     Format = "mail"
)

// office stands for a ZIP archive until its directory says what is in it.
const office Format = "office"

// sniffed is how many bytes of a source tell its format.
const sniffed = 4096

// FormatOf says what a source would be read as, from the first bytes of its
// content, its name and its media type, in this order of trust. An Office file
// is told by its name here and by its parts when it is read. The error is
// Unsupported and says what the content seems to be.
func FormatOf(head []byte, name, mediaType string) (Format, error) {
	format, err := sniff(head, name, mediaType)
	if format == office {
		format = byName(name)
		if format == "" {
			format = byMIME(mediaType)
		}
		switch format {
		case DOCX, PPTX, XLSX:
		default:
			return "", fault.New(fault.Unsupported, "a ZIP archive is not read as a document").Hint("unpack it and give the files in it")
		}
	}
	return format, err
}

func (j *job) format(head []byte) (Format, error) {
	format, err := sniff(head, j.src.Name, j.src.MIME)
	if err == nil && format == office {
		return j.officeFormat()
	}
	return format, err
}

func sniff(head []byte, name, mediaType string) (Format, error) {
	if bytes.Contains(head[:min(len(head), 1024)], []byte("%PDF-")) && !looksTextual(byName(name)) {
		return PDF, nil
	}
	if bytes.HasPrefix(head, []byte("PK\x03\x04")) {
		return office, nil
	}
	if what, hint := foreign(head); what != "" {
		return "", fault.New(fault.Unsupported, "%s is not read as a document", what).Hint("%s", hint)
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	if f := byName(name); isBinary(f) {
		return "", fault.New(fault.Invalid, "the file is named as %s, but its bytes are not", strings.ToUpper(string(f))).
			Hint("it may have been cut off, or an error page or a login page was saved under this name")
	} else if f != "" {
		return f, nil
	}
	if f := byMIME(mediaType); f != "" && f != Text && !isBinary(f) {
		return f, nil
	}
	switch {
	case beginsHTML(text):
		return HTML, nil
	case beginsMail(text):
		return Mail, nil
	case len(text) > 0 && (text[0] == '{' || text[0] == '['):
		return JSON, nil
	}
	return Text, nil
}

// looksTextual tells that a name is of a text that may well quote "%PDF-".
func looksTextual(f Format) bool { return f != "" && f != PDF }

func isBinary(f Format) bool { return f == PDF || f == DOCX || f == PPTX || f == XLSX }

// magics are beginnings of files that people put among documents and that are
// not read.
var magics = []struct{ magic, what, hint string }{
	{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office file that is encrypted or of the old binary formats (.doc, .xls, .ppt)", "remove its password, or save it as .docx, .xlsx or .pptx"},
	{"\x1f\x8b", "a gzip archive", "unpack it and give the files in it"},
	{"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and give the files in it"},
	{"Rar!\x1a\x07", "a RAR archive", "unpack it and give the files in it"},
	{"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it and give the files in it"},
	{"BZh", "a bzip2 archive", "unpack it and give the files in it"},
	{"\xfd7zXZ\x00", "an xz archive", "unpack it and give the files in it"},
	{"PK\x05\x06", "an empty ZIP archive", "give a file with content"},
	{"PK\x07\x08", "a split ZIP archive", "join its parts and unpack it"},
	{"\x89PNG\r\n", "an image", imageHint},
	{"\xff\xd8\xff", "an image", imageHint},
	{"GIF8", "an image", imageHint},
	{"II*\x00", "an image", imageHint},
	{"MM\x00*", "an image", imageHint},
	{"{\\rtf", "a Rich Text file", "save it as .docx"},
	{"\x7fELF", "a program", programHint},
	{"MZ\x90\x00", "a program", programHint},
	{"SQLite format 3\x00", "a SQLite database", "export its tables as CSV"},
	{"PAR1", "a Parquet file", "read it as a table, not as a document"},
}

const (
	imageHint   = "text in images is not recognised: give the text itself"
	programHint = "exclude it from the source"
)

// foreign tells a file that is not read by its first bytes. Beginnings that
// could be words count only where the rest is no text.
func foreign(head []byte) (what, hint string) {
	for _, m := range magics {
		words := !strings.ContainsFunc(m.magic, func(r rune) bool { return r < ' ' || r >= 0x7f }) && m.magic[0] != '{'
		if bytes.HasPrefix(head, []byte(m.magic)) && !(words && bytes.IndexByte(head, 0) < 0) {
			return m.what, m.hint
		}
	}
	return "", ""
}

var endings = map[string]Format{
	"md": Markdown, "markdown": Markdown, "mdown": Markdown, "mkd": Markdown, "mdx": Markdown,
	"txt": Text, "text": Text, "log": Text, "rst": Text, "adoc": Text, "asciidoc": Text, "org": Text, "tex": Text, "srt": Text, "vtt": Text,
	"html": HTML, "htm": HTML, "xhtml": HTML,
	"csv": CSV, "tsv": CSV, "tab": CSV,
	"json": JSON, "geojson": JSON, "jsonl": JSONL, "ndjson": JSONL,
	"pdf": PDF, "docx": DOCX, "docm": DOCX, "dotx": DOCX, "pptx": PPTX, "pptm": PPTX, "ppsx": PPTX, "xlsx": XLSX, "xlsm": XLSX,
	"eml": Mail,
	"go":  Program, "py": Program, "js": Program, "mjs": Program, "ts": Program, "tsx": Program, "jsx": Program, "java": Program, "kt": Program, "scala": Program,
	"c": Program, "h": Program, "cc": Program, "cpp": Program, "hpp": Program, "cs": Program, "rs": Program, "rb": Program, "php": Program, "swift": Program,
	"sh": Program, "bash": Program, "ps1": Program, "sql": Program, "r": Program, "lua": Program, "pl": Program, "proto": Program, "css": Program, "scss": Program,
	"yaml": Program, "yml": Program, "toml": Program, "ini": Program, "cfg": Program, "conf": Program, "properties": Program, "xml": Program, "xsd": Program,
	"tf": Program, "bicep": Program, "dockerfile": Program, "mod": Program, "gradle": Program, "vue": Program, "svelte": Program,
}

// byName tells a format by the ending of a path or URL; "" where it says
// nothing.
func byName(name string) Format {
	name, _, _ = strings.Cut(name, "?")
	name, _, _ = strings.Cut(name, "#")
	return endings[strings.ToLower(strings.TrimPrefix(path.Ext(name), "."))]
}

var mediaTypes = map[string]Format{
	"text/markdown": Markdown, "text/x-markdown": Markdown,
	"text/html": HTML, "application/xhtml+xml": HTML,
	"text/csv": CSV, "text/tab-separated-values": CSV,
	"application/json": JSON, "application/x-ndjson": JSONL, "application/jsonl": JSONL, "application/jsonlines": JSONL,
	"application/pdf": PDF,
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document":   DOCX,
	"application/vnd.openxmlformats-officedocument.presentationml.presentation": PPTX,
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":         XLSX,
	"message/rfc822": Mail,
	"text/plain":     Text,
}

func byMIME(mediaType string) Format {
	plain, _, err := mime.ParseMediaType(mediaType)
	if err != nil {
		return ""
	}
	if f, ok := mediaTypes[plain]; ok {
		return f
	}
	if strings.HasSuffix(plain, "+json") {
		return JSON
	}
	return ""
}

func beginsHTML(text []byte) bool {
	start := bytes.ToLower(text[:min(len(text), 512)])
	for bytes.HasPrefix(start, []byte("<!--")) || bytes.HasPrefix(start, []byte("<?xml")) {
		_, rest, ok := bytes.Cut(start, []byte(">"))
		if !ok {
			return false
		}
		start = bytes.TrimLeft(rest, " \t\r\n")
	}
	for _, tag := range []string{"<!doctype html", "<html", "<head", "<body"} {
		if bytes.HasPrefix(start, []byte(tag)) {
			return true
		}
	}
	return false
}

// mailHeaders are those that an e-mail on disk begins with.
var mailHeaders = []string{"return-path:", "received:", "delivered-to:", "mime-version:", "message-id:", "dkim-signature:", "x-original-to:"}

func beginsMail(text []byte) bool {
	start := bytes.ToLower(text[:min(len(text), 64)])
	for _, h := range mailHeaders {
		if bytes.HasPrefix(start, []byte(h)) {
			return true
		}
	}
	return false
}
