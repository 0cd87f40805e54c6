// Package ops executes ONNX graphs with operators written in Go.
package ops

// Tensor is an array of elements of one type.
type Tensor struct{}
