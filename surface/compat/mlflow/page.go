package mlflow

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// A page token is opaque to clients. Ours says how many items came before.
const tokenMark = "leat:"

// pageToken returns the token of the page that begins after so many items, or
// "" when there are no more.
func pageToken(before int, more bool) string {
	if !more {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(tokenMark + strconv.Itoa(before)))
}

// pageStart returns how many items come before the page of a token; none
// before the first page, whose token is "".
func pageStart(token string) (int, error) {
	if token == "" {
		return 0, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	digits, ok := strings.CutPrefix(string(text), tokenMark)
	n, numberErr := strconv.Atoi(digits)
	if err != nil || !ok || numberErr != nil || n < 0 {
		return 0, fault.New(fault.Invalid, "Invalid page token")
	}
	return n, nil
}

// pageSize returns how many items a page has: what is asked for, or otherwise
// a default, and never over the operation's bound.
func pageSize(asked *integer, otherwise, most int) (int, error) {
	if asked == nil {
		return otherwise, nil
	}
	if *asked < 1 || *asked > integer(most) {
		return 0, fault.New(fault.Invalid, "Invalid value for max_results: it must be between 1 and %d, but is %d", most, *asked)
	}
	return int(*asked), nil
}
