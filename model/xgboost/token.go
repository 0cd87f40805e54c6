package xgboost

import (
	"github.com/leat-ai/leat/base/fault"
)

// kind is the kind of a token.
type kind uint8

const (
	objectOpen kind = iota
	objectClose
	arrayOpen
	arrayClose
	key    // the name of a member of an object
	text   // a string
	number // of token.text as JSON, or token.value
	truth  // true or false, as token.value 1 or 0
	null
	packed // a whole array of numbers of one type (UBJSON)
	end    // of the document
)

// token is a piece of a document. Its bytes are those of the document.
type token struct {
	kind  kind
	text  []byte // of key and text; of a number as JSON its digits; of packed its elements
	value float64
	typ   byte // of the elements of packed
	count int  // of those elements; of an open array its elements when they are known, else -1
}

// lexer cuts a document into tokens. It checks the syntax: what is opened is
// closed, keys stand in objects and nowhere else, and nothing is nested deeper
// than maxDepth.
type lexer interface {
	next() (token, error)
	offset() int // of the next byte
}

// maxDepth is far more than a model of XGBoost has.
const maxDepth = 64

// stack remembers what is open while a document is read.
type stack []bracket

// bracket is an open object or array.
type bracket struct {
	object bool
	left   int  // elements or members to come (UBJSON); -1 when only a bracket ends it
	first  bool // nothing has been read of it (JSON)
}

func (s *stack) push(f bracket, at int) error {
	if len(*s) >= maxDepth {
		return malformed(at, "it is nested deeper than %d levels", maxDepth)
	}
	*s = append(*s, f)
	return nil
}

func (s *stack) pop() { *s = (*s)[:len(*s)-1] }

func (s *stack) top() *bracket {
	if len(*s) == 0 {
		return nil
	}
	return &(*s)[len(*s)-1]
}

// malformed is the fault of a file that cannot be read at a byte.
func malformed(at int, format string, args ...any) *fault.Error {
	return fault.New(fault.Corrupt, "the XGBoost model cannot be read: "+format, args...).At("byte %d", at)
}
