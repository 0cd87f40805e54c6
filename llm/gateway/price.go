package gateway

import (
	_ "embed"
	"encoding/json"
	"math"
	"math/bits"
	"regexp"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/spec"
)

// Money is an amount of US dollars in thousand-millionths (nano-dollars), so
// that sums are exact. It is written as a decimal number of dollars.
type Money int64

// Dollar is one dollar.
const Dollar Money = 1_000_000_000

// DollarsOf returns an amount of dollars, rounded to the next nano-dollar.
// What no Money can hold is its largest value.
func DollarsOf(usd float64) Money {
	nano := math.Round(usd * float64(Dollar))
	if !(nano < math.MaxInt64) {
		return math.MaxInt64
	}
	return Money(nano)
}

// USD returns the amount in dollars.
func (m Money) USD() float64 { return float64(m) / float64(Dollar) }

// String returns the exact amount in dollars, such as 0.000125.
func (m Money) String() string { return string(m.append(nil)) }

func (m Money) append(b []byte) []byte {
	u := uint64(m)
	if m < 0 {
		b, u = append(b, '-'), -u
	}
	b = strconv.AppendUint(b, u/uint64(Dollar), 10)
	rest := u % uint64(Dollar)
	if rest == 0 {
		return b
	}
	digits := strconv.FormatUint(uint64(Dollar)+rest, 10)[1:]
	return append(append(b, '.'), strings.TrimRight(digits, "0")...)
}

// MarshalJSON writes the exact amount in dollars as a number.
func (m Money) MarshalJSON() ([]byte, error) { return m.append(nil), nil }

// UnmarshalJSON reads an amount in dollars.
func (m *Money) UnmarshalJSON(text []byte) error {
	usd, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.IsNaN(usd) || math.Abs(usd) > 9e9 {
		return fault.New(fault.Invalid, "an amount of dollars is not a number below 9 thousand million")
	}
	*m = DollarsOf(usd)
	return nil
}

// plus adds without overflow.
func (m Money) plus(n Money) Money {
	if s := m + n; n < 0 || s >= m {
		return s
	}
	return math.MaxInt64
}

// Price is what a model costs.
type Price struct {
	Input, Cached, CacheWrite, Output pico // of a token
	Search                            pico // of a search of a reranker
}

// pico is an amount in 10⁻¹² dollars: a price of one dollar for a million
// tokens is a million of them for one, so prices of four decimals are exact.
type pico int64

// times returns the amount for n, in nano-dollars, rounded up.
func (p pico) times(n int) Money {
	if n <= 0 || p <= 0 {
		return 0
	}
	high, low := bits.Mul64(uint64(p), uint64(n))
	if high != 0 || low > math.MaxInt64-999 {
		return math.MaxInt64
	}
	return Money((low + 999) / 1000)
}

// Of returns what a call costs. Tokens that are contained in others are
// counted once.
func (p Price) Of(u llm.Usage, units int) Money {
	cached := min(max(u.CachedInput, 0), max(u.Input, 0))
	written := min(max(u.CacheWrite, 0), max(u.Input, 0)-cached)
	sum := p.Input.times(u.Input - cached - written)
	sum = sum.plus(p.Cached.times(cached)).plus(p.CacheWrite.times(written))
	return sum.plus(p.Output.times(u.Output)).plus(p.Search.times(units))
}

// worst returns what a call costs at most.
func (p Price) worst(w workload) Money {
	return max(p.Input, p.Cached, p.CacheWrite).times(w.most.Input).plus(p.Output.times(w.most.Output)).plus(p.Search.times(w.units))
}

// priceOf reads the price of a resource. perSearch of it is for a thousand.
func priceOf(p *spec.LLMPrice) Price {
	input := perMillion(p.Input)
	cached := input
	if p.Cached != nil {
		cached = perMillion(*p.Cached)
	}
	return Price{Input: input, Cached: cached, CacheWrite: input, Output: perMillion(p.Output), Search: pico(math.Ceil(p.Search * 1e9))}
}

func perMillion(usd float64) pico { return pico(math.Round(min(usd, 1e9) * 1e6)) }

// Prices are prices by the name of the model.
type Prices map[string]Price

// listed is a price as files of prices have it: dollars for a million tokens,
// and for a thousand searches.
type listed struct {
	Input      float64  `json:"input"`
	Cached     *float64 `json:"cached"`
	CacheWrite *float64 `json:"cache_write"`
	Output     float64  `json:"output"`
	Search     float64  `json:"search"`
}

// ParsePrices reads a table of prices: a JSON object with the members date,
// unit ("USD per million tokens") and models, an object with a price for each
// name.
func ParsePrices(text []byte) (Prices, error) {
	var table struct {
		Date   string            `json:"date"`
		Unit   string            `json:"unit"`
		Models map[string]listed `json:"models"`
	}
	if err := json.Unmarshal(text, &table); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the table of prices is not JSON of its form")
	}
	if table.Unit != "USD per million tokens" {
		return nil, fault.New(fault.Invalid, "the table of prices has the unit %q", table.Unit).Hint(`its unit must be "USD per million tokens"`)
	}
	prices := make(Prices, len(table.Models))
	for name, l := range table.Models {
		if min(l.Input, l.Output, l.Search) < 0 || l.Cached != nil && *l.Cached < 0 || l.CacheWrite != nil && *l.CacheWrite < 0 {
			return nil, fault.New(fault.Invalid, "the price of %q is negative", name)
		}
		p := priceOf(&spec.LLMPrice{Input: l.Input, Cached: l.Cached, Output: l.Output, Search: l.Search})
		if l.CacheWrite != nil {
			p.CacheWrite = perMillion(*l.CacheWrite)
		}
		prices[name] = p
	}
	return prices, nil
}

//go:embed prices.json
var builtIn []byte

// KnownPrices is the built-in table; docs/guides/llm.md says of when it is.
func KnownPrices() (Prices, error) { return ParsePrices(builtIn) }

// dated is how providers mark a version of a model.
var dated = regexp.MustCompile(`[-@](20\d\d-\d\d-\d\d|20\d{6}|\d{4}|latest)$`)

// Find returns the price of a model, whose name may end in a date, and may
// have the name of its maker before it.
func (p Prices) Find(model string) (Price, bool) {
	for _, name := range []string{model, model[strings.LastIndexByte(model, '/')+1:]} {
		if price, ok := p[name]; ok {
			return price, true
		}
		if price, ok := p[dated.ReplaceAllString(name, "")]; ok {
			return price, true
		}
	}
	return Price{}, false
}
