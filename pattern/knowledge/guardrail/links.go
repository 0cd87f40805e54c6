package guardrail

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// inline is a link or image of Markdown with its target, however it is spaced
// or broken into lines; reference is one by name.
var (
	inline    = regexp.MustCompile(`(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\s?\(\s*(<[^>\n]*>|(?:\\.|[^\s()\\]|\([^\s()]*\))*)(?:\s+(?:"[^"]*"|'[^']*'|\([^()]*\)))?\s*\)`)
	reference = regexp.MustCompile(`(!?)\[([^\[\]\n]+)\]\s?\[([^\[\]\n]*)\]`)
	image     = regexp.MustCompile(`!\[([^\[\]\n]*)\]`)
	number    = regexp.MustCompile(`^\d{1,3}$`)
	angled    = regexp.MustCompile(`<([^<>\s]+)>`)
)

// An allowed link of Markdown on its way through the other steps, in
// characters that visible leaves out of everything else.
const (
	linkOpen, linkMiddle, linkClose = "\x00", "\x01", "\x02"
)

func restored(text string) string {
	return strings.NewReplacer(linkOpen, "[", linkMiddle, "](", linkClose, ")").Replace(text)
}

// links takes out every link that is not allowed.
func (f *Filter) links(text string) string {
	text = f.markdown(text)
	var b strings.Builder
	last := 0
	for _, m := range spans(text) {
		start, end := m[0], m[1]
		if start < last {
			continue
		}
		b.WriteString(text[last:start])
		found, tail := bareAddress(text[start:end])
		switch {
		case f.allowed[found]:
			b.WriteString(found)
			if rest := tail + text[end:]; rest != "" && !ends(rest) {
				b.WriteByte(' ')
			}
		case f.isKnown(found):
			b.WriteString(strings.NewReplacer("@", " [at] ", ".", "[.]").Replace(found))
		default:
			b.WriteString(harmless(found))
		}
		b.WriteString(tail)
		last = end
	}
	b.WriteString(text[last:])
	return b.String()
}

// bareAddress takes the punctuation of the sentence off an address.
func bareAddress(found string) (address, tail string) {
	end := len(strings.TrimRight(found, ".,;:!?*_)]}\"'»”’"+linkOpen+linkMiddle+linkClose))
	return found[:end], found[end:]
}

// ends tells whether an address before some text ends there for every reader.
func ends(rest string) bool {
	if strings.IndexAny(rest[:1], " \n\t"+linkMiddle+linkClose) == 0 {
		return true
	}
	r, n := utf8.DecodeRuneInString(rest)
	return strings.ContainsRune(".,;:!?)", r) && (len(rest) == n || unicode.IsSpace(rune(rest[n])))
}

func (f *Filter) isKnown(address string) bool {
	return mail.FindString(address) == address && slices.ContainsFunc(f.known, func(known string) bool { return strings.Contains(known, address) })
}

// markdown resolves links of Markdown: those that are allowed stay, of others
// and of every image the words stay.
func (f *Filter) markdown(text string) string {
	text = angled.ReplaceAllStringFunc(text, func(link string) string {
		if inside := link[1 : len(link)-1]; len(spans(inside)) > 0 {
			return inside
		}
		return link
	})
	for range maxRounds { // a link's words may hold another
		next := inline.ReplaceAllStringFunc(text, func(link string) string {
			m := inline.FindStringSubmatch(link)
			target := strings.Trim(m[3], "<>")
			if m[1] == "" && f.allowed[target] && !strings.ContainsAny(m[2], "[]!<>\\\n"+linkOpen) && (m[2] == target || len(spans(m[2])) == 0) {
				return linkOpen + m[2] + linkMiddle + target + linkClose
			}
			return m[2]
		})
		if next == text {
			break
		}
		text = next
	}
	text = reference.ReplaceAllStringFunc(text, func(link string) string {
		m := reference.FindStringSubmatch(link)
		if m[1] == "" && number.MatchString(m[2]) && number.MatchString(m[3]) {
			return link // two citations
		}
		return m[2]
	})
	return image.ReplaceAllString(text, "$1")
}

// harmless is what is said in place of an address: its host, with the dots in
// brackets, where that is a plain one, and of an address that no program
// follows by itself (s3://bucket/key) what stands behind its scheme.
func harmless(found string) string {
	plain, _ := skeleton(found)
	if plain != found {
		return Gone
	}
	name := strings.TrimLeft(found, "\\/ (\"\n\t")
	lead := found[:len(found)-len(strings.TrimLeft(found, " (\"\n\t"))]
	if before, after, ok := strings.Cut(name, "://"); ok && !active.MatchString(before) {
		if quiet.MatchString(after) {
			return lead + before + ": " + after
		}
		return lead + Gone
	}
	host := plainHost.FindString(afterScheme(name))
	if host == "" || strings.Contains(host, "xn--") || len(host) > 80 || strings.Count(host, ".") > 3 {
		return lead + Gone
	}
	return lead + strings.ReplaceAll(host, ".", "[.]")
}

var (
	plainHost = regexp.MustCompile(`(?i)^(?:[a-z0-9][a-z0-9-]*\.)+[a-z]{2,24}`)
	quiet     = regexp.MustCompile(`^[A-Za-z0-9_-]+(?:/[A-Za-z0-9_*-]+(?:\.[a-z]{2,7})?)*/?$`)
	active    = regexp.MustCompile(`(?i)^(?:h..ps?|ftps?|sftp|wss?|file|javascript|vbscript|data|mailto|tel|sms|ldaps?|smb|ssh|git|ms-.*|x-.*)$`)
)

// afterScheme is an address without what stands before its host.
func afterScheme(text string) string {
	if at := strings.Index(text, ":"); at >= 0 && !strings.Contains(text[:at], ".") {
		text = strings.TrimLeft(text[at+1:], "\\/ ")
	}
	authority, _, _ := strings.Cut(text, "/")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		text = text[at+1:]
	}
	return text
}
