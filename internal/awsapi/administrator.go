package awsapi

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/pkg/ekstoken"
)

// What an administrator asks. The SDK's clients for these services would cost
// every start of the program, also kubectl's, a tenth of it.

// base is where a service of the region is, by the SDK's endpoint rules.
func (c Client) base(service string) (string, error) {
	if c.Endpoint != nil {
		if to := c.Endpoint(service); to != "" {
			return strings.TrimSuffix(to, "/"), nil
		}
	}
	sts, err := ekstoken.Host(c.Region, false, c.UseDualStack)
	if err != nil {
		return "", err
	}
	host := service
	plainIsFIPS := strings.HasPrefix(c.Region, "us-gov-") && (service == "cloudformation" || !c.UseDualStack && (service == "cloudtrail" || service == "logs"))
	if c.UseFIPS && !plainIsFIPS {
		host += "-fips"
	}
	return "https://" + host + strings.TrimPrefix(sts, "sts"), nil
}

func (c Client) ask(ctx context.Context, name, service, operation, method, path, body string, header http.Header) (query, answer, error) {
	base, err := c.base(service)
	q := query{
		service: name, operation: operation, client: c.HTTP, now: c.Now, limit: c.MaxAnswer, secrets: c.secrets(),
		attempt: adminAttemptTimeout, whole: adminCallTimeout, waits: c.Waits,
	}
	if c.Waits != nil {
		q.whole = patientCallTimeout
	}
	if c.MaxAnswer > maxAnswer {
		q.attempt, q.whole = largeAttemptTimeout, max(q.whole, largeCallTimeout)
	}
	if err != nil {
		return q, answer{}, err
	}
	q.newRequest = func(ctx context.Context) (*http.Request, error) {
		return c.signed(ctx, service, method, base+path, body, header.Clone())
	}
	a, err := q.do(ctx)
	return q, a, err
}

// CloudFormation does an action of its query protocol; out is filled from the
// …Result element, and may be nil.
//
//	https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/
func (c Client) CloudFormation(ctx context.Context, action string, parameters url.Values, out any) error {
	form := url.Values{"Action": {action}, "Version": {"2010-05-15"}}
	for name, values := range parameters {
		form[name] = values
	}
	q, a, err := c.ask(ctx, "CloudFormation", "cloudformation", action, http.MethodPost, "/", form.Encode(), http.Header{"Content-Type": {formType}})
	if err != nil || out == nil {
		return err
	}
	// The answer is <ActionResponse><ActionResult>…</ActionResult>…: what is asked for is in the inner element.
	d := xml.NewDecoder(strings.NewReader(string(a.body)))
	for {
		t, err := d.Token()
		if err != nil {
			return q.malformed(a, "malformed answer")
		}
		if start, ok := t.(xml.StartElement); ok && start.Name.Local == action+"Result" {
			if d.DecodeElement(out, &start) != nil {
				return q.malformed(a, "malformed answer")
			}
			return nil
		}
	}
}

// List puts values into a query's parameters: name.member.1 and so on.
func List(parameters url.Values, name string, values []string) {
	for i, v := range values {
		parameters.Set(name+".member."+strconv.Itoa(i+1), v)
	}
}

// JSONService is a service of AWS that speaks JSON 1.1.
type JSONService struct {
	Name   string // for a person
	Host   string // first word of its host, which is also what is signed for
	Target string // what comes before the operation in X-Amz-Target
}

// PrivateCA does an operation of AWS Private CA, in JSON; out may be nil.
//
//	https://docs.aws.amazon.com/privateca/latest/APIReference/
func (c Client) PrivateCA(ctx context.Context, operation string, in, out any) error {
	return c.JSON(ctx, JSONService{"Private CA", "acm-pca", "ACMPrivateCA"}, operation, in, out)
}

// JSON does an operation of a service that speaks JSON 1.1; out may be nil.
//
//	https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
func (c Client) JSON(ctx context.Context, service JSONService, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	q, a, err := c.ask(ctx, service.Name, service.Host, operation, http.MethodPost, "/", string(body),
		http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "X-Amz-Target": {service.Target + "." + operation}})
	if err != nil || out == nil {
		return err
	}
	if json.Unmarshal(a.body, out) != nil {
		return q.malformed(a, "malformed answer")
	}
	return nil
}

// TrustAnchor is one of Roles Anywhere.
type TrustAnchor struct {
	ARN     string `json:"trustAnchorArn"`
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
	Source  struct {
		Data struct {
			AcmPcaARN string `json:"acmPcaArn"`
		} `json:"sourceData"`
	} `json:"source"`
}

// TrustAnchors lists those of the account in the region.
func (c Client) TrustAnchors(ctx context.Context) ([]TrustAnchor, error) {
	var all []TrustAnchor
	pages := Pages{Most: MostPages}
	next := ""
	for {
		path := "/trustanchors"
		if next != "" {
			path += "?nextToken=" + url.QueryEscape(next)
		}
		q, a, err := c.ask(ctx, "Roles Anywhere", "rolesanywhere", "ListTrustAnchors", http.MethodGet, path, "", http.Header{"Accept": {"application/json"}})
		if err != nil {
			return nil, err
		}
		var out struct {
			TrustAnchors []TrustAnchor `json:"trustAnchors"`
			NextToken    string        `json:"nextToken"`
		}
		if json.Unmarshal(a.body, &out) != nil {
			return nil, q.malformed(a, "malformed answer")
		}
		all = append(all, out.TrustAnchors...)
		if next = out.NextToken; next == "" {
			return all, nil
		}
		if err := pages.Next(q.service, q.operation, next); err != nil {
			return nil, err
		}
		// One call a second is what AWS takes of these.
		if err := pause(ctx, time.Second); err != nil {
			return nil, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
