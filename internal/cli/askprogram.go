package cli

import (
	"context"
	"errors"
	"time"
)

// askProgram runs another program for a short answer. ctx should end.
func (a *app) askProgram(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := a.command(ctx, name, args...)
	cmd.WaitDelay = time.Second // a child of its own may hold the pipe
	out := &firstBytes{left: 1 << 20}
	cmd.Stdout = out
	err := cmd.Run()
	return out.b, err
}

// firstBytes keeps so many, and is an error for more.
type firstBytes struct {
	b    []byte
	left int
}

func (f *firstBytes) Write(p []byte) (int, error) {
	if len(p) > f.left {
		return 0, errors.New("more output than 1 MiB")
	}
	f.b, f.left = append(f.b, p...), f.left-len(p)
	return len(p), nil
}
