//go:build unix

package command

import (
	"os/exec"
	"syscall"
)

// group puts the program and whatever it starts into a process group of its
// own, and asks the whole group to end when the context does.
func group(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
}

// killGroup ends what the program left behind. A group that is empty is no
// mistake.
func killGroup(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
}
