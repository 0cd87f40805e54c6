package gateway

// Money is an amount of US dollars in thousand-millionths (nano-dollars), so
// that sums are exact.
type Money int64

// Prices are prices by model.
type Prices map[string]Price

// Price is what a model costs, in nano-dollars per token.
type Price struct{}
