package source

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/xml"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/egress"
)

// Bounds of sitemaps, which are those of the protocol or beyond.
const (
	maxSitemap  = 64 << 20 // bytes, unpacked
	maxSitemaps = 500      // of an index
	sitemapDeep = 2        // indexes within an index
)

// isSitemap tells whether an address is one of a sitemap.
func isSitemap(u *url.URL) bool {
	path := strings.ToLower(u.Path)
	return strings.HasSuffix(path, ".xml") || strings.HasSuffix(path, ".xml.gz") || strings.HasSuffix(path, "sitemap")
}

// sitemap calls take with every address of a sitemap, or of those that an index
// lists.
func (w *Web) sitemap(ctx context.Context, u *url.URL, depth int, take func(address string, modified time.Time) error) error {
	answer, err := w.get(ctx, u, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body := bufio.NewReader(answer.Body)
	var r io.Reader = body
	if magic, err := body.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		if r, err = gzip.NewReader(body); err != nil {
			return fault.New(fault.Invalid, "the sitemap %q is damaged", u.Path)
		}
	}
	bounded := &io.LimitedReader{R: r, N: maxSitemap}
	var maps []string
	err = readSitemap(bounded, func(kind, address string, modified time.Time) error {
		if kind == "url" {
			return take(address, modified)
		}
		maps = append(maps, address)
		if len(maps) > maxSitemaps {
			return fault.New(fault.TooLarge, "the sitemap %q lists more than %d others", u.Path, maxSitemaps)
		}
		return nil
	})
	switch {
	case err == nil:
	case bounded.N == 0:
		return fault.New(fault.TooLarge, "the sitemap %q is larger than %d bytes", u.Path, maxSitemap)
	case fault.KindOf(err) != fault.Internal:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		return fault.New(fault.Invalid, "%q is no sitemap", u.Path).Because(egress.Clean(err)).
			Hint("to read one page, give an address that does not end in .xml")
	}
	if len(maps) > 0 && depth >= sitemapDeep {
		return fault.New(fault.Invalid, "the sitemap %q lists others deeper than %d times", u.Path, sitemapDeep)
	}
	for _, address := range maps {
		other, ok := w.inside(address)
		if !ok {
			continue
		}
		if err := w.sitemap(ctx, other, depth+1, take); err != nil {
			return err
		}
	}
	return nil
}

// readSitemap calls f with each entry: of kind "url", or "sitemap" in an index.
func readSitemap(r io.Reader, f func(kind, address string, modified time.Time) error) error {
	d := xml.NewDecoder(r)
	d.Strict = true
	type entry struct {
		Loc     string `xml:"loc"`
		LastMod string `xml:"lastmod"`
	}
	root := false
	for {
		token, err := d.Token()
		if err == io.EOF {
			if !root {
				return io.ErrUnexpectedEOF
			}
			return nil
		}
		if err != nil {
			return err
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch start.Name.Local {
		case "urlset", "sitemapindex":
			root = true
		case "url", "sitemap":
			var e entry
			if err := d.DecodeElement(&e, &start); err != nil {
				return err
			}
			if !root {
				return io.ErrUnexpectedEOF
			}
			if err := f(start.Name.Local, strings.TrimSpace(e.Loc), sitemapTime(e.LastMod)); err != nil {
				return err
			}
		default:
			if !root {
				return io.ErrUnexpectedEOF // a page of HTML, say
			}
			if err := d.Skip(); err != nil {
				return err
			}
		}
	}
}

func sitemapTime(text string) time.Time {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly} {
		if at, err := time.Parse(layout, strings.TrimSpace(text)); err == nil {
			return at.UTC()
		}
	}
	return time.Time{}
}
