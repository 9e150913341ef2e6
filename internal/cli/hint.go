package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/audit"
	"github.com/eks-x509/eks-x509/internal/audit/page"
	"github.com/eks-x509/eks-x509/internal/audit/query"
	"github.com/eks-x509/eks-x509/internal/awsapi"
	"github.com/eks-x509/eks-x509/internal/config"
	"github.com/eks-x509/eks-x509/internal/format"
	"github.com/eks-x509/eks-x509/internal/keys"
	"github.com/eks-x509/eks-x509/internal/provision"
	"github.com/eks-x509/eks-x509/internal/safetext"
	"github.com/eks-x509/eks-x509/internal/term"
	"github.com/eks-x509/eks-x509/pkg/ekstoken"
	"github.com/eks-x509/eks-x509/pkg/x509creds"
)

// hints says what to do about an error, by its type: the one place where the
// program gives advice.
func hints(err error, command string) []string {
	if _, ok := errors.AsType[*format.UnsupportedVersionError](err); ok {
		return []string{"set apiVersion: " + format.ExecV1Beta1 + " in the exec entry of this user in your kubeconfig"}
	}
	if _, ok := errors.AsType[*ekstoken.TooLongError](err); ok {
		return []string{"too many session tags: remove attribute mappings from the Roles Anywhere profile, or use a profile of its own for this cluster"}
	}
	if e, ok := errors.AsType[*config.Error](err); ok {
		return configHints(e, command)
	}
	if _, ok := errors.AsType[*audit.TooManyError](err); ok {
		return []string{"give the logs of fewer days at a time; a session lives up to 12 hours, so begin half a day before the first action"}
	}
	if _, ok := errors.AsType[*nestedError](err); ok {
		return []string{"exit that command first, or say --nested"}
	}
	if e, ok := errors.AsType[*profileExistsError](err); ok {
		return []string{"eks-x509 config set --profile " + safetext.Quote(e.profile) + " KEY VALUE changes it; --profile NAME makes another"}
	}
	if _, ok := errors.AsType[*noContextError](err); ok {
		return []string{"eks-x509 kubeconfig list shows what there is"}
	}
	if e, ok := errors.AsType[*specError](err); ok {
		return []string{e.hint}
	}
	if is[*conflictError](err) {
		return []string{"--force replaces it; another --alias or --user-alias keeps it"}
	}
	if is[*unverifiedError](err) {
		return []string{"leave out --no-verify-ssl and name the CA of your proxy in AWS_CA_BUNDLE, or give --server and --certificate-authority"}
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return []string{command + " --help shows what is taken"}
	}
	if e, ok := errors.AsType[*keys.Error](err); ok {
		return keyHints(e)
	}
	if e, ok := errors.AsType[*x509creds.Error](err); ok {
		if e.Kind == x509creds.Refused {
			return refusalHints(e)
		}
		return unreachableHints(e)
	}
	if e, ok := errors.AsType[*provision.Unattended](err); ok {
		return []string{fmt.Sprintf("CloudFormation goes on with the stack; the same command goes on where it is then, and eks-x509 setup status --stack %s shows how far it got", safetext.Quote(e.Stack))}
	}
	if e, ok := errors.AsType[*provision.Failed](err); ok {
		return failedHints(e)
	}
	if is[*provision.Foreign](err) {
		return []string{"--stack, or stack in access.yaml, names another; only stacks of eks-x509 setup are changed or removed here"}
	}
	if is[*query.Failed](err) {
		return []string{"a shorter --since or more filters make it smaller; eks-x509 audit schema --help says how to define the tables that Athena needs"}
	}
	if is[*provision.Busy](err) {
		return []string{"eks-x509 setup apply goes on with it, or clears away what failed"}
	}
	if e, ok := errors.AsType[*noAWSAuthError](err); ok {
		return []string{fmt.Sprintf("access entries are what it looks at: without awsAuth in access.yaml, eks-x509 setup apply makes one; so does aws eks create-access-entry --cluster-name %s", safetext.Quote(e.cluster))}
	}
	if is[*provision.MappedError](err) {
		return []string{"--replace puts the new entry in its place; with --dry-run it only shows the change"}
	}
	if is[*noStackError](err) {
		return []string{"--stack, --region and --aws-profile name another"}
	}
	if is[*page.TooManyError](err) {
		return []string{"narrow it with --since, --until or another filter; csv and ndjson have no limit"}
	}
	if is[*noEventError](err) {
		return []string{"--cloudtrail takes CloudTrail's log and --kubernetes the API server's; docs/audit.md has the forms that are read"}
	}
	if is[*credentialsError](err) {
		return []string{"this takes your own AWS credentials, as the AWS CLI does: --aws-profile, AWS_PROFILE, aws sso login"}
	}
	if e, ok := errors.AsType[*awsapi.Error](err); ok {
		return serviceHints(e, command)
	}
	return nil
}

// failedHints are for what CloudFormation could not do.
func failedHints(e *provision.Failed) []string {
	var found []string
	if e.Cause != nil && strings.Contains(e.Cause.Reason, "authentication mode") { // EKS, CreateAccessEntry
		found = append(found, "that cluster has the ConfigMap aws-auth and no access entries: awsAuth: true in access.yaml, then setup map-role")
	}
	switch e.Status {
	case "DELETE_FAILED":
		return append(found, "the rest was removed; mend the cause and run it again")
	case "ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_COMPLETE":
		return append(found, "what had been made was rolled back; mend the cause and run it again")
	}
	return append(found, "mend the cause and run setup apply again: it goes on with the rollback first")
}

// serviceHints are for what EKS, STS and a cluster's API server say.
func serviceHints(e *awsapi.Error, command string) []string {
	var found []string
	if s := skewHint(e.ClockSkew); s != "" {
		found = append(found, s)
	}
	// These commands use the administrator's credentials, the others a session's.
	own := e.Service != "EKS" && e.Service != "STS" || strings.Contains(command, " setup ")
	isCluster, isConfigMap := e.Service == awsapi.TheCluster, strings.HasSuffix(e.Operation, "ConfigMap")
	switch {
	case e.Kind == awsapi.Malformed:
		found = append(found, "a proxy or a captive portal may have answered: check HTTPS_PROXY and NO_PROXY")
	case e.Kind == awsapi.Unreachable && isCluster:
		found = append(found, "check the network to the cluster's API server: is its endpoint private, is a VPN or HTTPS_PROXY needed?")
	case e.Kind == awsapi.Unreachable && e.Service != "EKS" && e.Service != "STS":
		found = append(found, "check the network, HTTPS_PROXY and AWS_ENDPOINT_URL")
	case e.Kind == awsapi.Unreachable:
		found = append(found, "check the network, HTTPS_PROXY and AWS_ENDPOINT_URL_"+e.Service)
	case isCluster && e.StatusCode == 401 && isConfigMap:
		found = append(found, "the cluster does not know your own AWS credentials: --aws-profile takes others, those of whoever made the cluster or of one of its administrators")
	case isCluster && e.StatusCode == 403 && isConfigMap:
		found = append(found, "your own AWS credentials must be those of somebody who may get, create and patch the ConfigMap aws-auth in kube-system")
	case isCluster && e.StatusCode == 401:
		found = append(found, "the cluster does not say why: is it the right one, and does it know the role, by an access entry (aws eks create-access-entry) or, without its path, in aws-auth (eks-x509 setup map-role)?")
	case isCluster && e.StatusCode == 403:
		found = append(found, "the cluster knows the user but does not let it do this: it needs an RBAC binding or an EKS access policy")
	case isCluster && e.StatusCode == 404:
		found = append(found, "an API server older than Kubernetes 1.28 can't say who you are: try kubectl get namespaces")
	case e.StatusCode == 429, strings.Contains(e.Code, "Throttl"):
		found = append(found, "try again in a moment")
	case e.Code == "ResourceNotFoundException" && e.Service == "CloudWatch Logs":
		found = append(found, "the cluster's audit log may be off: EKS keeps one from when it is turned on (aws eks update-cluster-config --logging); --log-group and --region name another")
	case e.Service == "Athena" && strings.Contains(e.Message, "output location"):
		found = append(found, "--output-location s3://BUCKET/PREFIX says where Athena may put the results; or a --workgroup that has one")
	case e.Code == "ResourceNotFoundException" && e.Service == "EKS":
		found = append(found, "check the cluster's name and its region: --region names another; aws eks list-clusters shows what there is")
	case strings.HasPrefix(e.Code, "AccessDenied") && e.Service == "STS":
		found = append(found, "the role's policies, and the session policy of the Roles Anywhere profile, must allow it")
	case strings.HasPrefix(e.Code, "AccessDenied") && slices.Contains([]string{"CloudTrail", "CloudWatch Logs", "Athena"}, e.Service):
		found = append(found, "your own AWS credentials must allow "+e.Operation+": docs/audit-query.md has the policy")
	case strings.HasPrefix(e.Code, "AccessDenied") && e.Service == "Private CA":
		found = append(found, "your own AWS credentials must allow "+e.Operation+": docs/setup.md has the policy",
			"if another account shares the CA (AWS RAM), its resource policy decides which template you may use (aws acm-pca get-policy): the default one allows --template-arn arn:aws:acm-pca:::template/EndEntityCertificate/V1 alone")
	case strings.HasPrefix(e.Code, "AccessDenied") && own:
		found = append(found, "your own AWS credentials must allow "+e.Operation+": docs/setup.md has the policy")
	case strings.HasPrefix(e.Code, "AccessDenied"):
		found = append(found, "the role needs eks:DescribeCluster on this cluster; without it: kubeconfig update --server URL --certificate-authority FILE")
	case strings.Contains(e.Code, "ExpiredToken") && own:
		found = append(found, "your AWS credentials have ended: get new ones (aws sso login)")
	case own && slices.Contains([]string{"UnrecognizedClientException", "InvalidClientTokenId", "SignatureDoesNotMatch", "InvalidSignatureException"}, e.Code):
		found = append(found, "AWS does not take your own AWS credentials: --aws-profile or AWS_PROFILE names others; a region that does not exist (--region) is answered so as well")
	case strings.Contains(e.Code, "ExpiredToken"), strings.Contains(e.Code, "UnrecognizedClient"), strings.Contains(e.Code, "InvalidClientTokenId"):
		found = append(found, "the kept session is no longer taken: eks-x509 cache clear")
	}
	return found
}

func configHints(e *config.Error, command string) []string {
	if u, ok := errors.AsType[*config.Untrusted](e); ok {
		return []string{"make it yours, and let nobody else write it and its directory: chmod go-w " + safetext.File(u.Path)}
	}
	switch {
	case e.Content:
		return []string{"write it to a file, a private key to one that only you can read, and give that file's name"}
	case e.Where == "AWS_CA_BUNDLE":
		return []string{"AWS_CA_BUNDLE takes the place of the system's roots; unset it unless a proxy or the sandbox needs it"}
	case e.Where == "--profile" || e.Where == "EKS_X509_PROFILE":
		return []string{"eks-x509 config list shows the profiles"}
	case e.Missing:
		return []string{"eks-x509 config init asks for what is needed and writes it down", "to try without an AWS account: eks-x509 sandbox --for eks-x509 token --cluster-name sandbox"}
	case strings.HasPrefix(e.Where, "--"):
		return []string{command + " --help shows what is taken"}
	default:
		return nil
	}
}

func keyHints(e *keys.Error) []string {
	switch e.Reason {
	case keys.PasswordNeeded:
		if errors.Is(e, term.ErrNoTerminal) {
			return []string{"give the password by --key-password-file or EKS_X509_KEY_PASSWORD; a program that calls us has no terminal to ask at"}
		}
		return []string{"the password comes from --key-password-file, EKS_X509_KEY_PASSWORD or the terminal"}
	case keys.WrongPassword:
		return []string{"the password comes from --key-password-file, EKS_X509_KEY_PASSWORD or the terminal"}
	case keys.LegacyEncryption:
		return []string{fmt.Sprintf("convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in %s -out new.key", safetext.File(e.File))}
	case keys.Unsupported:
		if e.Encryption {
			return []string{fmt.Sprintf("convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in %s -out new.key", safetext.File(e.File)),
				"if OpenSSL 3 says \"unsupported\", add: -provider default -provider legacy"}
		}
	case keys.SeveralKeys:
		return []string{"give the certificate of one of them, in a file of its own, as --certificate"}
	case keys.UnsupportedKey:
		return []string{"make a new key and have a certificate issued for it: eks-x509 cert new --help"}
	case keys.KeyMismatch:
		return []string{"give the certificate that was issued for this key, or the key from which it was requested"}
	case keys.Expired:
		return []string{"get a new certificate from your CA; if it should be valid, check this machine's clock"}
	case keys.NotYetValid:
		return []string{"check this machine's clock"}
	case keys.NotVersion3, keys.IsCA, keys.NoDigitalSignature, keys.EmptySubject, keys.WeakSignature:
		return []string{"have it issued again: X.509 v3, basicConstraints CA:FALSE, keyUsage digitalSignature, a subject, SHA-256 or better"}
	case keys.NoCertificate, keys.NoPrivateKey:
		return []string{"--certificate takes the certificate, --private-key its key"}
	}
	return nil
}

// refusalHints follows the table of AWS's messages, cause and fix. AWS's words
// are matched loosely: they are not documented to stay.
func refusalHints(e *x509creds.Error) []string {
	var found []string
	if s := skewHint(e.ClockSkew); s != "" {
		found = append(found, s)
	}
	message := strings.ToLower(e.Message)
	for _, row := range []struct{ words, hint string }{
		{"revoked", "get a new certificate: this one was revoked"},
		{"untrusted signing certificate", "no chain from your certificate to this trust anchor: give the CA certificates between them (--intermediates or a full-chain file), and check that --trust-anchor-arn is the anchor of your CA"},
		{"insufficient certificate", "have the certificate issued again: X.509 v3, CA:FALSE, keyUsage digitalSignature, SHA-256 or better"},
		{"untrusted certificate", "the certificate is expired, revoked or not of this trust anchor's CA; ask whoever runs the CA"},
		{"invalid signature", "something on the way changed the request (a proxy?), or this machine's clock is wrong"},
		{"maxsessionduration", "ask for less with --session-duration, lower the profile's duration, or raise the role's maximum session duration"},
		{"durationseconds", "ask for less with --session-duration, or raise the role's maximum session duration"},
		{"not authorized to set rolesessionname", "leave out --role-session-name, or set acceptRoleSessionName on the profile"},
		{"failed to be mapped into session tags", "the names that AWS lists have characters that session tags can't have (letters, digits, spaces and _.:/=+-@ are allowed), so that no condition of the trust policy fits them: compare another name (role.subject, role.san or role.issuer in access.yaml), or have a certificate issued without such characters; eks-x509 cert show FILE lists the tags that are set"},
		{"unable to assume role", "the role's trust policy must allow rolesanywhere.amazonaws.com sts:AssumeRole, sts:TagSession and sts:SetSourceIdentity, its conditions must fit your certificate, and the profile must hold the role"},
		{"sts:assumerole", "the role's trust policy must allow rolesanywhere.amazonaws.com sts:AssumeRole, sts:TagSession and sts:SetSourceIdentity, and the profile must hold the role"},
		{"packed", "session policy and tags are too big: remove attribute mappings from the profile"},
		{"not enabled", "enable the trust anchor and the profile in the Roles Anywhere console"},
	} {
		if strings.Contains(message, row.words) {
			return append(found, row.hint)
		}
	}
	switch {
	case e.Code == "ResourceNotFoundException":
		found = append(found, "check --trust-anchor-arn and --profile-arn: region, account, and ID or alias; was it deleted?")
	case e.StatusCode == 429 || strings.Contains(e.Code, "Throttl"):
		found = append(found, "Roles Anywhere takes 10 CreateSession calls a second for each account and region; try again in a moment")
	case len(found) == 0:
		found = append(found, "check the three ARNs, the certificate's CA and the role's trust policy; AWS support can look up the request id")
	}
	return found
}

func skewHint(skew time.Duration) string {
	if skew.Abs() < 4*time.Minute { // AWS takes 5 either way
		return ""
	}
	side := "behind"
	if skew < 0 {
		side = "ahead of"
	}
	return fmt.Sprintf("this machine's clock is %s %s AWS's: set it right", skew.Abs(), side)
}

func unreachableHints(e *x509creds.Error) []string {
	switch {
	case e.Kind == x509creds.Misconfigured:
		return nil
	case is[x509.HostnameError](e):
		return []string{"the server's certificate is for another name: check --endpoint"}
	case is[*tls.CertificateVerificationError](e), is[x509.UnknownAuthorityError](e):
		return []string{"if a proxy of your company ends TLS, put its CA into a file and name it in AWS_CA_BUNDLE"}
	case is[*net.DNSError](e):
		return []string{"check the network and DNS; behind a proxy, set HTTPS_PROXY; FIPS endpoints of Roles Anywhere are in the US only"}
	case is[*x509creds.ForeignAnswerError](e), e.Kind == x509creds.Malformed:
		return []string{"a proxy or a captive portal may have answered: check HTTPS_PROXY, NO_PROXY and --endpoint"}
	case e.Kind == x509creds.Unsigned:
		return nil
	case e.StatusCode >= 500:
		return []string{"AWS is in trouble for the moment; try again"}
	default:
		return []string{"check the network, HTTPS_PROXY and --endpoint"}
	}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
