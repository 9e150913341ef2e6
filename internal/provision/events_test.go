package provision

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/eks-x509/eks-x509/internal/awsapi"
)

// slowCloudFormation shows what was begun only at the third question.
type slowCloudFormation struct {
	t     *testing.T
	asked int // DescribeStacks
}

func (s *slowCloudFormation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, events := "UPDATE_COMPLETE", ""
	event := func(id, status string) string {
		return "<member><EventId>" + id + "</EventId><ResourceType>AWS::CloudFormation::Stack</ResourceType><ResourceStatus>" + status +
			"</ResourceStatus><Timestamp>2026-11-26T12:00:00Z</Timestamp></member>"
	}
	if s.asked >= 3 {
		status, events = "UPDATE_IN_PROGRESS", event("two", "UPDATE_IN_PROGRESS")
	}
	if s.asked >= 4 {
		status, events = "UPDATE_ROLLBACK_COMPLETE", event("three", "UPDATE_ROLLBACK_COMPLETE")+events
	}
	switch action := r.FormValue("Action"); action {
	case "DescribeStacks":
		s.asked++
		fmt.Fprintf(w, "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackId>x</StackId><StackStatus>%s</StackStatus></member></Stacks></DescribeStacksResult></DescribeStacksResponse>", status)
	case "DescribeStackEvents":
		fmt.Fprintf(w, "<DescribeStackEventsResponse><DescribeStackEventsResult><StackEvents>%s%s</StackEvents></DescribeStackEventsResult></DescribeStackEventsResponse>", events, event("one", "UPDATE_COMPLETE"))
	default:
		s.t.Errorf("action %q", action)
	}
}

// The state from before a change is not taken for that after it.
func TestFollowWaitsForTheBeginning(t *testing.T) {
	t.Parallel()
	slow := &slowCloudFormation{t: t}
	server := httptest.NewServer(slow)
	t.Cleanup(server.Close)
	k := Stack{Name: "x", Wait: func(context.Context, time.Duration) error { return nil }, Client: awsapi.Client{
		HTTP: server.Client(), Credentials: aws.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "x"}, Region: "us-east-1",
		Endpoint: func(string) string { return server.URL }, Now: time.Now,
	}}
	var told []string
	state, err := k.follow(t.Context(), "x", "one", func(e Event) { told = append(told, e.Status) })
	if state.Status != "UPDATE_ROLLBACK_COMPLETE" || !isFailed(err) || fmt.Sprint(told) != "[UPDATE_IN_PROGRESS UPDATE_ROLLBACK_COMPLETE]" {
		t.Errorf("state %q, %v, told %q", state.Status, err, told)
	}
	// And where nothing begins at all, it ends all the same.
	slow.asked = -100
	if state, err = k.follow(t.Context(), "x", "one", func(Event) {}); err != nil || state.Status != "UPDATE_COMPLETE" {
		t.Errorf("state %q, %v", state.Status, err)
	}
}
