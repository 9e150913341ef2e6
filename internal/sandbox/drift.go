package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

func (c *call) detectDrift(w *World, form url.Values) (any, error) {
	k := w.stackOf(form.Get("StackName"))
	if k == nil {
		return nil, noStack(form.Get("StackName"))
	}
	// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DetectStackDrift.html
	if !slices.Contains([]string{"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED"}, k.Status) {
		return nil, fmt.Errorf("Drift detection cannot be performed on stack [%s] in status %s", k.ID, k.Status) //nolint:staticcheck // AWS's words
	}
	return struct {
		ID string `xml:"StackDriftDetectionId"`
	}{k.ID[strings.LastIndex(k.ID, "/")+1:]}, nil
}

func (c *call) driftStatus(w *World, form url.Values) (any, error) {
	id := form.Get("StackDriftDetectionId")
	k := find(w.Stacks, func(k Stack) bool { return strings.HasSuffix(k.ID, "/"+id) })
	if k == nil || id == "" {
		return nil, fmt.Errorf("Drift detection with id %s does not exist", id) //nolint:staticcheck // AWS's words
	}
	drifted := 0
	for _, d := range k.drifts(w, c) {
		if d.Status != "IN_SYNC" {
			drifted++
		}
	}
	return struct {
		StackID         string `xml:"StackId"`
		ID              string `xml:"StackDriftDetectionId"`
		Status          string `xml:"StackDriftStatus"`
		DetectionStatus string
		Drifted         int `xml:"DriftedStackResourceCount"`
		Timestamp       string
	}{k.ID, id, map[bool]string{true: "DRIFTED", false: "IN_SYNC"}[drifted > 0], "DETECTION_COMPLETE", drifted, stamp(c.now)}, nil
}

type driftView struct {
	LogicalID   string            `xml:"LogicalResourceId"`
	PhysicalID  string            `xml:"PhysicalResourceId"`
	Type        string            `xml:"ResourceType"`
	Status      string            `xml:"StackResourceDriftStatus"`
	Differences []driftDifference `xml:"PropertyDifferences>member"`
}

type driftDifference struct {
	Path     string `xml:"PropertyPath"`
	Expected string `xml:"ExpectedValue"`
	Actual   string `xml:"ActualValue"`
	Kind     string `xml:"DifferenceType"`
}

func (k *Stack) drifts(w *World, c *call) []driftView {
	m := &maker{w: w, stack: k, now: c.now, root: c.s.ca}
	var all []driftView
	for i := range k.Resources {
		r := &k.Resources[i]
		read := resourceTypes()[r.Type].read
		if read == nil {
			continue // AWS leaves out what it can't check
		}
		d := driftView{LogicalID: r.LogicalID, PhysicalID: r.PhysicalID, Type: r.Type, Status: "IN_SYNC"}
		now := read(m, r)
		var expected map[string]json.RawMessage
		_ = json.Unmarshal(r.Properties, &expected)
		for _, name := range slices.Sorted(maps.Keys(now)) {
			actual, _ := json.Marshal(now[name])
			if want, ok := expected[name]; ok && !sameJSON(want, actual) {
				d.Status = "MODIFIED"
				d.Differences = append(d.Differences, driftDifference{"/" + name, string(canonicalJSON(want)), string(canonicalJSON(actual)), "NOT_EQUAL"})
			}
		}
		if now == nil {
			d.Status = "DELETED"
		}
		all = append(all, d)
	}
	return all
}

func (c *call) describeDrifts(w *World, form url.Values) (any, error) {
	k := w.stackOf(form.Get("StackName"))
	if k == nil {
		return nil, noStack(form.Get("StackName"))
	}
	return struct {
		Drifts []driftView `xml:"StackResourceDrifts>member"`
	}{k.drifts(w, c)}, nil
}
