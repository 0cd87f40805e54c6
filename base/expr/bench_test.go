package expr

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/leat-ai/leat/base/frame"
)

func BenchmarkEval(b *testing.B) {
	columns := []frame.Column{{Name: "amount", Type: frame.Double}, {Name: "balance", Type: frame.Double},
		{Name: "at", Type: frame.Timestamp}, {Name: "country", Type: frame.String}}
	for _, src := range []string{
		"amount / balance",
		"hour(at)",
		"case when amount > 100 and country in ('DE', 'FR') then 1 else 0 end",
		"country like 'D%' or amount between 1 and 5",
		"log1p(amount)",
	} {
		e, err := Parse(src)
		if err != nil {
			b.Fatal(err)
		}
		p, err := e.Bind(columns)
		if err != nil {
			b.Fatal(err)
		}
		for _, n := range []int{1, 10000} {
			values := make([][]Value, len(columns))
			for i := range n {
				for k, v := range []Value{Double(float64(i)), Double(3), {Type: frame.Timestamp, Valid: true, I: int64(i) * 1e9}, String("DE")} {
					values[k] = append(values[k], v)
				}
			}
			cols := make([]arrow.Array, len(columns))
			for k, c := range columns {
				cols[k] = column(c.Type, values[k])
			}
			b.Run(fmt.Sprintf("%s/rows=%d", strings.ReplaceAll(src, "/", "÷"), n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					out, err := p.EvalColumns(cols, n)
					if err != nil {
						b.Fatal(err)
					}
					out.Release()
				}
			})
		}
	}
}
