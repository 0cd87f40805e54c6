package blob

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/fault"
)

const maxName = 900 // Azure takes 1024 characters and S3 1024 bytes, some of which the clients' escapes may need

// CheckName refuses what is not the name of an object: a slash-separated path
// without empty, "." or ".." elements, backslashes or control characters, and
// without any of these behind one or more layers of percent escapes.
func CheckName(name string) error {
	if name == "" {
		return refuse(name, "is empty")
	}
	return check(name, false)
}

// CheckPrefix refuses what cannot be the beginning of a name. The empty
// prefix is fine, as is one that ends with a slash.
func CheckPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	return check(prefix, true)
}

func check(name string, prefix bool) error {
	if len(name) > maxName {
		return fault.New(fault.Invalid, "the name of an object has %d bytes; %d is the most", len(name), maxName)
	}
	for decoded := name; ; {
		if why := mistake(decoded, prefix); why != "" {
			return refuse(name, why)
		}
		next, err := url.PathUnescape(decoded)
		if err != nil || next == decoded { // not an escape, or no layer left; each layer is shorter, so this ends
			return nil
		}
		decoded = next
	}
}

func refuse(name, why string) error {
	return fault.New(fault.Invalid, "%q is not the name of an object: it %s", name, why).
		Hint("use a path such as models/fraud/model.bin")
}

// mistake says what is wrong with a name, or "".
func mistake(name string, prefix bool) string {
	switch {
	case !utf8.ValidString(name):
		return "is not UTF-8"
	case strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return "holds a control character"
	case strings.Contains(name, `\`):
		return "holds a backslash"
	case strings.Contains(name, "__0x"):
		return "holds __0x, which the cloud client uses for its escapes"
	}
	if prefix {
		name = strings.TrimSuffix(name, "/")
	}
	for element := range strings.SplitSeq(name, "/") {
		switch {
		case element == "":
			return "has an empty element"
		case element == "." || element == "..":
			return "has the element " + element
		case len(element) > 255:
			return "has an element of more than 255 bytes"
		}
	}
	return ""
}
