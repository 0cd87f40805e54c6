package s3_test

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
	"github.com/leat-ai/leat/store/blob/blobtest"
	"github.com/leat-ai/leat/store/blob/s3"
)

func TestS3(t *testing.T) {
	server := testserver.S3(t)
	server.Bucket(t, "lake")
	config := func(t *testing.T, path, secret string) s3.Config {
		t.Helper()
		c, err := s3.Parse("s3://" + path + "?path_style=true&region=" + server.Region + "&endpoint=" + url.QueryEscape(server.Endpoint))
		if err != nil {
			t.Fatal(err)
		}
		c.Keys = func(context.Context) (string, string, error) { return server.AccessKey, secret, nil }
		return c
	}
	t.Run("suite", func(t *testing.T) {
		var opened atomic.Int64
		blobtest.Run(t, func(t *testing.T) blob.Bucket {
			b, err := s3.Open(t.Context(), config(t, fmt.Sprintf("lake/at/%d", opened.Add(1)), server.SecretKey))
			if err != nil {
				t.Fatal(err)
			}
			return b
		})
	})
	t.Run("a wrong key", func(t *testing.T) {
		_, err := s3.Open(t.Context(), config(t, "lake", "pa55word"))
		if !fault.Is(err, fault.Forbidden) || fault.HintOf(err) == "" || strings.Contains(err.Error(), "pa55word") {
			t.Errorf("got %v, want Forbidden with a hint", err)
		}
	})
	t.Run("no such bucket", func(t *testing.T) {
		if _, err := s3.Open(t.Context(), config(t, "absent", server.SecretKey)); !fault.Is(err, fault.NotFound) {
			t.Errorf("got %v, want NotFound", err)
		}
	})
}

func TestUnreachable(t *testing.T) {
	_, err := s3.Open(t.Context(), s3.Config{Bucket: "b", Region: "x", Endpoint: "http://127.0.0.1:1", PathStyle: true,
		Keys: func(context.Context) (string, string, error) { return "a", "pa55word", nil }})
	if !fault.Is(err, fault.Unavailable) || strings.Contains(err.Error(), "pa55word") {
		t.Errorf("got %v, want Unavailable", err)
	}
}

func TestParse(t *testing.T) {
	for _, from := range []string{"s3://", "http://b", "s3://key:secret@bucket", "s3://b?regoin=x", "%"} {
		if _, err := s3.Parse(from); !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s gives %v, want Invalid", from, err)
		}
	}
	c, err := s3.Parse("s3://b/x/y/?region=r&path_style=true")
	if err != nil || c.Bucket != "b" || c.Prefix != "x/y" || c.Region != "r" || !c.PathStyle {
		t.Errorf("got %+v, %v", c, err)
	}
	for _, bad := range []s3.Config{{}, {Bucket: "a/b"}, {Bucket: "b", Prefix: "../x"}, {Bucket: "b", Endpoint: "ftp://x"}} {
		if _, err := s3.Open(t.Context(), bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v gives %v, want Invalid", bad, err)
		}
	}
}
