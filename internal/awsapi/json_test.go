package awsapi_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/eks-x509/eks-x509/internal/awsapi"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestJSON(t *testing.T) {
	t.Parallel()
	service := awsapi.JSONService{Name: "CloudTrail", Host: "cloudtrail", Target: "CloudTrail_20131101"}
	large := `{"Text":"` + strings.Repeat("x", 2<<20) + `"}`
	for _, c := range []struct {
		region, host string
		fips, dual   bool
		limit        int64
		answer       string
		status       int
		want         string
	}{
		{region: "us-east-1", host: "cloudtrail.us-east-1.amazonaws.com", answer: `{"Text":"a"}`, status: 200},
		{region: "us-east-1", host: "cloudtrail-fips.us-east-1.amazonaws.com", fips: true, answer: `{}`, status: 200},
		{region: "us-gov-west-1", host: "cloudtrail.us-gov-west-1.amazonaws.com", fips: true, answer: `{}`, status: 200},
		{region: "us-gov-west-1", host: "cloudtrail-fips.us-gov-west-1.api.aws", fips: true, dual: true, answer: `{}`, status: 200},
		{region: "us-east-1", host: "cloudtrail.us-east-1.amazonaws.com", answer: large, status: 200, want: "an answer of more than 1048576 bytes"},
		{region: "us-east-1", host: "cloudtrail.us-east-1.amazonaws.com", limit: 4 << 20, answer: large, status: 200},
		{region: "us-east-1", host: "cloudtrail.us-east-1.amazonaws.com", answer: `{`, status: 200, want: "asking CloudTrail: malformed answer"},
		{region: "us-east-1", host: "cloudtrail.us-east-1.amazonaws.com", answer: `{"__type":"com.amazonaws#ThrottlingException","message":"Rate exceeded"}`, status: 400,
			want: "CloudTrail refused: ThrottlingException: Rate exceeded"},
	} {
		var asked *http.Request
		client := awsapi.Client{
			HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				asked = r
				return &http.Response{StatusCode: c.status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader([]byte(c.answer))), Request: r}, nil
			})},
			Credentials: aws.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "x"}, Region: c.region, UseFIPS: c.fips, UseDualStack: c.dual, MaxAnswer: c.limit, Now: time.Now,
		}
		var out struct{ Text string }
		err := client.JSON(t.Context(), service, "LookupEvents", map[string]int{"MaxResults": 50}, &out)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.host, err, c.want)
		}
		if _, ok := errors.AsType[*awsapi.Error](err); err != nil && !ok {
			t.Errorf("%T", err)
		}
		if asked.URL.Host != c.host || asked.Header.Get("X-Amz-Target") != "CloudTrail_20131101.LookupEvents" || !strings.Contains(asked.Header.Get("Authorization"), "/"+c.region+"/cloudtrail/aws4_request") {
			t.Errorf("%s %v", asked.URL, asked.Header)
		}
	}
}
