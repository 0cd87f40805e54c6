package llmtest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/leat-ai/leat/llm"
)

// Obey is a model without any judgement: it does whatever anything in its
// prompt asks for, wherever in the prompt it stands, plain or encoded. It says
// what it is told to say, shows every address as a link and as an image in all
// ways of Markdown and HTML, with what it was told in confidence attached, and
// calls every tool that it has. What is kept from leaving an answer of this
// model is kept from leaving one of any other.
func Obey(a Asked) Reply {
	prompt := a.Prompt()
	texts := unwrapped(prompt)
	var b strings.Builder
	for _, order := range orders(texts) {
		b.WriteString(order + "\n")
	}
	told := confidences(a, texts)
	addresses := addressesIn(texts)
	for i, address := range addresses {
		show(&b, i, address, told)
	}
	reply := Reply{Text: strings.TrimSpace(b.String())}
	if reply.Text == "" {
		reply.Text = "There is nothing to obey."
	}
	for i, name := range a.Tools {
		arguments := object{"url": first(addresses), "text": told, "input": told, "query": told, "to": first(addresses), "path": "/etc/passwd", "urls": addresses}
		reply.Calls = append(reply.Calls, llm.Call{ID: fmt.Sprintf("call_%d", i), Name: name, Arguments: string(arguments.json())})
	}
	return reply
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// maxOrders bounds what is said of orders and of addresses each.
const maxOrders = 200

// order is a word that asks to say something. What follows it is said; quoted
// text and code after it too.
var order = regexp.MustCompile(`(?i)\b(say|print|write|respond|reply|answer|output|include|append|add|insert|begin|start|end|finish|repeat|display|show|render|embed|tell|ignore|disregard|forget|reveal|send|call|visit|click|fetch|load|use|adopt|translate|summarize|sag|schreibe|antworte|gib|ignoriere|di|escribe|responde|ignora|dis|écris|réponds|ignore[zr])\b[^\n]*`)

var quoted = regexp.MustCompile("(?s)```.*?```|\"[^\"\n]{1,300}\"|`[^`\n]{1,300}`|'[^'\n]{4,300}'")

func orders(texts []string) (said []string) {
	add := func(text string) {
		if text = strings.TrimSpace(text); text != "" && len(said) < maxOrders && !slices.Contains(said, text) {
			said = append(said, text)
		}
	}
	for _, text := range texts {
		for _, line := range order.FindAllString(text, maxOrders) {
			add(line)
			if _, what, ok := strings.Cut(line, ":"); ok {
				add(what)
			}
		}
		for _, q := range quoted.FindAllString(text, maxOrders) {
			add(strings.Trim(q, "`'\""))
		}
	}
	return said
}

var address = regexp.MustCompile(`(?i)(?:(?:https?|hxxps?|ftp|wss?|file|data|javascript|vbscript|mailto|tel|blob):|//[a-z0-9-]+\.)[^\s<>"'()\[\]{}\\|^]+|\bwww\.[^\s<>"'()\[\]]+`)

func addressesIn(texts []string) (all []string) {
	for _, text := range texts {
		for _, a := range address.FindAllString(text, maxOrders) {
			a = strings.TrimRight(a, ".,;:!?")
			if len(all) < maxOrders && !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	return all
}

// confidential is what looks as if it were not for everybody.
var confidential = regexp.MustCompile(`(?i)\b[\w-]*(?:canary|secret|token|password|api.?key)[\w-]*\b[:= ]*[^\s,;]{4,}`)

// confidences is what the model was told and might give away.
func confidences(a Asked, texts []string) string {
	var told []string
	for _, text := range texts {
		told = append(told, confidential.FindAllString(text, 10)...)
	}
	if len(a.Messages) > 0 {
		told = append(told, cut(a.Messages[0].Text, 60))
	}
	return cut(strings.Join(told, " "), 400)
}

func cut(text string, most int) string {
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}

// show writes an address in the ways in which a page would ask for it.
func show(b *strings.Builder, i int, address, told string) {
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	full := address + separator + "d=" + url.QueryEscape(told)
	fmt.Fprintf(b, "![image](%s)\n[click here](%s)\n", full, full)
	fmt.Fprintf(b, "![image](<%s> \"title\")\n[](%s)\n[![x](%s)](%s)\n", full, address, full, full)
	fmt.Fprintf(b, "![image][r%d]\n[a link][r%d]\n[r%d]\n\n[r%d]: %s\n", i, i, i, i, full)
	fmt.Fprintf(b, "[r%da]:\n  <%s>\n  'title'\n", i, full)
	fmt.Fprintf(b, "<img src=\"%s\">\n<a href='%s'>link</a>\n<%s>\n%s\n", full, full, full, full)
	fmt.Fprintf(b, "<IMG SRC=%s>\n<svg><image href=\"%s\"/></svg>\n<style>@import url(%s);</style>\n<iframe src=\"%s\"></iframe>\n", full, full, full, full)
	fmt.Fprintf(b, "![image](%s)\n[link](%s)\n", html.EscapeString(full), entities(full))
	fmt.Fprintf(b, "![image](\t%s\n)\n![a\nb](%s)\n\\![image](%s)\n", full, full, full)
	fmt.Fprintf(b, "| ![cell](%s) | [cell](%s) |\n> ![quoted](%s)\n- [x](%s)\n", full, full, full, full)
}

// entities writes letters as numbers of HTML, which Markdown reads as letters.
func entities(text string) string {
	var b strings.Builder
	for i, r := range text {
		if i < 12 {
			fmt.Fprintf(&b, "&#%d;", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

var (
	runOf64  = regexp.MustCompile(`[A-Za-z0-9+/_-]{16,}={0,2}`)
	runOfHex = regexp.MustCompile(`(?i)\b(?:[0-9a-f]{2}){12,}\b`)
)

// unwrapped is a text and what is hidden in it: in base64, hexadecimal, percent
// signs, entities of HTML, ROT13, backwards, or among characters that are not
// seen.
func unwrapped(text string) []string {
	all := []string{text}
	add := func(t string) {
		if len(t) > 7 && utf8.ValidString(t) && !slices.Contains(all, t) && len(all) < maxOrders {
			all = append(all, t)
		}
	}
	for depth := 0; depth < 2; depth++ {
		for _, t := range slices.Clone(all) {
			add(seen(t))
			add(html.UnescapeString(t))
			if plain, err := url.PathUnescape(t); err == nil {
				add(plain)
			}
			for _, run := range runOf64.FindAllString(t, maxOrders) {
				add(from64(run))
			}
			for _, run := range runOfHex.FindAllString(t, maxOrders) {
				raw, _ := hex.DecodeString(run) // what is none is too short
				add(printable(raw))
			}
		}
	}
	add(rot13(text))
	add(backwards(text))
	return all
}

func from64(run string) string {
	run = strings.TrimRight(run, "=")
	run = strings.NewReplacer("-", "+", "_", "/").Replace(run)
	raw, _ := base64.RawStdEncoding.DecodeString(run) // what is none is too short
	return printable(raw)
}

func printable(raw []byte) string {
	text := string(raw)
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }) {
		return ""
	}
	return text
}

// seen is a text without characters that are not seen; letters of Unicode's
// tags are the letters.
func seen(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 0xE0020 && r <= 0xE007E:
			return r - 0xE0000
		case r == 0x00AD || r >= 0x200B && r <= 0x200F || r >= 0x2060 && r <= 0x2064 || r == 0xFEFF:
			return -1
		}
		return r
	}, text)
}

func rot13(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return 'a' + (r-'a'+13)%26
		case r >= 'A' && r <= 'Z':
			return 'A' + (r-'A'+13)%26
		}
		return r
	}, text)
}

func backwards(text string) string {
	runes := []rune(text)
	slices.Reverse(runes)
	return string(runes)
}
