package azure

import (
	"testing"

	"github.com/leat-ai/leat/base/fault"
)

func TestAddressesOfDataLakes(t *testing.T) {
	address, err := FromLake("abfss://tables@acme.dfs.core.windows.net/prod/lake?endpoint=https://x")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse(address)
	if err != nil || c.Account != "acme" || c.Container != "tables" || c.Prefix != "prod/lake" || c.Endpoint != "https://x" {
		t.Fatalf("%s: %+v, %v", address, c, err)
	}
	if got := c.LakeAddress(); got != "abfss://tables@acme.dfs.core.windows.net/prod/lake" {
		t.Error(got)
	}
	for _, bad := range []string{"abfss://acme.dfs.core.windows.net/x", "abfss://c@acme.example/x", "abfss://c:key@acme.dfs.core.windows.net/", "s3://c@a.dfs.core.windows.net", "%"} {
		if _, err := FromLake(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
