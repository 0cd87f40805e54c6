package app

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/leat-ai/leat/backends"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/guard/secret"
	"github.com/leat-ai/leat/pattern/stream/codec"
	"github.com/leat-ai/leat/pattern/stream/codec/registry"
	"github.com/leat-ai/leat/spec"
)

// The settings of a stream's codec that name something to open.
const (
	codecDescriptor = "descriptor"     // a file of the project
	codecRegistry   = "registry"       // the address of a schema registry
	codecLogin      = "registry_login" // a reference to NAME:PASSWORD or to a token
)

// streamCodec makes the codec that a stream's events are decoded by.
func (a *App) streamCodec(_ context.Context, s spec.Stream) (codec.Codec, error) {
	c := codec.Config{Format: s.Format, Columns: codec.Columns(s.Schema, nil), Source: "leat/" + s.Name, Type: "leat.decision"}
	if strings.HasPrefix(s.From, "lake://") {
		c.Format = "json"
	}
	if format := backends.FileBodies(s.From); format != "" {
		c.Format = format
	}
	var err error
	for _, name := range slices.Sorted(maps.Keys(s.Codec)) {
		switch value := s.Codec[name]; name {
		case codecDescriptor:
			c.Descriptor, err = a.projectFile(value, codec.MaxEvent)
		case codecRegistry:
			c.Registry, err = a.schemaRegistry(value, s.Codec[codecLogin])
		case codecLogin:
			if s.Codec[codecRegistry] == "" {
				err = fault.New(fault.Invalid, "%s is of a schema registry, and there is none", codecLogin)
			}
		default:
			err = c.Set(name, value)
		}
		if err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "codec of stream %q", s.Name)
		}
	}
	return codec.New(c)
}

// schemaRegistry is a client of a registry, which is asked like every other
// server: by what the operator allows.
func (a *App) schemaRegistry(address, login string) (codec.Registry, error) {
	policy, err := egress.Parse(a.config.Egress)
	if err != nil {
		return nil, err
	}
	c := registry.Config{URL: address, HTTP: egress.Client(policy, egress.Options{MaxBody: 8 << 20, Timeout: 30 * time.Second})}
	if login != "" {
		if _, err := secret.Parse(login); err != nil {
			return nil, err
		}
		resolve := resolveSecret(secret.NewResolver(nil))
		c.Secret = func(ctx context.Context) (string, error) { return resolve(ctx, login) }
	}
	return registry.Open(c)
}
