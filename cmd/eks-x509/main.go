// Command eks-x509 reaches Amazon EKS and AWS with an X.509 certificate.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/eks-x509/eks-x509/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second signal ends us at once
	os.Exit(cli.Run(ctx, cli.OS()))
}
