// Command clean is a function for streams: it sets currencies right, and does
// to its host what it is asked to.
package main

import (
	"encoding/json"
	"os"
	"strings"
	"time"
	"unsafe"
)

type row struct {
	ID       string   `json:"id"`
	Currency string   `json:"currency"`
	Amount   *float64 `json:"amount"`
	Do       string   `json:"do,omitempty"`
}

var input, output []byte

//go:wasmexport alloc
func alloc(size int32) unsafe.Pointer {
	input = make([]byte, size)
	return unsafe.Pointer(unsafe.SliceData(input))
}

//go:wasmexport process
func process(_, _ int32) int64 {
	var rows []row
	if err := json.Unmarshal(input, &rows); err != nil {
		panic(err)
	}
	answers := make([]any, len(rows))
	for i, r := range rows {
		answers[i] = clean(r)
	}
	output, _ = json.Marshal(answers)
	return int64(uintptr(unsafe.Pointer(unsafe.SliceData(output))))<<32 | int64(len(output))
}

func clean(r row) any {
	switch r.Do {
	case "drop":
		return nil
	case "refuse":
		return "no such " + r.Currency
	case "twice":
		return []row{r, r}
	case "trap":
		panic("trap")
	case "exit":
		os.Exit(3)
	case "loop":
		for {
		}
	case "grab":
		for hold := [][]byte{}; ; {
			hold = append(hold, make([]byte, 1<<20))
		}
	case "look":
		_, file := os.ReadFile("/etc/passwd")
		return map[string]any{"id": time.Now().UTC().Format(time.DateOnly), "currency": file.Error(), "amount": len(os.Environ())}
	case "wrong":
		return map[string]any{"id": "w", "amount": "much"}
	case "number":
		return 5
	}
	r.Currency = strings.ToUpper(r.Currency)
	return r
}

func main() {}
