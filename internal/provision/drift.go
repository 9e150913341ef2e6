package provision

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/awsapi"
)

// Drift is what of a resource is no longer as the stack made it.
type Drift struct {
	LogicalID   string       `xml:"LogicalResourceId" json:"resource"`
	PhysicalID  string       `xml:"PhysicalResourceId" json:"physicalId"`
	Type        string       `xml:"ResourceType" json:"type"`
	Status      string       `xml:"StackResourceDriftStatus" json:"status"` // IN_SYNC, MODIFIED, DELETED
	Differences []Difference `xml:"PropertyDifferences>member" json:"differences,omitempty"`
}

// Difference is one property's.
type Difference struct {
	Path     string `xml:"PropertyPath" json:"path"`
	Expected string `xml:"ExpectedValue" json:"expected"`
	Actual   string `xml:"ActualValue" json:"actual"`
}

// Drifts has CloudFormation look at every resource. A stack in a state in which
// it does not look has none.
//
//	https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DetectStackDrift.html
func (k Stack) Drifts(ctx context.Context, s State) ([]Drift, error) {
	if !slices.Contains([]string{"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED"}, s.Status) {
		return nil, nil
	}
	var begun struct {
		ID string `xml:"StackDriftDetectionId"`
	}
	if err := k.Client.CloudFormation(ctx, "DetectStackDrift", url.Values{"StackName": {k.Name}}, &begun); err != nil {
		return nil, err
	}
	const longestDetection = time.Hour
	var waited time.Duration
	for n := 0; ; n++ {
		var out struct {
			Status string `xml:"DetectionStatus"`
			Reason string `xml:"DetectionStatusReason"`
		}
		if err := k.Client.CloudFormation(ctx, "DescribeStackDriftDetectionStatus", url.Values{"StackDriftDetectionId": {begun.ID}}, &out); err != nil {
			return nil, err
		}
		if out.Status == "DETECTION_FAILED" {
			return nil, &awsapi.Error{Service: "CloudFormation", Operation: "DetectStackDrift", Message: out.Reason}
		}
		if out.Status == "DETECTION_COMPLETE" {
			break
		}
		if waited += interval(n); waited > longestDetection {
			return nil, awsapi.Overdue("CloudFormation", "DetectStackDrift", longestDetection)
		}
		if err := k.Wait(ctx, interval(n)); err != nil {
			return nil, err
		}
	}
	var all []Drift
	next, pages := "", awsapi.Pages{Most: awsapi.MostPages}
	for {
		in := url.Values{"StackName": {k.Name}}
		if next != "" {
			in.Set("NextToken", next)
		}
		var out struct {
			Drifts    []Drift `xml:"StackResourceDrifts>member"`
			NextToken string
		}
		if err := k.Client.CloudFormation(ctx, "DescribeStackResourceDrifts", in, &out); err != nil {
			return nil, err
		}
		all = append(all, out.Drifts...)
		if next = out.NextToken; next == "" {
			return all, nil
		}
		if err := pages.Next("CloudFormation", "DescribeStackResourceDrifts", next); err != nil {
			return nil, err
		}
	}
}

// Resources are what the stack holds, by logical id: type and physical id.
func (k Stack) Resources(ctx context.Context) ([]Resource, error) {
	var out struct {
		Resources []Resource `xml:"StackResources>member"`
	}
	err := k.Client.CloudFormation(ctx, "DescribeStackResources", url.Values{"StackName": {k.Name}}, &out)
	return out.Resources, err
}

// Resource is a thing that a stack has made.
type Resource struct {
	LogicalID  string `xml:"LogicalResourceId" json:"resource"`
	PhysicalID string `xml:"PhysicalResourceId" json:"physicalId"`
	Type       string `xml:"ResourceType" json:"type"`
	Status     string `xml:"ResourceStatus" json:"status"`
}

// CAOf is the private CA among what a stack holds, or "".
func CAOf(resources []Resource) string { return physicalID(resources, idCA) }

// AnchorOf is the id of the trust anchor among what a stack holds, or "".
func AnchorOf(resources []Resource) string { return physicalID(resources, idAnchor) }

func physicalID(resources []Resource, logicalID string) string {
	for _, r := range resources {
		if r.LogicalID == logicalID {
			return r.PhysicalID
		}
	}
	return ""
}

// ClustersOf are those for which a stack has access entries, whose physical id is
// ROLE-ARN|CLUSTER.
func ClustersOf(resources []Resource) []string {
	var found []string
	for _, r := range resources {
		if _, cluster, ok := strings.Cut(r.PhysicalID, "|"); ok && r.Type == "AWS::EKS::AccessEntry" {
			found = append(found, cluster)
		}
	}
	return found
}
