// Command connect is the peer of the benchmark of events: Redpanda Connect with
// only the components that a pipeline from JetStream through an HTTP model
// server and back needs. It takes the flags of Redpanda Connect, and is a module
// of its own, so that nothing of it comes into Leat's.
package main

import (
	"context"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
	_ "github.com/redpanda-data/connect/v4/public/components/nats"
)

func main() { service.RunCLI(context.Background()) }
