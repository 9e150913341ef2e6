package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eks-x509/eks-x509/internal/audit/query"
)

func newAuditSchemaCmd(a *app) *cobra.Command {
	var s query.Schema
	var tables tableFlags
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print the definitions of Athena's tables for audit query",
		Long: `Print the definitions of the tables that audit query --engine athena asks: over a
trail's bucket (--cloudtrail-bucket) and over an exported audit log
(--audit-location). Run them once in Athena, one after the other. They need no
upkeep: new days are found by themselves.`,
		Example: `  eks-x509 audit schema --cloudtrail-bucket s3://example-trail --account 123456789012 --region us-east-1
  eks-x509 audit schema --audit-location s3://example-audit/eks --audit-layout firehose`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := tables.check(); err != nil {
				return err
			}
			s.CloudTrailTable, s.AuditTable, s.Layout = tables.cloudTrail, tables.audit, query.Layout(tables.layout)
			text, err := schemaText(s)
			if err != nil {
				return &usageError{err}
			}
			return a.out.document([]byte(text))
		},
	}
	cmd.Flags().StringVar(&s.CloudTrailBucket, "cloudtrail-bucket", "", "`s3://BUCKET[/PREFIX]` of the trail; with /AWSLogs/ORGANIZATION for an organization's")
	cmd.Flags().StringArrayVar(&s.Accounts, "account", nil, "`ID` of an account whose logs are in it; may be repeated")
	cmd.Flags().StringArrayVar(&s.Regions, "region", nil, "`REGION` whose logs are in it; may be repeated")
	cmd.Flags().StringVar(&s.AuditLocation, "audit-location", "", "`s3://BUCKET[/PREFIX]` of the exported audit log")
	addTables(cmd, &tables)
	cmd.Flags().SortFlags = false
	return cmd
}

func schemaText(s query.Schema) (string, error) {
	var texts []string
	if s.CloudTrailBucket != "" {
		text, err := s.CloudTrail()
		if err != nil {
			return "", err
		}
		texts = append(texts, text)
	}
	if s.AuditLocation != "" {
		text, err := s.Audit()
		if err != nil {
			return "", err
		}
		texts = append(texts, text)
	}
	if texts == nil {
		return "", fmt.Errorf("no --cloudtrail-bucket and no --audit-location given")
	}
	return strings.Join(texts, "\n"), nil
}
