package document

import (
	"bytes"
	"mime"
	"unicode/utf8"

	"golang.org/x/net/html/charset"

	"github.com/leat-ai/leat/base/fault"
)

// decoded is the text of a source, and whether it is the source itself.
type decoded struct {
	text     []byte
	verbatim bool
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// decode finds out the encoding of a text. UTF-8 stays as it is, its byte
// order mark too; UTF-16 is told by its mark or by its zero bytes, anything
// else by the charset that a server named. Without one, text that is UTF-8 but
// for a few places gets U+FFFD there, and the rest is taken for Windows-1252,
// which has a character for every byte: a wrong guess gives wrong letters,
// never an error.
func decode(raw []byte, mediaType string, most int) (decoded, error) {
	if label := utf16Label(raw); label != "" {
		return transcode(raw, label, most)
	}
	if bytes.IndexByte(raw[:min(len(raw), 1<<16)], 0) >= 0 {
		return decoded{}, fault.New(fault.Unsupported, "the source is neither text nor a format that is read").
			Hint("exclude it, or give it an ending that says what it is")
	}
	if utf8.Valid(raw) {
		return decoded{text: raw, verbatim: true}, nil
	}
	if _, params, err := mime.ParseMediaType(mediaType); err == nil && params["charset"] != "" {
		return transcode(raw, params["charset"], most)
	}
	return transcode(raw, guess(raw), most)
}

func utf16Label(raw []byte) string {
	switch {
	case bytes.HasPrefix(raw, []byte("\xff\xfe")):
		return "utf-16le"
	case bytes.HasPrefix(raw, []byte("\xfe\xff")):
		return "utf-16be"
	}
	// Text of mostly Latin letters without a mark: every second byte is zero.
	var zero [2]int
	n := min(len(raw), 1024)
	for i, c := range raw[:n] {
		if c == 0 {
			zero[i%2]++
		}
	}
	switch {
	case n < 8:
	case zero[1] > n*2/5 && zero[0] == 0:
		return "utf-16le"
	case zero[0] > n*2/5 && zero[1] == 0:
		return "utf-16be"
	}
	return ""
}

// guess tells broken UTF-8 from another encoding by what goes wrong more
// often: characters of several bytes that are right, or bytes that are not.
func guess(raw []byte) string {
	var right, wrong int
	for rest := raw; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && n == 1:
			wrong++
		case n > 1:
			right++
		}
		rest = rest[n:]
	}
	if right > 4*wrong {
		return "utf-8"
	}
	return "windows-1252"
}

// transcode renders text of a named encoding; one that is not known is guessed.
func transcode(raw []byte, label string, most int) (decoded, error) {
	e, name := charset.Lookup(label)
	if e == nil || name == "replacement" {
		e, name = charset.Lookup(guess(raw))
	}
	if name == "utf-8" {
		return bounded(bytes.ToValidUTF8(raw, []byte("\uFFFD")), most)
	}
	text, err := e.NewDecoder().Bytes(raw)
	if err != nil {
		return decoded{}, fault.Wrap(err, fault.Invalid, "the text is not %s", name)
	}
	// A zero byte in a wrong guess would end strings in some databases.
	text = bytes.ReplaceAll(bytes.TrimPrefix(text, byteOrderMark), []byte{0}, []byte("\uFFFD"))
	return bounded(bytes.ToValidUTF8(text, []byte("\uFFFD")), most)
}

func bounded(text []byte, most int) (decoded, error) {
	if len(text) > most {
		return decoded{}, fault.New(fault.TooLarge, "the text has %d bytes as UTF-8; at most %d are read", len(text), most)
	}
	return decoded{text: text}, nil
}
