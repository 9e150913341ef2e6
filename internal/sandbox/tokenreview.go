package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// The checks are those of aws-iam-authenticator, pkg/token/token.go, in its order, and the stricter ones that a careful verifier adds:
// the signature's scope, exactly these signed headers, and nothing in the URL that has no business there.

const (
	tokenPrefix    = "k8s-aws-v1."
	maxTokenLength = 4096 // token.go: maxTokenLenBytes
	clusterHeader  = "x-k8s-aws-id"
)

// presignedToken is a token that is well formed and fresh; its signature is not yet checked.
type presignedToken struct {
	endpoint endpoint
	host     string
	query    string
}

// parseToken tells no more of a token in its errors than the names in it: even a malformed one may hold a good signature.
func parseToken(token string, partition string, now time.Time) (*presignedToken, error) {
	if len(token) > maxTokenLength {
		return nil, errors.New("token is too large")
	}
	encoded, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok {
		return nil, fmt.Errorf("token is missing expected %q prefix", tokenPrefix)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || base64.RawURLEncoding.EncodeToString(raw) != encoded { // the decoder skips line ends
		return nil, errors.New("token is not base64url without padding")
	}
	u, err := url.Parse(string(raw))
	if err != nil {
		return nil, errors.New("token does not hold a URL")
	}
	switch {
	case u.Scheme != "https":
		return nil, fmt.Errorf("unexpected scheme %q in pre-signed URL", u.Scheme)
	case u.User != nil:
		return nil, errors.New("user information in pre-signed URL")
	case strings.Contains(string(raw), "#"):
		return nil, errors.New("fragment in pre-signed URL")
	}
	t := &presignedToken{host: u.Host, query: u.RawQuery}
	if !hostPattern().MatchString(u.Host) {
		return nil, errors.New("malformed hostname in pre-signed URL")
	}
	if t.endpoint, ok = parseHost(u.Host); !ok || !t.endpoint.acceptedByEKS() || t.endpoint.partition.id != partition {
		return nil, fmt.Errorf("unexpected hostname %q in pre-signed URL", u.Host)
	}
	if u.EscapedPath() != "/" {
		return nil, errors.New("unexpected path in pre-signed URL")
	}
	query, err := parseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("malformed query parameter")
	}
	return t, checkTokenQuery(query, t.endpoint.region, now)
}

var (
	hostPattern       = lazy(`^[A-Za-z0-9.:-]+$`)
	expiresPattern    = lazy(`^([0-9]{1,2}|[0-8][0-9]{2}|900)$`)
	signaturePattern  = lazy(`^[0-9a-f]{64}$`)
	credentialPattern = lazy(`^[A-Z0-9]{16,128}/(\d{8})/([a-z0-9-]+)/sts/aws4_request$`)
)

// checkTokenQuery wants these nine parameters, each once.
func checkTokenQuery(query []parameter, region string, now time.Time) error {
	values, seen := map[string]string{}, map[string]bool{}
	for _, p := range query {
		lower := strings.ToLower(p.name)
		if seen[lower] {
			return fmt.Errorf("query parameter with multiple values not supported: %q", p.name)
		}
		seen[lower], values[p.name] = true, p.value
	}
	for _, p := range query {
		switch p.name {
		case "Action", "Version", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Security-Token",
			"X-Amz-Signature", "X-Amz-SignedHeaders":
		default:
			return fmt.Errorf("non-whitelisted query parameter %q", p.name)
		}
	}
	if values["Action"] != "GetCallerIdentity" {
		return errors.New("unexpected action parameter in pre-signed URL")
	}
	if values["X-Amz-SignedHeaders"] != "host;"+clusterHeader {
		return fmt.Errorf("signed headers are %q (want %q)", values["X-Amz-SignedHeaders"], "host;"+clusterHeader)
	}
	if e := values["X-Amz-Expires"]; !expiresPattern().MatchString(e) {
		return errors.New("invalid X-Amz-Expires parameter in pre-signed URL")
	}
	date, err := parseAMZDate(values["X-Amz-Date"])
	if err != nil {
		return errors.New("X-Amz-Date parameter must be present and of the form YYYYMMDDTHHMMSSZ in pre-signed URL")
	}
	if ageProblem(date, now, maxPresignedAge) != "" {
		return fmt.Errorf("X-Amz-Date parameter is expired or not yet current (%s) at %s", values["X-Amz-Date"], now.UTC().Format(amzDateFormat))
	}
	credential := credentialPattern().FindStringSubmatch(values["X-Amz-Credential"])
	switch {
	case values["Version"] != stsVersion:
		return errors.New("unexpected version parameter in pre-signed URL")
	case values["X-Amz-Algorithm"] != "AWS4-HMAC-SHA256":
		return errors.New("unexpected X-Amz-Algorithm parameter in pre-signed URL")
	case credential == nil || credential[1] != values["X-Amz-Date"][:8] || credential[2] != region:
		return errors.New("X-Amz-Credential parameter does not fit date and host of the pre-signed URL")
	case !signaturePattern().MatchString(values["X-Amz-Signature"]):
		return errors.New("malformed X-Amz-Signature parameter in pre-signed URL")
	}
	return nil
}

// tokenReview is a Kubernetes webhook, https://kubernetes.io/docs/reference/access-authn-authz/authentication/#webhook-token-authentication.
type tokenReview struct {
	APIVersion string             `json:"apiVersion"`
	Kind       string             `json:"kind"`
	Spec       *tokenReviewSpec   `json:"spec,omitempty"`
	Status     *tokenReviewStatus `json:"status,omitempty"`
}

type tokenReviewSpec struct {
	Token string `json:"token"`
}

type tokenReviewStatus struct {
	Authenticated bool            `json:"authenticated"`
	User          *kubernetesUser `json:"user,omitempty"`
	Error         string          `json:"error,omitempty"`
}

type kubernetesUser struct {
	Username string              `json:"username"`
	UID      string              `json:"uid"`
	Groups   []string            `json:"groups"`
	Extra    map[string][]string `json:"extra"`
	Policies []AccessPolicy      `json:"-"` // EKS's, which no webhook tells
}

// authenticate answers POST /authenticate?cluster=NAME with the HTTP statuses of aws-iam-authenticator, 403 for a token refused.
func (c *call) authenticate() *response {
	review := tokenReview{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"}
	if c.wire.method != http.MethodPost {
		return c.reviewError(review, refuse(http.StatusMethodNotAllowed, "MethodNotAllowed", "expected POST", "method %s", c.wire.method))
	}
	var asked tokenReview
	if err := json.Unmarshal(c.wire.body, &asked); err != nil || asked.Spec == nil {
		return c.reviewError(review, refuse(http.StatusBadRequest, "BadRequest", "expected a valid TokenReview", "malformed body"))
	}
	switch asked.APIVersion {
	case "":
	case "authentication.k8s.io/v1", "authentication.k8s.io/v1beta1":
		review.APIVersion = asked.APIVersion
	default:
		return c.reviewError(review, refuse(http.StatusBadRequest, "BadRequest", "expected a valid TokenReview", "unsupported apiVersion %q", asked.APIVersion))
	}
	if asked.Kind != "" && asked.Kind != review.Kind {
		return c.reviewError(review, refuse(http.StatusBadRequest, "BadRequest", "expected a valid TokenReview", "kind %q", asked.Kind))
	}
	query, err := url.ParseQuery(c.wire.query)
	if err != nil {
		return c.reviewError(review, refuse(http.StatusBadRequest, "BadRequest", "malformed query", "%v", err))
	}
	cluster := c.world.cluster(query.Get("cluster"))
	if cluster == nil {
		return c.reviewError(review, refuse(http.StatusForbidden, "Forbidden", "no such cluster", "no cluster %q", query.Get("cluster")))
	}
	user, refusal := c.user(asked.Spec.Token, cluster)
	if refusal != nil {
		return c.reviewError(review, refusal)
	}
	c.entry.Username = user.Username
	review.Status = &tokenReviewStatus{Authenticated: true, User: user}
	return jsonResponse(http.StatusOK, review)
}

func (c *call) reviewError(review tokenReview, r *Refusal) *response {
	c.refused(r)
	review.Status = &tokenReviewStatus{Error: r.Message}
	return jsonResponse(r.Status, review)
}

// user is whom a token stands for in a cluster.
func (c *call) user(token string, cluster *Cluster) (*kubernetesUser, *Refusal) {
	c.entry.Cluster = cluster.Name
	t, err := parseToken(token, partitionOf(cluster.Region).id, c.now)
	if err != nil {
		return nil, refuse(http.StatusForbidden, "Forbidden", "input token was not properly formatted: "+err.Error(), "%v", err)
	}
	// The server, not the token, says which cluster: a token for another one has another signature.
	w := &wireRequest{
		method: http.MethodGet, path: "/", query: t.query, host: t.host,
		header: http.Header{http.CanonicalHeaderKey(clusterHeader): {cluster.Name}},
	}
	s, a, refusal := c.verifyHMAC(w, "sts", t.endpoint.region)
	if refusal != nil {
		return nil, refuse(http.StatusForbidden, refusal.Code, "sts getCallerIdentity failed: "+refusal.Code+": "+refusal.Message, "%s", refusal.Reason)
	}
	c.entry.RoleARN, c.entry.SessionName = s.role.ARN, s.name
	canonical := withoutPath(s.role.ARN)
	if s.isAdministrator() {
		return s.user(&Mapping{Username: administratorName, Groups: []string{"system:masters"}}, s.role.ARN, a.keyID), nil
	}
	m := cluster.mapping(canonical)
	if m == nil {
		return nil, refuse(http.StatusForbidden, "Forbidden", "identity is not mapped", "no mapping for %q in cluster %q", canonical, cluster.Name)
	}
	return s.user(m, canonical, a.keyID), nil
}

func withoutPath(roleARN string) string {
	prefix, _, _ := strings.Cut(roleARN, "/")
	return prefix + "/" + path.Base(roleARN)
}

func (s *session) user(m *Mapping, canonicalARN, accessKeyID string) *kubernetesUser {
	render := strings.NewReplacer(
		"{{SessionName}}", strings.ReplaceAll(s.name, "@", "-"),
		"{{SessionNameRaw}}", s.name,
		"{{AccountID}}", s.account(),
		"{{AccessKeyID}}", accessKeyID,
	)
	groups := make([]string, len(m.Groups))
	for i, g := range m.Groups {
		groups[i] = render.Replace(g)
	}
	return &kubernetesUser{
		Username: render.Replace(m.Username),
		UID:      "aws-iam-authenticator:" + s.account() + ":" + s.role.RoleID,
		Groups:   groups,
		Extra: map[string][]string{
			"accessKeyId":  {accessKeyID},
			"arn":          {s.arn()},
			"canonicalArn": {canonicalARN},
			"principalId":  {s.role.RoleID},
			"sessionName":  {s.name},
			"sigs.k8s.io/aws-iam-authenticator/principalId": {s.role.RoleID},
		},
		Policies: m.AccessPolicies,
	}
}
