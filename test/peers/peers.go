// Package peers holds our program and its sandbox against programs that others wrote: AWS's own credential helper
// (github.com/aws/rolesanywhere-credential-helper v1.7.3, a module of its own in awshelper, so that it is built with its own
// dependencies) and the verifier with which a cluster checks a token and reads aws-auth (sigs.k8s.io/aws-iam-authenticator v0.6.13).
// There is nothing here to import.
//
// To run it, with Go alone (the helper needs cgo; without a C compiler what needs it is skipped):
//
//	cd test/peers && go test ./...
package peers
