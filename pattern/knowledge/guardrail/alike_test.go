package guardrail

import (
	"testing"
	"unicode/utf8"
)

func TestEveryLetterResemblesOne(t *testing.T) {
	if n := utf8.RuneCountInString(alike); n != len(looks) {
		t.Errorf("%d letters resemble %d", n, len(looks))
	}
	if got, _ := skeleton("ｈｔｔｐｓ：／／еvіl．ｃｏｍ"); got != "https://evil.com" {
		t.Errorf("it looks like %q", got)
	}
}
