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

step 'Who is that? STS knows: the role, and as session name the serial number of the certificate.'
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

step 'What the API server learns from its webhook (TokenReview) when it gets that token.'
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
printf '\nIt works. The real thing: README.md, "The first real cluster".\n'
