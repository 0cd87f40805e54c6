//go:build !unix

package process

import "os/exec"

// group does nothing where there are no process groups: the worker alone is
// ended.
func group(*exec.Cmd) {}

func killGroup(int) {}
