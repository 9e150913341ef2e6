package ekstoken

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"
)

var (
	signedAt = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	creds    = aws.Credentials{AccessKeyID: "ASIAEXAMPLEEXAMPLE12", SecretAccessKey: "secret/+", SessionToken: "to+ken/==",
		CanExpire: true, Expires: signedAt.Add(time.Hour)}
)

func decode(t *testing.T, token string) *url.URL {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, Prefix))
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(string(raw))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// The SDK's presigner, which we do not use, must come to the same signature.
func TestSignatureAgreesWithTheSDK(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, region, host string }{
		{"commercial", "us-west-2", "sts.us-west-2.amazonaws.com"},
		{"China", "cn-north-1", "sts.cn-north-1.amazonaws.com.cn"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			token, err := New(creds, Options{Cluster: "prod_1", Region: row.region, SignedAt: signedAt})
			if err != nil {
				t.Fatal(err)
			}
			r, _ := http.NewRequest("GET", "https://"+row.host+"/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Expires=60", nil)
			r.Header.Set("X-K8s-Aws-Id", "prod_1")
			want, _, err := v4.NewSigner().PresignHTTP(t.Context(), creds, r, emptyHash, "sts", row.region, signedAt)
			if err != nil {
				t.Fatal(err)
			}
			wantURL, _ := url.Parse(want)
			got := decode(t, token.Value)
			if diff := cmp.Diff(wantURL.Query(), got.Query()); diff != "" {
				t.Error(diff)
			}
			if got.Host != row.host {
				t.Errorf("host %q", got.Host)
			}
		})
	}
}

func TestExpiresIsTheEarlierEnd(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		ends time.Time
		can  bool
		want time.Time
	}{
		{"a long session: 14 minutes", signedAt.Add(time.Hour), true, signedAt.Add(14 * time.Minute)},
		{"a session that ends sooner", signedAt.Add(3 * time.Minute), true, signedAt.Add(3 * time.Minute)},
		{"credentials that never end", time.Time{}, false, signedAt.Add(14 * time.Minute)},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := creds
			c.Expires, c.CanExpire = row.ends, row.can
			token, err := New(c, Options{Cluster: "c", Region: "us-east-1", SignedAt: signedAt})
			if err != nil || !token.Expires.Equal(row.want) {
				t.Errorf("%v %v, want %v", token.Expires, err, row.want)
			}
		})
	}
}

// The table of facts: what the AWS CLI and aws-iam-authenticator resolve, less
// what the server then refuses.
func TestHost(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ region, plain, fips, dualStack string }{
		{"us-east-1", "sts.us-east-1.amazonaws.com", "sts-fips.us-east-1.amazonaws.com", "sts.us-east-1.api.aws"},
		{"eu-central-1", "sts.eu-central-1.amazonaws.com", "sts-fips.eu-central-1.amazonaws.com", "sts.eu-central-1.api.aws"},
		{"cn-north-1", "sts.cn-north-1.amazonaws.com.cn", "sts-fips.cn-north-1.amazonaws.com.cn", "sts.cn-north-1.api.amazonwebservices.com.cn"},
		{"us-gov-west-1", "sts.us-gov-west-1.amazonaws.com", "sts.us-gov-west-1.amazonaws.com", "sts.us-gov-west-1.api.aws"},
		{"us-iso-east-1", "sts.us-iso-east-1.c2s.ic.gov", "sts-fips.us-iso-east-1.c2s.ic.gov", ""},
		{"us-isob-east-1", "sts.us-isob-east-1.sc2s.sgov.gov", "sts-fips.us-isob-east-1.sc2s.sgov.gov", ""},
		{"eu-isoe-west-1", "sts.eu-isoe-west-1.cloud.adc-e.uk", "sts-fips.eu-isoe-west-1.cloud.adc-e.uk", ""},
		{"us-isof-south-1", "sts.us-isof-south-1.csp.hci.ic.gov", "sts-fips.us-isof-south-1.csp.hci.ic.gov", ""},
		{"eusc-de-east-1", "sts.eusc-de-east-1.amazonaws.eu", "sts-fips.eusc-de-east-1.amazonaws.eu", "sts.eusc-de-east-1.api.amazonwebservices.eu"},
	} {
		t.Run(row.region, func(t *testing.T) {
			t.Parallel()
			for i, want := range []string{row.plain, row.fips, row.dualStack} {
				got, err := Host(row.region, i == 1, i == 2)
				if got != want {
					t.Errorf("host %q (%v), want %q", got, err, want)
				}
				if want == "" && (err == nil || !strings.Contains(err.Error(), "unsupported dual-stack")) {
					t.Errorf("error %v", err)
				}
			}
		})
	}
}

// Ours are the SDK's endpoint rules, but for the dual-stack hosts that a cluster
// refuses.
func TestHostAgreesWithTheSDK(t *testing.T) {
	t.Parallel()
	resolver := sts.NewDefaultEndpointResolverV2()
	compared := 0
	for _, region := range []string{
		"af-south-1", "ap-east-1", "ap-northeast-3", "ap-southeast-7", "ca-central-1", "ca-west-1", "cn-north-1", "cn-northwest-1", "eu-central-2",
		"eu-isoe-west-1", "eu-south-2", "eusc-de-east-1", "il-central-1", "me-central-1", "mx-central-1", "sa-east-1", "us-east-1", "us-east-2",
		"us-gov-east-1", "us-gov-west-1", "us-iso-east-1", "us-iso-west-1", "us-isob-east-1", "us-isob-west-1", "us-isof-east-1", "us-isof-south-1",
		"us-west-1", "us-west-2", "xx-nowhere-9",
	} {
		for _, fips := range []bool{false, true} {
			for _, dualStack := range []bool{false, true} {
				got, err := Host(region, fips, dualStack)
				if isolated := strings.Contains(region, "-iso"); isolated && dualStack {
					if err == nil {
						t.Errorf("%s: dual-stack host %q", region, got)
					}
					continue
				}
				want, sdkErr := resolver.ResolveEndpoint(t.Context(), sts.EndpointParameters{Region: &region, UseFIPS: &fips, UseDualStack: &dualStack})
				if err != nil || sdkErr != nil || got != want.URI.Host {
					t.Errorf("%s FIPS %t dual-stack %t: %q (%v), the SDK %q (%v)", region, fips, dualStack, got, err, want.URI.Host, sdkErr)
				}
				compared++
			}
		}
	}
	if compared < 90 {
		t.Errorf("only %d compared", compared)
	}
}

func TestTokenIsTheSameForTheSameSecond(t *testing.T) {
	t.Parallel()
	o := Options{Cluster: "c", Region: "us-east-1", SignedAt: signedAt}
	first, _ := New(creds, o)
	second, _ := New(creds, o)
	o.Cluster = "d"
	other, _ := New(creds, o)
	if first.Value != second.Value || first.Value == other.Value {
		t.Error("tokens differ, or do not")
	}
	if s := fmt.Sprintf("%v %+v %#v %s", first, first, first, first); strings.Contains(s, Prefix) {
		t.Errorf("printing shows the token: %s", s)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	long := creds
	long.SessionToken = strings.Repeat("A", 2800)
	for _, row := range []struct {
		name string
		c    aws.Credentials
		o    Options
		want string
	}{
		{"no name", creds, Options{Region: "us-east-1"}, "invalid cluster name: it is empty"},
		{"an ARN", creds, Options{Cluster: "arn:aws:eks:us-east-1:1:cluster/a", Region: "us-east-1"}, "the name is the part after the last slash"},
		{"a header's break", creds, Options{Cluster: "a\nb", Region: "us-east-1"}, `invalid cluster name "a\nb"`},
		{"101 characters", creds, Options{Cluster: strings.Repeat("a", 101), Region: "us-east-1"}, "1 to 100 letters"},
		{"a region with a dot", creds, Options{Cluster: "a", Region: "evil.example"}, `invalid region "evil.example"`},
		{"a token that no cluster takes", long, Options{Cluster: "a", Region: "us-west-2"}, "bytes long, and a cluster takes at most 4096 (the session token alone has 2800)"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.o.SignedAt = signedAt
			token, err := New(row.c, row.o)
			if err == nil || !strings.Contains(err.Error(), row.want) || token.Value != "" {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}

func TestInspect(t *testing.T) {
	t.Parallel()
	token, err := New(creds, Options{Cluster: "c", Region: "us-east-1", SignedAt: signedAt})
	if err != nil {
		t.Fatal(err)
	}
	want := Inspection{Length: len(token.Value), Host: "sts.us-east-1.amazonaws.com", Region: "us-east-1", AccessKeyID: "ASIAEXAMPLEEXAMPLE12",
		ClusterHeader: true, SignedAt: signedAt, ValidUntil: signedAt.Add(15 * time.Minute)}
	if diff := cmp.Diff(want, Inspect(token.Value, signedAt.Add(15*time.Minute))); diff != "" {
		t.Error(diff)
	}
	if s := fmt.Sprintf("%+v", Inspect(token.Value, signedAt)); strings.Contains(s, "ken") {
		t.Errorf("an inspection shows the session token: %s", s)
	}
	good := decode(t, token.Value).String()
	wrap := func(u string) string { return Prefix + base64.RawURLEncoding.EncodeToString([]byte(u)) }
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q in %s", old, good)
		}
		return wrap(strings.Replace(good, old, new, 1))
	}
	for _, row := range []struct{ name, token, want string }{
		{"too long", token.Value + strings.Repeat("A", 4096), "too long"},
		{"no prefix", "k8s-aws-v2.x", `no prefix "k8s-aws-v1."`},
		{"padding", wrap(good + "x")[:20] + "=", "malformed base64url"},
		{"a line break inside", token.Value[:30] + "\n" + token.Value[30:], "malformed base64url"},
		{"a URL that is none", wrap("https://%zz"), "malformed URL"},
		{"plain http", replace("https:", "http:"), `invalid scheme "http"`},
		{"another host", replace("sts.us-east-1.amazonaws.com", "sts.us-east-1.amazonaws.com.evil.example"), "invalid host"},
		{"a region that is none", wrap(strings.ReplaceAll(good, "us-east-1", "xx-nowhere-9")), "invalid host"},
		{"a port", replace("amazonaws.com/", "amazonaws.com:443/"), "invalid host"},
		{"upper case", replace("sts.us", "STS.us"), "invalid host"},
		{"a VPC endpoint", replace("sts.us-east-1", "vpce-1.sts.us-east-1.vpce"), "invalid host"},
		{"a user name", replace("https://", "https://a:b@"), "a user name in the URL"},
		{"a fragment", wrap(good + "#x"), "a fragment in the URL"},
		{"an empty fragment", wrap(good + "#"), "a fragment in the URL"},
		{"a path", replace("/?", "/x?"), `invalid path "/x"`},
		{"no path", replace("/?", "?"), `invalid path ""`},
		{"a bad query", replace("Version=", "a=%zz&Version="), "malformed query"},
		{"a parameter twice", wrap(good + "&action=GetCallerIdentity"), "given twice"},
		{"a value twice", wrap(good + "&Action=GetCallerIdentity"), "given twice"},
		{"an unknown parameter", wrap(good + "&x=1"), `unknown parameter "x"`},
		{"another action", replace("GetCallerIdentity", "AssumeRole"), `invalid Action "AssumeRole"`},
		{"another version", replace("2011-06-15", "2011-06-16"), "invalid Version"},
		{"another algorithm", replace("HMAC", "XMAC"), "invalid X-Amz-Algorithm"},
		{"no cluster header", replace("host%3Bx-k8s-aws-id", "host"), "header x-k8s-aws-id not signed"},
		{"more headers", replace("host%3B", "accept%3Bhost%3B"), "invalid X-Amz-SignedHeaders"},
		{"too many seconds", replace("Expires=60", "Expires=901"), `invalid X-Amz-Expires "901"`},
		{"signed seconds", replace("Expires=60", "Expires=%2B60"), `invalid X-Amz-Expires "+60"`},
		{"no signature", replace("X-Amz-Signature=", "X-Amz-Signature=G"), "malformed X-Amz-Signature"},
		{"fractional seconds", replace("Date=20261123T120000Z", "Date=20261123T120000.5Z"), "malformed X-Amz-Date"},
		{"another day's scope", replace("%2F20261123%2F", "%2F20261122%2F"), `credential scope is for day "20261122"`},
		{"another region's scope", replace("%2Fus-east-1%2F", "%2Fus-east-2%2F"), `credential scope is for region "us-east-2", the host for "us-east-1"`},
		{"another service", replace("%2Fsts%2F", "%2Fiam%2F"), `credential scope is for "iam/aws4_request"`},
		{"a short credential", replace("%2Faws4_request", ""), "malformed X-Amz-Credential"},
		{"a malformed key id", replace("ASIAEXAMPLEEXAMPLE12", "asia"), `malformed access key id "asia"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(Inspect(row.token, signedAt).Problems, "; "); !strings.Contains(got, row.want) {
				t.Errorf("problems %q, want %q", got, row.want)
			}
		})
	}
	for now, want := range map[time.Duration]string{
		15*time.Minute + time.Second:   "expired 1s ago",
		-(5*time.Minute + time.Second): "signed 5m1s in the future",
	} {
		if got := strings.Join(Inspect(token.Value, signedAt.Add(now)).Problems, "; "); got != want {
			t.Errorf("problems %q, want %q", got, want)
		}
	}
}

func FuzzInspect(f *testing.F) {
	token, err := New(creds, Options{Cluster: "c", Region: "us-east-1", SignedAt: signedAt})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token.Value)
	f.Add(Prefix)
	f.Add(Prefix + base64.RawURLEncoding.EncodeToString([]byte("https://sts.us-east-1.amazonaws.com/?a=%zz")))
	f.Fuzz(func(t *testing.T, s string) {
		i := Inspect(s, signedAt)
		// One form only: what passes is, but for the order of its parameters, what New writes.
		if len(i.Problems) == 0 && (i.Length > MaxLength || !strings.HasPrefix(s, Prefix) || i.SignedAt.IsZero() || !i.ClusterHeader) {
			t.Errorf("no problem seen in %q", s)
		}
	})
}
