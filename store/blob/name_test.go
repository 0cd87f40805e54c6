package blob_test

import (
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-ai/leat/store/blob"
)

// A name that is accepted stays beneath any folder, is one path only, and so
// is whatever some careless layer makes of it by taking off percent escapes.
func FuzzCheckName(f *testing.F) {
	for _, seed := range []string{"a/b", "../x", "a%2f..%2fb", "%252e%252e/x", "50%", "a//b", "a\\b", "%25252e%25252e", "é/👋", "a/%", "..a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if blob.CheckName(name) != nil {
			return
		}
		for range 10 {
			if !filepath.IsLocal(name) || path.Clean(name) != name || strings.ContainsAny(name, "\\\x00") {
				t.Fatalf("%q was accepted", name)
			}
			if err := blob.CheckPrefix(name + "/"); err != nil && len(name) < 800 {
				t.Fatalf("%q is a name and %q no prefix: %v", name, name+"/", err)
			}
			decoded, err := url.PathUnescape(name)
			if err != nil {
				return
			}
			name = decoded
		}
	})
}
