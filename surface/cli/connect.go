package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/surface/client"
)

// AddressFile is the file in a home that tells where its server listens.
const AddressFile = "server.json"

// Address is what AddressFile holds.
type Address struct {
	URL  string `json:"url"`
	GRPC string `json:"grpc,omitempty"` // host:port, "" for none
	PID  int    `json:"pid"`
}

// homeOf is the folder that a project's server keeps its things in.
func (c *commands) homeOf() string {
	if c.home != "" {
		return c.home
	}
	return filepath.Join(c.project, ".leat")
}

// with calls f with a client of the project's server.
func (c *commands) with(ctx context.Context, f func(ctx context.Context, cl *client.Client) error) error {
	cl, stop, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer stop()
	return f(ctx, cl)
}

func (c *commands) connect(ctx context.Context) (cl *client.Client, stop func(), err error) {
	if c.server != "" {
		cl, err = client.New(c.server, client.Options{Key: os.Getenv("LEAT_KEY")})
		return cl, func() {}, err
	}
	if cl := c.serving(ctx); cl != nil {
		return cl, func() {}, nil
	}
	running, err := c.Start(ctx, c.serveOptions())
	if err != nil {
		return nil, nil, err
	}
	return running.Client(), func() { c.stop(running) }, nil
}

// stopWithin bounds how long a server is given to end what it does.
const stopWithin = 30 * time.Second

func (c *commands) stop(r Running) {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		explain(c.Err, err)
	}
}

func (c *commands) serveOptions() ServeOptions {
	return ServeOptions{
		Project: c.project, Home: c.homeOf(), Env: c.env,
		Catalog: os.Getenv("LEAT_CATALOG"), Blobs: os.Getenv("LEAT_BLOBS"), Lake: os.Getenv("LEAT_LAKE"),
		Online: os.Getenv("LEAT_ONLINE"), Bus: strings.Fields(os.Getenv("LEAT_BUS")), Egress: os.Getenv("LEAT_EGRESS_ALLOW"),
	}
}

// serving returns a client of the server that has the home open now, or nil.
func (c *commands) serving(ctx context.Context) *client.Client {
	text, err := os.ReadFile(filepath.Join(c.homeOf(), AddressFile))
	if err != nil {
		return nil
	}
	var a Address
	if json.Unmarshal(text, &a) != nil {
		return nil
	}
	cl, err := client.New(a.URL, client.Options{Key: os.Getenv("LEAT_KEY")})
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := cl.Status(ctx); err != nil && !fault.Is(err, fault.Unauthenticated) && !fault.Is(err, fault.Forbidden) {
		return nil
	}
	return cl
}
