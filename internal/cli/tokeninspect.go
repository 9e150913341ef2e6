package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/pkg/ekstoken"
)

func newTokenInspectCmd(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "inspect [TOKEN|-]",
		Short: "Take a token apart and say what a cluster would refuse",
		Long: `Take a token, or the ExecCredential around it, apart and say what a cluster would
refuse. Without an argument, or with -, it is read from stdin: an argument can
be read by every user of the machine. Nothing is sent anywhere; the signature
itself only AWS can check. Exit status 1 if the token would be refused.`,
		Example: `  eks-x509 token --cluster-name my-cluster | eks-x509 token inspect -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return misuse("too many arguments: one token is inspected")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			token, err := readToken(a.Stdin, args)
			if err != nil {
				return err
			}
			now := a.Now()
			i := ekstoken.Inspect(token, now)
			if output == "json" {
				err = a.out.json(inspectionJSON(i))
			} else {
				err = a.out.table(inspectionRows(i, now))
			}
			if err != nil {
				return err
			}
			if len(i.Problems) > 0 {
				return fmt.Errorf("inspecting token: it would be refused: %s", strings.Join(i.Problems, "; "))
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	addChoices(cmd, "output", "text", "json")
	return cmd
}

// readToken takes a bare token or an ExecCredential.
func readToken(stdin io.Reader, args []string) (string, error) {
	text := ""
	if len(args) == 1 && args[0] != "-" {
		text = args[0]
	} else {
		const limit = 1 << 20
		data, err := io.ReadAll(io.LimitReader(stdin, limit))
		if err != nil {
			return "", fmt.Errorf("reading token from stdin: %w", err)
		}
		text = string(data)
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return "", misuse("reading token: empty")
	}
	if !strings.HasPrefix(text, "{") {
		return text, nil
	}
	var credential struct {
		Status struct {
			Token string `json:"token"`
		} `json:"status"`
	}
	// The decoder's own error may quote the input.
	if json.Unmarshal([]byte(text), &credential) != nil {
		return "", errors.New("reading token: malformed JSON")
	}
	if credential.Status.Token == "" {
		return "", errors.New("reading token: no status.token found in the JSON")
	}
	return credential.Status.Token, nil
}

func inspectionRows(i ekstoken.Inspection, now time.Time) [][]string {
	var rows [][]string
	row := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	row("host", i.Host)
	row("region", i.Region)
	row("access key id", i.AccessKeyID)
	if i.Host != "" {
		row("cluster id header", map[bool]string{true: "signed", false: "not signed"}[i.ClusterHeader])
	}
	if !i.SignedAt.IsZero() {
		row("signed at", i.SignedAt.Format(time.RFC3339)+" ("+relative(i.SignedAt.Sub(now))+")")
		row("valid until", i.ValidUntil.Format(time.RFC3339)+" ("+relative(i.ValidUntil.Sub(now))+")")
	}
	row("length", fmt.Sprintf("%d of at most %d bytes", i.Length, ekstoken.MaxLength))
	for _, p := range i.Problems {
		row("refused", p)
	}
	if len(i.Problems) == 0 {
		row("verdict", "well formed; the signature only AWS can check")
	}
	return rows
}

func relative(d time.Duration) string {
	length := d.Abs().Truncate(time.Second).String()
	if days := int(d.Abs().Hours()) / 24; days > 1 {
		length = fmt.Sprintf("%d days", days)
	}
	if d < 0 {
		return length + " ago"
	}
	return "in " + length
}

func inspectionJSON(i ekstoken.Inspection) any {
	type report struct {
		Host          string     `json:"host"`
		Region        string     `json:"region"`
		AccessKeyID   string     `json:"accessKeyId"`
		ClusterHeader bool       `json:"clusterHeaderSigned"`
		SignedAt      *time.Time `json:"signedAt"`
		ValidUntil    *time.Time `json:"validUntil"`
		Length        int        `json:"length"`
		MaxLength     int        `json:"maxLength"`
		Problems      []string   `json:"problems"`
	}
	r := report{Host: i.Host, Region: i.Region, AccessKeyID: i.AccessKeyID, ClusterHeader: i.ClusterHeader, Length: i.Length,
		MaxLength: ekstoken.MaxLength, Problems: append([]string{}, i.Problems...)}
	if !i.SignedAt.IsZero() {
		r.SignedAt, r.ValidUntil = &i.SignedAt, &i.ValidUntil
	}
	return r
}
