// Package proto is the form of ONNX files: a reader that believes nothing.
package proto

// Model is what a file holds.
type Model struct{}
