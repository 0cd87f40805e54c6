//go:build unix

package process

import (
	"os/exec"
	"syscall"
)

// group makes the process the head of a group, so that it ends with all that
// it started.
func group(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup ends a process and all of its group; it may have ended itself.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
