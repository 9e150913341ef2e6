// Command eks-x509 reaches Amazon EKS and AWS with an X.509 certificate.
package main

import (
	"context"
	"os"

	"github.com/eks-x509/eks-x509/internal/cli"
)

func main() {
	ctx, stop := cli.WithSignals(context.Background())
	code := cli.Run(ctx, cli.OS())
	stop()
	os.Exit(code)
}
