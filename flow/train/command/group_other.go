//go:build !unix

package command

import "os/exec"

// group does nothing where there are no process groups: the program alone is
// ended.
func group(*exec.Cmd) {}

func killGroup(*exec.Cmd) {}
