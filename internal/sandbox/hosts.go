package sandbox

import (
	"slices"
	"strings"
)

// partition is a set of regions with its DNS suffixes. The last two tell how STS names its hosts there as far as EKS accepts them.
type partition struct {
	id, dns, dualStack string
	regions            string // beginnings of the regions' names
	stsFIPS            bool   // sts-fips.REGION.… exists; in GovCloud the plain host is the FIPS one
	tokenDualStack     bool   // EKS accepts the dual-stack host in a token
}

func partitions() []partition {
	return []partition{
		{"aws", "amazonaws.com", "api.aws", "af ap ca eu il me mx sa us", true, true},
		{"aws-cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn", "cn", true, true},
		{"aws-us-gov", "amazonaws.com", "api.aws", "us-gov", false, true},
		{"aws-iso", "c2s.ic.gov", "api.aws.ic.gov", "us-iso", true, false},
		{"aws-iso-b", "sc2s.sgov.gov", "api.aws.scloud", "us-isob", true, false},
		{"aws-iso-e", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk", "eu-isoe", true, false},
		{"aws-iso-f", "csp.hci.ic.gov", "api.aws.hci.ic.gov", "us-isof", true, false},
		{"aws-eusc", "amazonaws.eu", "api.amazonwebservices.eu", "eusc-de", true, true},
	}
}

var regionPattern = lazy(`^([a-z]+(?:-[a-z]+)?)-(?:central|(?:north|south)(?:east|west)?|east|west)-\d$`)

func partitionOf(region string) *partition {
	m := regionPattern().FindStringSubmatch(region)
	if m == nil {
		return nil
	}
	return find(partitions(), func(p partition) bool { return slices.Contains(strings.Fields(p.regions), m[1]) })
}

// endpoint is what a host name of AWS says.
type endpoint struct {
	service, region string
	fips, dualStack bool
	partition       *partition
}

// parseHost takes the name of a regional endpoint apart, as in sts-fips.us-east-1.amazonaws.com. ok is false for every other name.
func parseHost(host string) (e endpoint, ok bool) {
	if host == "sts.amazonaws.com" { // the global endpoint signs for us-east-1
		return endpoint{service: "sts", region: "us-east-1", partition: partitionOf("us-east-1")}, true
	}
	host, e.fips = strings.CutPrefix(host, "fips.") // EKS puts the word first
	service, rest, _ := strings.Cut(host, ".")
	e.region, rest, _ = strings.Cut(rest, ".")
	if plain, fips := strings.CutSuffix(service, "-fips"); fips {
		service, e.fips = plain, true
	}
	e.service, e.partition = service, partitionOf(e.region)
	if e.partition == nil || service == "" {
		return endpoint{}, false
	}
	e.dualStack = rest == e.partition.dualStack
	return e, e.dualStack || rest == e.partition.dns
}

// acceptedByEKS tells whether a token may name this STS host: the table that EKS's authenticator builds from the SDK's endpoints.
func (e endpoint) acceptedByEKS() bool {
	return e.service == "sts" && (!e.fips || e.partition.stsFIPS) && (!e.dualStack || e.partition.tokenDualStack)
}

// underAWS tells whether the sandbox stands in for a host as a proxy.
func underAWS(host string) bool {
	if !isHostName(host) {
		return false
	}
	for _, p := range partitions() {
		if strings.HasSuffix(host, "."+p.dns) || strings.HasSuffix(host, "."+p.dualStack) {
			return true
		}
	}
	return false
}
