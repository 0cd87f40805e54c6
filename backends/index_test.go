package backends

import (
	"testing"

	"github.com/leat-ai/leat/base/fault"
)

// TestMachineIsShownToAzureAlone names services of Azure AI Search without a
// secret: the token of the machine goes to Azure's own hosts, however the
// address of another one is written.
func TestMachineIsShownToAzureAlone(t *testing.T) {
	for service, endpoint := range map[string]string{
		"ours":                        "https://ours.search.windows.net",
		"ours.search.windows.net":     "https://ours.search.windows.net",
		"ours.search.windows.net:443": "https://ours.search.windows.net:443",
		"Ours.Search.Windows.Net":     "https://Ours.Search.Windows.Net",
		"ours.search.azure.us":        "https://ours.search.azure.us",
		"ours.search.azure.cn":        "https://ours.search.azure.cn",
	} {
		to, err := azureSearch(IndexConfig{Address: "azure-search://" + service, Name: "default_a"}, service)
		if err != nil || to.Endpoint != endpoint || to.Token == nil || to.Key != nil {
			t.Errorf("%s: %q, token %v, key %v, %v", service, to.Endpoint, to.Token != nil, to.Key != nil, err)
		}
	}
	for _, service := range []string{
		"evil.example", "evilsearch.windows.net", "search.windows.net", "search.windows.net.evil.example", "ours.search.windows.net.",
		"evil.example/x.search.windows.net", "evil.example?x.search.windows.net", "evil.example#.search.windows.net",
		"ours.search.windows.net@evil.example", "ours.search.windows.net:443@evil.example", "2130706433#", "localhost/", "evil?",
		"[::1]", "%", "",
	} {
		c := IndexConfig{Address: "azure-search://" + service, Name: "default_a"}
		if to, err := azureSearch(c, service); !fault.Is(err, fault.Invalid) || to.Token != nil {
			t.Errorf("%s would see the machine's token: %v", service, err)
		}
		if _, err := Index(t.Context(), c); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", service, err)
		}
	}
	to, err := azureSearch(IndexConfig{Address: "azure-search://search.example", Secret: "k", Name: "default_a"}, "search.example")
	if err != nil || to.Key == nil || to.Token != nil {
		t.Errorf("a host with a key of its own: token %v, key %v, %v", to.Token != nil, to.Key != nil, err)
	}
}
