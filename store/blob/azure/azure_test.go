package azure_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/blob/azure"
	"github.com/leat-ai/leat/store/blob/blobtest"
)

func TestAzure(t *testing.T) {
	server := testserver.Azurite(t)
	server.Container(t, "lake")
	config := func(t *testing.T, path, key string) azure.Config {
		t.Helper()
		c, err := azure.Parse("azblob://" + path + "?account=" + server.Account + "&endpoint=" + url.QueryEscape(server.Endpoint))
		if err != nil {
			t.Fatal(err)
		}
		c.Key = func(context.Context) (string, error) { return key, nil }
		return c
	}
	t.Run("suite", func(t *testing.T) {
		var opened atomic.Int64
		blobtest.Run(t, func(t *testing.T) blob.Bucket {
			b, err := azure.Open(t.Context(), config(t, fmt.Sprintf("lake/at/%d", opened.Add(1)), server.Key))
			if err != nil {
				t.Fatal(err)
			}
			return b
		})
	})
	t.Run("a wrong key", func(t *testing.T) {
		_, err := azure.Open(t.Context(), config(t, "lake", "cGE1NXdvcmQ="))
		if !fault.Is(err, fault.Forbidden) || fault.HintOf(err) == "" || strings.Contains(err.Error(), "cGE1") {
			t.Errorf("got %v, want Forbidden with a hint", err)
		}
		if _, err = azure.Open(t.Context(), config(t, "lake", "pa55-w0rd")); !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "pa55") {
			t.Errorf("got %v, want Invalid", err)
		}
	})
	t.Run("no such container", func(t *testing.T) {
		if _, err := azure.Open(t.Context(), config(t, "absent", server.Key)); !fault.Is(err, fault.NotFound) {
			t.Errorf("got %v, want NotFound", err)
		}
	})
}

func TestParse(t *testing.T) {
	for _, from := range []string{"azblob://", "http://c", "azblob://key:secret@c", "azblob://c?acount=x", "%"} {
		if _, err := azure.Parse(from); !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s gives %v, want Invalid", from, err)
		}
	}
	c, err := azure.Parse("azblob://c/x/y/?account=a")
	if err != nil || c.Container != "c" || c.Prefix != "x/y" || c.Account != "a" {
		t.Errorf("got %+v, %v", c, err)
	}
	for _, bad := range []azure.Config{{}, {Container: "c"}, {Container: "c", Account: "evil.example"}, {Container: "c", Account: "a", Prefix: "../x"}, {Container: "c", Account: "a", Endpoint: "ftp://x"}} {
		if _, err := azure.Open(t.Context(), bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v gives %v, want Invalid", bad, err)
		}
	}
}
