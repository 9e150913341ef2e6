package cli

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// A program that hangs, or whose child does, or that talks without end, costs no
// more than the time that it has.
func TestAskProgram(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no sh here")
	}
	for name, row := range map[string]struct {
		script, want string
	}{
		"answers":             {"echo yes", "yes\n"},
		"hangs":               {"exec sleep 600", ""},
		"its child hangs":     {"sleep 600", ""},
		"leaves a child":      {"echo yes; sleep 600 & exit 0", ""},
		"talks without end":   {"exec cat /dev/zero", ""},
		"talks, and children": {"cat /dev/zero & cat /dev/zero", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "program")
			if err := os.WriteFile(path, []byte("#!/bin/sh\n"+row.script+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			limit := time.Second
			if row.want != "" {
				limit = time.Minute // not a matter of this machine's load
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			start := time.Now()
			out, err := (&app{Env: OS()}).askProgram(ctx, path)
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("took %s", took)
			}
			if row.want != "" && (err != nil || string(out) != row.want) {
				t.Errorf("got %q, %v", out, err)
			}
			if row.want == "" && err == nil {
				t.Errorf("no error, but %d bytes", len(out))
			}
		})
	}
}
