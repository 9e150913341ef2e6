package peers

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/aws-iam-authenticator/pkg/token"

	"github.com/eks-x509/eks-x509/internal/sandbox"
)

const (
	formatError = "input token was not properly formatted: "
	stsError    = "sts getCallerIdentity failed: "
)

// Whatever is wrong with a token, the cluster's verifier, our sandbox and, where it can be seen offline, `token inspect` must not
// pass it. Where upstream is laxer than it should be, we are not.
func TestTokensThatMustFail(t *testing.T) {
	t.Parallel()
	ours := requireEKSX509(t)
	credentials := ourCredentials(t)
	now := time.Now()
	good := tokenSignedAt(t, credentials, now)
	checkAccepted(t, good)
	plain := decode(t, good).String()
	replace := func(old, new string) string {
		t.Helper()
		if strings.Count(plain, old) != 1 {
			t.Fatalf("%d times %q in the URL", strings.Count(plain, old), old)
		}
		return encode(strings.Replace(plain, old, new, 1))
	}
	query := decode(t, good).Query()
	date, signature := query.Get("X-Amz-Date"), query.Get("X-Amz-Signature")
	const (
		mismatch   = stsError + "SignatureDoesNotMatch: "
		unsigned   = stsError + "IncompleteSignature: "
		noSuchHost = formatError + "unexpected hostname "
	)

	for _, row := range []struct {
		name, token string
		upstream    string // what the authenticator says, by itself or after asking STS; "accepted" if it lets the token pass
		sandbox     string // how the sandbox's refusal begins
		inspect     string // what `token inspect` names; empty where only the signature is wrong
	}{
		{"another signature", replace(signature, spoil(signature)), stsRefused("SignatureDoesNotMatch"), mismatch, ""},
		{"another access key id", replace(credentials.AccessKeyId, "ASIAAAAAAAAAAAAAAAAA"), stsRefused("InvalidClientTokenId"),
			stsError + "InvalidClientTokenId: ", ""},
		{"another region's host", replace(stsHost, "sts.us-west-2.amazonaws.com"), stsRefused("SignatureDoesNotMatch"),
			formatError + "X-Amz-Credential parameter does not fit", `credential scope is for region "us-east-1", the host for "us-west-2"`},
		{"another action", replace("GetCallerIdentity", "GetSessionToken"), formatError + "unexpected action", formatError + "unexpected action",
			`invalid Action "GetSessionToken"`},
		{"expired", tokenSignedAt(t, credentials, now.Add(-16*time.Minute)), formatError + "X-Amz-Date parameter is expired",
			formatError + "X-Amz-Date parameter is expired", "expired 1m"},
		{"a VPC endpoint", replace(stsHost, "vpce-1.sts.us-east-1.vpce.amazonaws.com"), noSuchHost, noSuchHost, "invalid host"},
		{"a port", replace(stsHost, stsHost+":443"), noSuchHost, noSuchHost, "invalid host"},
		{"the host in capitals", replace(stsHost, strings.ToUpper(stsHost)), noSuchHost, noSuchHost, "invalid host"},
		{"a region that is not", replace(stsHost, "sts.xx-nowhere-9.amazonaws.com"), noSuchHost, noSuchHost, "invalid host"},
		{"another partition's host", replace(stsHost, "sts.us-gov-west-1.amazonaws.com"), noSuchHost, noSuchHost, "credential scope is for region"},
		{"padding", good + "=", formatError + "illegal base64", formatError + "token is not base64url", "malformed base64url"},
		{"901 seconds", replace("X-Amz-Expires=60", "X-Amz-Expires=901"), formatError + "invalid X-Amz-Expires",
			formatError + "invalid X-Amz-Expires", `invalid X-Amz-Expires "901"`},
		{"one more parameter", encode(plain + "&x=1"), formatError + "non-whitelisted", formatError + "non-whitelisted", `unknown parameter "x"`},

		// Upstream's own checks let all of these through, and leave them to STS or to nobody.
		{"a line break within", good[:40] + "\n" + good[40:], "accepted", formatError + "token is not base64url", "malformed base64url"},
		{"a fragment", encode(plain + "#x"), "accepted", formatError + "fragment", "a fragment in the URL"},
		{"user and password", replace("https://", "https://user:pw@"), stsRefused("IncompleteSignature"), formatError + "user information", "a user name in the URL"},
		{"years ahead", tokenSignedAt(t, credentials, now.AddDate(2, 0, 0)), stsRefused("RequestExpired"),
			formatError + "X-Amz-Date parameter is expired or not yet current", "in the future"},
		{"a fraction of a second", replace(date, strings.Replace(date, "Z", ".5Z", 1)), stsRefused(""), formatError + "X-Amz-Date", "malformed X-Amz-Date"},
		{"no signature", replace("&X-Amz-Signature="+signature, ""), stsRefused("IncompleteSignature"), formatError + "malformed X-Amz-Signature",
			"malformed X-Amz-Signature"},
		{"no credential", replace("X-Amz-Credential="+strings.ReplaceAll(query.Get("X-Amz-Credential"), "/", "%2F")+"&", ""),
			stsRefused("IncompleteSignature"), formatError + "X-Amz-Credential", "malformed X-Amz-Credential"},
		{"another version", replace("2011-06-15", "2011-06-16"), stsRefused("InvalidAction"), formatError + "unexpected version", "invalid Version"},
		{"another algorithm", replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"), stsRefused("SignatureDoesNotMatch"),
			formatError + "unexpected X-Amz-Algorithm", "invalid X-Amz-Algorithm"},
		{"a plus before the seconds", replace("X-Amz-Expires=60", "X-Amz-Expires=%2B60"), stsRefused("IncompleteSignature"),
			formatError + "invalid X-Amz-Expires", `invalid X-Amz-Expires "+60"`},
		{"small letters", replace("Action=", "action="), stsRefused(""), formatError + "non-whitelisted", `invalid Action ""`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			switch _, err := shared.verifier.Verify(row.token); {
			case row.upstream == "accepted" && err != nil:
				t.Errorf("the authenticator no longer accepts it: %v", err)
			case row.upstream != "accepted" && (err == nil || !containsAll(err.Error(), row.upstream)):
				t.Errorf("the authenticator: %v\nwant %s", err, row.upstream)
			}
			if status, user, message := review(t, row.token); status != http.StatusForbidden || user != "" || !strings.HasPrefix(message, row.sandbox) {
				t.Errorf("the sandbox: %d, user %q, %s\nwant %s", status, user, message, row.sandbox)
			}
			got := runProgram(t, nil, row.token, ours, "token", "inspect", "-")
			if row.inspect == "" && got.code != 0 || row.inspect != "" && (got.code != 1 || !strings.Contains(got.stderr, row.inspect)) {
				t.Errorf("token inspect: exit status %d, %swant %s", got.code, got.stderr, row.inspect)
			}
		})
	}
}

// stsRefused is the authenticator's error after STS turned the request down with this code.
func stsRefused(code string) string {
	return stsError + "error from AWS (expected 200, got 40…" + code
}

// containsAll wants the parts of want, which are joined by …, in this order.
func containsAll(s, want string) bool {
	for part := range strings.SplitSeq(want, "…") {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}

// spoil changes the last digit.
func spoil(hex string) string {
	last := "0"
	if strings.HasSuffix(hex, last) {
		last = "1"
	}
	return hex[:len(hex)-1] + last
}

// A token says nothing of its cluster: the header that the server sends does, and it is signed.
func TestTokenOfAnotherCluster(t *testing.T) {
	t.Parallel()
	made := ourToken(t, nil)
	_, err := token.NewVerifier("other", "aws", "us-east-1").Verify(made)
	if err == nil || !containsAll(err.Error(), stsRefused("SignatureDoesNotMatch")) {
		t.Errorf("for another cluster: %v", err)
	}
	_, err = token.NewVerifier("sandbox", "aws-cn", "cn-north-1").Verify(made)
	if err == nil || !strings.HasPrefix(err.Error(), formatError+"unexpected hostname") {
		t.Errorf("in another partition: %v", err)
	}
}

// The session behind a token ends, and STS's clock, not the cluster's, decides. Not parallel: the fault is everybody's.
func TestTokenOutlivesNothing(t *testing.T) {
	s := shared.sandbox
	defer s.SetFaults(nil)
	for _, row := range []struct {
		name    string
		args    []string
		ahead   string
		refusal string
	}{
		{"the token's 15 minutes are over", nil, "16m", "RequestExpired"},
		{"the session is over", []string{"--session-duration", "900"}, "15m1s", "ExpiredToken"},
	} {
		t.Run(row.name, func(t *testing.T) {
			made := ourToken(t, nil, slices.Concat([]string{"--fresh"}, row.args)...)
			checkAccepted(t, made)
			s.SetFaults([]sandbox.Fault{{Operation: "*", Kind: "clock", Value: row.ahead, Count: 1}})
			if _, err := shared.verifier.Verify(made); err == nil || !containsAll(err.Error(), stsRefused(row.refusal)) {
				t.Errorf("the authenticator: %v\nwant %s", err, row.refusal)
			}
			s.SetFaults([]sandbox.Fault{{Operation: "*", Kind: "clock", Value: row.ahead, Count: 1}})
			if status, user, message := review(t, made); status != http.StatusForbidden || user != "" || message == "" {
				t.Errorf("the sandbox: %d, user %q, %s", status, user, message)
			}
		})
	}
}
