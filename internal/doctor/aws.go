package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/rolesanywhere-credential-helper/rolesanywhere"

	"github.com/eks-x509/eks-x509/internal/awsapi"
	"github.com/eks-x509/eks-x509/internal/session"
	"github.com/eks-x509/eks-x509/pkg/ekstoken"
	"github.com/eks-x509/eks-x509/pkg/x509creds"
)

func awsChecks() []Check {
	return []Check{
		{Name: "Roles Anywhere endpoint", Why: "sessions are made there", Needs: []string{"configuration"}, Network: true, run: reachRolesAnywhere},
		{Name: "STS endpoint", Why: "STS says who we are; a cluster asks it, too", Needs: []string{"configuration"}, Network: true, run: reachSTS},
		{Name: "clock", Why: "AWS takes a signature within five minutes of its own clock", Needs: []string{"Roles Anywhere endpoint"}, Network: true, run: checkClock},
		{Name: "session", Why: "it is what a certificate is traded for; this one is new and not kept",
			Needs: []string{"certificate", "Roles Anywhere endpoint"}, Network: true, run: checkSession},
		{Name: "session duration", Why: "AWS gives the least of what is asked, the profile's and the role's", Needs: []string{"session"}, Network: true, run: checkDuration},
		{Name: "identity", Why: "the role that AWS sees must be the one that you mean", Needs: []string{"session"}, Network: true, run: checkIdentity},
		{Name: "token", Why: "a cluster refuses a token of more than 4096 bytes with a bare 401", Needs: []string{"session"}, After: []string{"cluster"}, Network: true, run: checkToken},
	}
}

func reachRolesAnywhere(ctx context.Context, f *facts) Result {
	target := f.Config.Endpoint
	if target == "" {
		at, err := rolesanywhere.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, rolesanywhere.EndpointParameters{
			Region: aws.String(f.Config.SessionRegion), UseFIPS: aws.Bool(f.Config.UseFIPS), UseDualStack: aws.Bool(f.Config.UseDualStack),
		})
		if err != nil {
			return f.failed(&x509creds.Error{Kind: x509creds.Misconfigured, Err: err}, "give an --endpoint")
		}
		target = at.URI.String()
	}
	r, date := f.reachAWS(ctx, target)
	if !date.IsZero() {
		// The header has whole seconds, cut off: half of one is the likeliest rest.
		skew := date.Add(time.Second / 2).Sub(f.Now().Round(0)).Round(time.Second)
		f.skew = &skew
	}
	return r
}

func reachSTS(ctx context.Context, f *facts) Result {
	target := f.STSEndpoint
	if target == "" {
		host, err := ekstoken.Host(f.Config.Region, f.Config.UseFIPS, f.Config.UseDualStack)
		if err != nil {
			return f.failed(err, "choose another region, or unset AWS_USE_DUALSTACK_ENDPOINT")
		}
		target = "https://" + host
	}
	r, _ := f.reachAWS(ctx, target)
	return r
}

func checkClock(_ context.Context, f *facts) Result {
	if f.skew == nil {
		return found(Note, "", "the server did not say what time it is")
	}
	side := "behind"
	if *f.skew < 0 {
		side = "ahead of"
	}
	what := fmt.Sprintf("%d seconds %s AWS's", int(f.skew.Abs()/time.Second), side)
	const remedy = "set this machine's clock right: turn on time synchronization (NTP)"
	switch {
	case f.skew.Abs() >= 5*time.Minute:
		return found(Failed, remedy, "%s", what)
	case f.skew.Abs() > time.Minute:
		return found(Warning, remedy, "%s", what)
	case f.skew.Abs() <= 2*time.Second:
		return found(OK, "", "as AWS's")
	}
	return found(OK, "", "%s", what)
}

func checkSession(ctx context.Context, f *facts) Result {
	packed := 0
	o := f.Session
	o.PackedPolicySize = func(percent int) { packed = percent }
	creds, err := session.Create(ctx, f.Config, f.key, o) // with the certificate that the report shows
	if err != nil {
		return f.failed(err, "")
	}
	f.credentials = creds
	r := found(OK, "", "access key %s until %s", creds.AccessKeyID, creds.Expires.UTC().Format(time.RFC3339))
	const much = 80 // percent
	if packed > 0 {
		r.Found += fmt.Sprintf("; policies and tags take %d%% of what STS allows (packedPolicySize)", packed)
	}
	if packed >= much {
		r.add(Warning, "sessions are refused at 100%", "remove attribute mappings from the Roles Anywhere profile, or shorten its session policy")
	}
	return r
}

func checkDuration(_ context.Context, f *facts) Result {
	given := f.credentials.Expires.Sub(f.Now().Round(0)).Round(time.Minute)
	asked := f.Config.SessionDuration
	switch {
	case asked == 0:
		return found(OK, "", "%s, which is the profile's: none was asked for", given)
	case given < asked-time.Minute:
		return found(Note, "raise the duration of the Roles Anywhere profile, or ask for no more with --session-duration", "%s was asked for, %s given", asked, given)
	}
	return found(OK, "", "%s, as asked for", given)
}

func (f *facts) awsClient() (awsapi.Client, error) {
	client, err := f.Client()
	return awsapi.Client{
		HTTP: client, Credentials: f.credentials, Region: f.Config.Region, UseFIPS: f.Config.UseFIPS, UseDualStack: f.Config.UseDualStack,
		STSEndpoint: f.STSEndpoint, EKSEndpoint: f.EKSEndpoint, UserAgent: f.Session.UserAgent(), Now: f.Now, Account: awsapi.AccountOf(f.Config.RoleARN),
	}, err
}

func checkIdentity(ctx context.Context, f *facts) Result {
	client, err := f.awsClient()
	if err != nil {
		return f.failed(err, "")
	}
	identity, err := client.CallerIdentity(ctx)
	if err != nil {
		return f.failed(err, "")
	}
	return found(OK, "", "%s", identity.ARN)
}

// longToken leaves room for a few more session tags.
const longToken = 3500

func checkToken(_ context.Context, f *facts) Result {
	cluster := f.Cluster
	if cluster == "" {
		cluster = "any" // the name is signed and not in the token
	}
	if f.cluster != nil && f.cluster.ID != "" {
		cluster = f.cluster.ID
	}
	token, err := ekstoken.New(f.credentials, ekstoken.Options{
		Cluster: cluster, Region: f.Config.Region, UseFIPS: f.Config.UseFIPS, UseDualStack: f.Config.UseDualStack, SignedAt: f.Now(),
	})
	if err != nil {
		return f.failed(err, "")
	}
	f.token = token.Value
	if f.Session.Secret != nil {
		f.Session.Secret(f.token)
	}
	what := fmt.Sprintf("%d bytes of at most %d", len(token.Value), ekstoken.MaxLength)
	if len(token.Value) > longToken {
		return found(Warning, "remove attribute mappings from the Roles Anywhere profile: each session tag makes it longer", "%s", what)
	}
	return found(OK, "", "%s", what)
}
