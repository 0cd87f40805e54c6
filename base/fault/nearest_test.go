package fault_test

import (
	"testing"

	"github.com/leat-ai/leat/base/fault"
)

func TestNearestSuggestsWhatWasMeant(t *testing.T) {
	names := []string{"amount", "country", "customer_id", "at", "Capital-Gain"}
	for written, want := range map[string]string{
		"ammount":      "amount",
		"amuont":       "amount",
		"AMOUNT":       "amount",
		"contry":       "country",
		"customer-id":  "customer_id",
		"customerid":   "customer_id",
		"capital_gain": "Capital-Gain",
		"ta":           "",
		"balance":      "",
		"":             "",
	} {
		if got := fault.Nearest(written, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", written, got, want)
		}
	}
}
