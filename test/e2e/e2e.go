// Package e2e puts eks-x509 among programs that nobody here wrote: a Kubernetes control plane with its RBAC and audit log,
// aws-iam-authenticator as its token webhook, kubectl, the AWS CLI, boto3 and the AWS SDK for JavaScript. The sandbox is AWS, reached by
// AWS's own host names through its CONNECT proxy. There is nothing here to import.
//
// To run it, on Debian: make e2e. The first run builds Kubernetes, some minutes; everything listens on loopback, and ends with the run.
package e2e
