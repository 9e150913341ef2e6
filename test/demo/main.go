// Command demo makes the two calls of `make demo` that eks-x509 leaves to
// others, with the AWS SDK for Go and a plain HTTPS client:
//
//	demo get-caller-identity    who am I, asked of STS with the environment's credentials
//	demo token-review           whom does the cluster's webhook see in the token on stdin
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func main() {
	var err error
	switch strings.Join(os.Args[1:], " ") {
	case "get-caller-identity":
		err = getCallerIdentity(context.Background())
	case "token-review":
		err = tokenReview(os.Getenv("EKS_X509_SANDBOX"), os.Getenv("AWS_CA_BUNDLE"), os.Stdin)
	default:
		err = errors.New("usage: demo get-caller-identity | demo token-review")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func getCallerIdentity(ctx context.Context) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	me, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, nil)
	if err != nil {
		return err
	}
	return show(map[string]string{"UserId": aws.ToString(me.UserId), "Account": aws.ToString(me.Account), "Arn": aws.ToString(me.Arn)})
}

// tokenReview asks as an API server does.
func tokenReview(url, caFile string, stdin io.Reader) error {
	token, err := io.ReadAll(stdin)
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	body, err := json.Marshal(map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
		"spec": map[string]string{"token": strings.TrimSpace(string(token))},
	})
	if err != nil {
		return err
	}
	response, err := client.Post(url+"/authenticate", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Status any `json:"status"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	if err := show(answer.Status); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("refused: HTTP %d", response.StatusCode)
	}
	return nil
}

func show(v any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
