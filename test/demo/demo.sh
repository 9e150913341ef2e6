#!/bin/sh
# The main job from end to end, inside `eks-x509 sandbox --for`. Each command is
# shown as it is typed, then run.
set -eu

step() { printf '\n# %s\n' "$1"; }
type_() { printf '$ %s\n' "$1"; eval "$1"; }

step 'The sandbox has set the environment: a certificate, its key, three ARNs.'
type_ 'env | grep ^EKS_X509_ | sort'

step 'As an AWS credential_process: session credentials for the certificate.'
type_ 'eks-x509 credential-process | cut -c 1-120'

step 'For a shell.'
type_ 'eval "$(eks-x509 env)"'
type_ 'echo "$AWS_ACCESS_KEY_ID until $AWS_CREDENTIAL_EXPIRATION"'

step 'Who is that, to STS: the role, and as session name the serial number.'
if command -v aws >/dev/null 2>&1 && aws --version >/dev/null 2>&1; then
	type_ 'aws sts get-caller-identity --output json'
else
	echo '# (no AWS CLI here; the same call by the AWS SDK for Go)'
	type_ 'demo get-caller-identity'
fi
type_ 'openssl x509 -noout -subject -serial -in "$EKS_X509_CERTIFICATE"' 2>/dev/null || echo '# (no openssl here)'

step 'As an exec plugin of kubectl: a token for a cluster.'
type_ 'eks-x509 token --cluster-name sandbox | cut -c 1-160'
type_ 'eks-x509 token --cluster-name sandbox | eks-x509 token inspect'

step 'What the API server learns of that token from its webhook (TokenReview).'
type_ 'eks-x509 token --cluster-name sandbox --token-only | demo token-review'

step 'One command, and kubectl works. The kubeconfig of the demo is in the sandbox.'
type_ 'eks-x509 kubeconfig update --cluster-name sandbox'
if command -v kubectl >/dev/null 2>&1; then
	type_ 'kubectl get namespaces'
else
	echo '# (no kubectl here)'
fi

step 'Who AWS, the certificate and the cluster say you are.'
type_ 'eks-x509 whoami --cluster-name sandbox'

step 'And when something is wrong, doctor says what, why and what to do.'
if type_ 'eks-x509 doctor --cluster-name sandbox --role-arn arn:aws:iam::123456789012:role/unmapped | tail -n 9'; then :; fi

step 'Every error is one line, and a hint: a name that the profile does not accept.'
if type_ 'eks-x509 token --cluster-name sandbox --role-session-name alice'; then
	echo 'the sandbox took a session name that it must refuse' >&2
	exit 1
fi

step 'The administrator: CA, trust anchor, role, profile, access entry: one stack.'
type_ 'eks-x509 setup apply --aws-profile administrator --yes --stack team --new-ca "Team CA" \
    --subject-cn alice --cluster-name sandbox --username "x509:{{SessionName}}" --group view'
type_ 'ca=$(eks-x509 setup status --aws-profile administrator --stack team |
    sed -n "s/^CertificateAuthorityArn *//p")'

step 'Alice makes a key, which stays with her, and the CA signs her request.'
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
type_ 'eks-x509 cert new --private-key alice.key --csr alice.csr --common-name alice'
type_ 'eks-x509 cert request --aws-profile administrator --ca-arn "$ca" \
    --csr alice.csr --certificate alice.pem --validity 7d'
type_ 'eks-x509 setup profile --aws-profile administrator --stack team --profile alice \
    --certificate alice.pem --private-key alice.key'

step 'Who the cluster says she is. (Variables would win over her profile.)'
type_ 'unset EKS_X509_TRUST_ANCHOR_ARN EKS_X509_PROFILE_ARN EKS_X509_ROLE_ARN \
    EKS_X509_CERTIFICATE EKS_X509_PRIVATE_KEY'
type_ 'eks-x509 whoami --profile alice --cluster-name sandbox | grep -E "^(arn|certificate|kubernetes)"'

step 'Who did what: CloudTrail and the audit log of the cluster, joined.'
type_ 'logs=${EKS_X509_CONFIG%/*}   # the folder of the sandbox'
type_ 'eks-x509 audit timeline --subject CN=alice \
    --cloudtrail "$logs/cloudtrail.jsonl" --kubernetes "$logs/audit.jsonl"'

step 'All of it back again: the stack goes, its CA is disabled, alice is refused.'
type_ 'eks-x509 setup remove --aws-profile administrator --yes --stack team'
if type_ 'eks-x509 whoami --profile alice --no-cache'; then
	echo 'the sandbox let in whoever the set-up, which is gone, let in' >&2
	exit 1
fi
printf '\nIt works. The real thing: README.md, "The first real cluster".\n'
