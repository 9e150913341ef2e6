package query

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
)

func lazy(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

// Layout is how an audit log came from CloudWatch Logs into S3.
type Layout string

// Firehose: a subscription filter, with decompression and message extraction in
// Firehose, in folders of hours. Export: CreateExportTask, in folders of tasks,
// with the time before each message.
const (
	Firehose Layout = "firehose"
	Export   Layout = "export"
)

// Schema is what the two tables are about.
type Schema struct {
	CloudTrailTable, AuditTable string
	CloudTrailBucket            string   // s3://BUCKET[/PREFIX]
	Accounts, Regions           []string // whose logs are in it
	AuditLocation               string   // s3://BUCKET[/PREFIX]
	Layout                      Layout
}

var (
	locationPattern = lazy(`^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*()=+@:,/-]*)?$`)
	accountPattern  = lazy(`^[0-9]{12}$`)
	regionPattern   = lazy(`^[a-z]{2,4}(-[a-z]+)+-[0-9]$`)
	tablePattern    = lazy(`^[a-z_][a-z0-9_]{0,127}$`)
)

// CheckTable says what is wrong with a table's name: only such names need no
// quoting anywhere.
func CheckTable(name string) error {
	if !tablePattern().MatchString(name) {
		return fmt.Errorf("invalid table name %q: lower-case letters, digits and _ are taken", name)
	}
	return nil
}

// CheckLocation says what is wrong with a place in S3.
func CheckLocation(location string) error {
	if !locationPattern().MatchString(location) {
		return fmt.Errorf("invalid location %q: s3://BUCKET or s3://BUCKET/PREFIX is needed", location)
	}
	return nil
}

// CloudTrail is the definition of the table over a trail's bucket: that of AWS's
// page, with the account and the region as partitions too.
//
//	https://docs.aws.amazon.com/athena/latest/ug/create-cloudtrail-table-partition-projection.html
func (s Schema) CloudTrail() (string, error) {
	if err := CheckLocation(s.CloudTrailBucket); err != nil {
		return "", err
	}
	if err := CheckTable(s.CloudTrailTable); err != nil {
		return "", err
	}
	if len(s.Accounts) == 0 || len(s.Regions) == 0 {
		return "", fmt.Errorf("no account or no region given of whose logs are in %s", s.CloudTrailBucket)
	}
	for _, a := range s.Accounts {
		if !accountPattern().MatchString(a) {
			return "", fmt.Errorf("invalid account %q: 12 digits are needed", a)
		}
	}
	for _, r := range s.Regions {
		if !regionPattern().MatchString(r) {
			return "", fmt.Errorf("invalid region %q", r)
		}
	}
	base := strings.TrimSuffix(s.CloudTrailBucket, "/")
	if !strings.Contains(base+"/", "/AWSLogs/") { // an organization's trail has its id after that
		base += "/AWSLogs"
	}
	return fmt.Sprintf(`CREATE EXTERNAL TABLE %s (
  eventversion STRING,
  useridentity STRUCT<
    type: STRING, principalid: STRING, arn: STRING, accountid: STRING, invokedby: STRING, accesskeyid: STRING, username: STRING,
    sessioncontext: STRUCT<
      attributes: STRUCT<mfaauthenticated: STRING, creationdate: STRING>,
      sessionissuer: STRUCT<type: STRING, principalid: STRING, arn: STRING, accountid: STRING, username: STRING>>>,
  eventtime STRING,
  eventsource STRING,
  eventname STRING,
  awsregion STRING,
  sourceipaddress STRING,
  useragent STRING,
  errorcode STRING,
  errormessage STRING,
  requestparameters STRING,
  responseelements STRING,
  additionaleventdata STRING,
  requestid STRING,
  eventid STRING,
  readonly STRING,
  resources ARRAY<STRUCT<arn: STRING, accountid: STRING, type: STRING>>,
  eventtype STRING,
  apiversion STRING,
  recipientaccountid STRING,
  serviceeventdetails STRING,
  sharedeventid STRING,
  vpcendpointid STRING)
PARTITIONED BY (account STRING, region STRING, %s STRING)
ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe'
STORED AS INPUTFORMAT 'com.amazon.emr.cloudtrail.CloudTrailInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
LOCATION '%s/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.account.type' = 'enum',
  'projection.account.values' = '%s',
  'projection.region.type' = 'enum',
  'projection.region.values' = '%s',
%s
  'storage.location.template' = '%s/${account}/CloudTrail/${region}/${%s}');
`, s.CloudTrailTable, "`"+partition+"`", base, strings.Join(s.Accounts, ","), strings.Join(s.Regions, ","), dates("yyyy/MM/dd", "2020/01/01", "DAYS"), base, partition), nil
}

func dates(format, since, unit string) string {
	return fmt.Sprintf(`  'projection.%[1]s.type' = 'date',
  'projection.%[1]s.format' = '%[2]s',
  'projection.%[1]s.range' = '%[3]s,NOW',
  'projection.%[1]s.interval' = '1',
  'projection.%[1]s.interval.unit' = '%[4]s',`, partition, format, since, unit)
}

// Audit is the definition of the table over an exported audit log: one column,
// the event as JSON; NULL for lines of other logs.
//
//	https://docs.aws.amazon.com/athena/latest/ug/regex-serde.html
func (s Schema) Audit() (string, error) {
	if err := CheckLocation(s.AuditLocation); err != nil {
		return "", err
	}
	if err := CheckTable(s.AuditTable); err != nil {
		return "", err
	}
	location := strings.TrimSuffix(s.AuditLocation, "/")
	partitioned, projection := "", ""
	if s.Layout == Firehose {
		partitioned = "PARTITIONED BY (`" + partition + "` STRING)\n"
		projection = fmt.Sprintf("\nTBLPROPERTIES (\n  'projection.enabled' = 'true',\n%s\n  'storage.location.template' = '%s/${%s}')",
			dates("yyyy/MM/dd/HH", "2020/01/01/00", "HOURS"), location, partition)
	}
	// An export has the time before each message. No backslash: Hive has its own way
	// with them.
	return fmt.Sprintf(`CREATE EXTERNAL TABLE %s (message STRING)
%sROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.RegexSerDe'
WITH SERDEPROPERTIES ('input.regex' = '^(?:[^ {]+ )?([{].*)$')
LOCATION '%s/'%s;
`, s.AuditTable, partitioned, location, projection), nil
}
