package guardrail

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// What may be an address, in a text that skeleton made plain: a scheme, known
// or not, with whatever a browser takes for its separators; a host, by its end
// or by the path behind it, or as a number; a path from the root of another
// host; an address of mail.
var (
	scheme = regexp.MustCompile(`(?i)\b(?:https?|hxxps?|ftps?|sftp|wss?|file|javascript|vbscript|livescript|mailto|callto|sms|tel|skype|facetime|ms-[a-z-]+|blob|about|chrome|intent|gopher|ldaps?|smb|ssh|git|jar|view-source|feed|webcal|magnet)\s?\\?(?::|%3a)+[^\s:]\S*` +
		`|\bdata:(?:[a-z]+/|[;,])\S*|\b[a-z][a-z0-9+.-]*:\\*/\\*/\S*|\b[a-z][a-z0-9+.-]*%3a%2f\S*|\\\\[a-z0-9]\S*|(?:^|[^:\w/])//[^\s/]\S*`)
	host = regexp.MustCompile(`(?i)(?:[\p{L}\d_.-]+@)?(?:[\p{L}\d_](?:[\p{L}\d_-]{0,62}[\p{L}\d_])?\\?\.)+(?:xn--[a-z0-9-]+|\p{L}{2,24})\.?(?::\d+)?(?:[/?#\\]\S*)?` +
		`|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?[/?#]\S*|\b(?:0x[0-9a-f]+|\d{8,10})/\S*|\[[0-9a-f:.]*:[0-9a-f:.]*\](?::\d+)?[/?]\S*`)
	mail = regexp.MustCompile(`(?i)[\p{L}\d._%+-]+@[\p{L}\d-]+(?:\.[\p{L}\d-]+)+(?:\?\S*)?`)
)

// spans finds what may be an address in a text, in order, not overlapping.
func spans(text string) [][2]int {
	plain, at := skeleton(text)
	var all [][2]int
	for _, m := range scheme.FindAllStringIndex(plain, -1) {
		all = append(all, [2]int{m[0], m[1]})
	}
	for _, m := range host.FindAllStringIndex(plain, -1) {
		if isHost(plain[m[0]:m[1]]) {
			all = append(all, [2]int{m[0], m[1]})
		}
	}
	for _, m := range mail.FindAllStringIndex(plain, -1) {
		all = append(all, [2]int{m[0], m[1]})
	}
	slices.SortFunc(all, func(a, b [2]int) int { return a[0] - b[0] })
	var out [][2]int
	for _, m := range all {
		m = [2]int{at[m[0]], at[m[1]]}
		if n := len(out); n > 0 && m[0] < out[n-1][1] {
			out[n-1][1] = max(out[n-1][1], m[1])
			continue
		}
		out = append(out, m)
	}
	return out
}

// skeleton writes a text as it looks: letters and marks of other scripts and
// forms as the ASCII ones that they resemble. at has, for each byte of it and
// its end, the byte of the text that it stands for.
func skeleton(text string) (plain string, at []int) {
	var b strings.Builder
	at = make([]int, 0, len(text)+1)
	for i, r := range text {
		before := b.Len()
		if r < utf8.RuneSelf {
			b.WriteByte(byte(r))
		} else {
			for _, c := range norm.NFKC.String(string(r)) {
				b.WriteRune(resembles(c))
			}
		}
		for range b.Len() - before {
			at = append(at, i)
		}
	}
	return b.String(), append(at, len(text))
}

// resembles is the ASCII character that another one is read as.
func resembles(r rune) rune {
	if at := strings.IndexRune(alike, r); at >= 0 {
		n := utf8.RuneCountInString(alike[:at])
		return rune(looks[n])
	}
	return r
}

const (
	alike = "⁄∕⧸╱꞉ː∶︰․。｡⸱аеорсхуіѕһјтмкнвгԁԛԝӏАЕОРСХТНІЅМКВɡıℓορταικνυΗΤΡΟ"
	looks = "////::::....aeopcxyishjtmkhbrdqwlAEOPCXTHISMKBgiloptaikvuHTPO"
)

// isHost tells whether a word with dots is an address rather than a file, a
// version or an abbreviation: it has a path behind what ends like a domain, or
// it ends like one that everybody knows.
func isHost(word string) bool {
	word = strings.ReplaceAll(strings.TrimRight(word, "."), "\\.", ".")
	cut := strings.IndexAny(word, "/?#\\")
	name, path := word, ""
	if cut >= 0 {
		name, path = word[:cut], word[cut+1:]
	}
	if at := strings.LastIndexByte(name, '@'); at >= 0 {
		name = name[at+1:]
	}
	if at := strings.LastIndexByte(name, ':'); at >= 0 {
		name = name[:at]
	}
	name = strings.ToLower(strings.TrimRight(name, "."))
	last := name[strings.LastIndexByte(name, '.')+1:]
	return strings.HasPrefix(name, "www.") || strings.HasPrefix(last, "xn--") || cut >= 0 && path != "" ||
		strings.Contains(topDomains, " "+last+" ")
}

// topDomains are the ends by which a name without a path is taken for a host.
// Ends that are also those of files or words (such as md, py, rs) are not among
// them; with a path every end counts.
const topDomains = ` com net org edu gov mil int info biz name pro mobi io co ai app dev xyz top site online store shop club live space website tech link click cloud
 page web blog icu vip work win bid loan stream download mov ru cn de fr es it nl uk us ca au jp kr br in ch at be se no dk fi pt gr cz hu ro bg ua tr ir il ae sa za ng ke mx ar cl
 pe ve eu asia africa me tv cc ws gg to ly gl tk ml ga cf gq pw su kz by lt lv ee ie nz sg hk tw th vn id my ph pk bd lk test example invalid localhost internal onion
 рф 中国 中國 公司 网络 `

// leaks finds what a renderer could follow or load in a text, written apart
// from what took it out.
func (f *Filter) leaks(text string) (found []string) {
	text = visible(decoded(text))
	for _, m := range target.FindAllStringSubmatch(text, -1) {
		if !f.allowed[m[1]] {
			found = append(found, m[0])
		}
	}
	rest := target.ReplaceAllString(text, " ")
	seen, _ := skeleton(rest)
	for word := range strings.FieldsSeq(seen) {
		if suspicious.MatchString(word) && !f.allowed[strings.TrimRight(word, ".,;:!?)*_")] && !f.allowed[strings.Trim(word, ".,;:!?()*_[]")] {
			found = append(found, word)
		}
	}
	return append(found, markup.FindAllString(rest, -1)...)
}

var (
	target     = regexp.MustCompile(`\]\(([^()\s]*)\)`)
	suspicious = regexp.MustCompile(`(?i)(?:https?|ftp|wss?|javascript|vbscript|file|mailto)(?::|%3a)|data:[a-z]+/|://|^www\.|(?:^|[^\w/:])//\w`)
	markup     = regexp.MustCompile(`(?i)<[a-z/!?]|!\[|\]\(|\]:`)
)

// Leaks lists what a renderer could follow in a text other than the allowed
// addresses, for tests and measurements.
func Leaks(text string, allowed []string) []string { return New(allowed, nil).leaks(text) }
