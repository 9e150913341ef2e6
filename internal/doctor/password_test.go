package doctor

import (
	"context"
	"errors"
	"testing"
)

func TestPasswordIsAskedForOnce(t *testing.T) {
	t.Parallel()
	asked := 0
	ask := onlyOnce(func(context.Context, string) ([]byte, error) {
		asked++
		if asked == 1 {
			return nil, errors.New("interrupted")
		}
		return []byte("secret"), nil
	})
	if _, err := ask(t.Context(), "password"); err == nil || err.Error() != "interrupted" {
		t.Errorf("first: %v", err)
	}
	for range 2 {
		got, err := ask(t.Context(), "password")
		if err != nil || string(got) != "secret" {
			t.Errorf("%q, %v", got, err)
		}
		clear(got)
	}
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}
