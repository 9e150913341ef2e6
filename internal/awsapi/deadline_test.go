package awsapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/eks-x509/eks-x509/internal/awsapi"
)

type paging func(n int) string

func (f *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	f.n++
	fmt.Fprint(w, f.answer(f.n))
	response := w.Result()
	response.Request = r
	return response, nil
}

type counted struct {
	n      int
	answer paging
}

// A list whose pages never end is no answer, with the same token again or with
// another each time.
func TestEndlessList(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]paging{
		"the same token": func(int) string { return `{"trustAnchors":[],"nextToken":"a"}` },
		"another token":  func(n int) string { return fmt.Sprintf(`{"trustAnchors":[],"nextToken":"%d"}`, n) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // a second between the pages
				c := awsapi.Client{
					HTTP: &http.Client{Transport: &counted{answer: answer}}, Credentials: aws.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "x"}, Region: "us-east-1", Now: time.Now,
				}
				_, err := c.TrustAnchors(context.Background())
				if e, ok := errors.AsType[*awsapi.Error](err); !ok || e.Kind != awsapi.Malformed {
					t.Errorf("got %v, want a malformed answer", err)
				}
			})
		})
	}
}
