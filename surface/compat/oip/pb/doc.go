// Package pb is the Open Inference Protocol v2 over gRPC as generated Go code:
// messages, the service that surface/compat/oip implements, and a client for
// tests and benchmarks. inference.proto is where it is written.
package pb

//go:generate ./generate.sh
