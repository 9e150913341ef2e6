//go:build !cgo

package cli

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// A program without cgo, as the product is, is confined when it calls AWS.
func TestConfined(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	p.faults(t, "CreateSession:hang")
	for _, command := range []string{"credential-process", "env", "token --cluster-name sandbox"} {
		before := len(p.calls())
		r := p.start(t, append(strings.Fields(command), "--no-cache", "-v")...)
		until(t, "the call", func() bool { return len(p.calls()) > before })
		if strings.Contains(r.stderr.String(), `"landlock": false`) {
			t.Skip("no Landlock in this kernel")
		}
		status, err := os.ReadFile("/proc/" + strconv.Itoa(r.cmd.Process.Pid) + "/status")
		check(t, err)
		if !strings.Contains(string(status), "\nNoNewPrivs:\t1\n") || !strings.Contains(r.stderr.String(), `"landlock": true`) {
			t.Errorf("%s is not confined:\n%s", command, r.stderr.String())
		}
		check(t, r.cmd.Process.Kill())
		r.wait(t)
	}
}
