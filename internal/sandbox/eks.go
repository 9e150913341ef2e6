package sandbox

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/eks-x509/eks-x509/internal/minica"
)

// eks answers DescribeCluster and ListClusters to any session whose role is not denied them.
func (c *call) eks() *response {
	region := ""
	if c.endpoint != nil {
		region = c.region
	}
	s, a, refusal := c.verifyHMAC(c.wire, "eks", region)
	if refusal != nil {
		return c.restError(eksRefusal(refusal))
	}
	c.entry.RoleARN, c.entry.SessionName = s.role.ARN, s.name
	if c.wire.method != http.MethodGet {
		return c.restError(unknownOperation(c.wire))
	}
	name, ok := strings.CutPrefix(c.wire.path, "/clusters/")
	operation, resource := "eks:DescribeCluster", name
	if !ok {
		operation, resource = "eks:ListClusters", "*"
	}
	target := c.clusterARN(a.region, resource)
	if !ok {
		target = "*" // ListClusters has no resource of its own
	}
	if !s.may(c.world, operation, target) {
		return c.restError(denied("User: "+s.arn()+" is not authorized to perform: "+operation+" on resource: "+c.clusterARN(a.region, resource),
			"the role's policies or the session's do not allow %s", operation))
	}
	if !ok {
		names := []string{}
		for _, k := range c.world.Clusters {
			if k.Region == a.region {
				names = append(names, k.Name)
			}
		}
		return jsonResponse(http.StatusOK, map[string]any{"clusters": names, "nextToken": nil})
	}
	c.entry.Cluster = name
	k := find(c.world.Clusters, func(k Cluster) bool { return k.Name == name && k.Region == a.region })
	if k == nil {
		return c.restError(refuse(http.StatusNotFound, "ResourceNotFoundException", "No cluster found for name: "+name+".", "no cluster %q in %s", name, a.region))
	}
	return jsonResponse(http.StatusOK, map[string]any{"cluster": c.describe(k)})
}

func (c *call) describe(k *Cluster) map[string]any {
	d := map[string]any{
		"name":            k.Name,
		"arn":             c.clusterARN(k.Region, k.Name),
		"createdAt":       1767225600, // 2026-01-01
		"version":         k.Version,
		"status":          k.Status,
		"platformVersion": "eks.1",
		"roleArn":         "arn:" + partitionOf(k.Region).id + ":iam::" + c.world.Account + ":role/eks-cluster",
		"accessConfig":    map[string]string{"authenticationMode": k.authenticationMode()},
		"tags":            map[string]string{},
	}
	if k.Status == "CREATING" { // a cluster in the making has neither yet
		d["certificateAuthority"] = map[string]any{}
		return d
	}
	endpoint, ca := k.Endpoint, k.CertificateAuthorityData
	if endpoint == "" {
		endpoint = c.s.URL() + kubernetesPrefix + k.Name
	}
	if ca == "" {
		ca = base64.StdEncoding.EncodeToString(minica.CertificatePEM(c.s.ca.TLS.Certificate))
	}
	d["endpoint"], d["certificateAuthority"] = endpoint, map[string]string{"data": ca}
	return d
}

func (c *call) clusterARN(region, name string) string {
	return "arn:" + partitionOf(region).id + ":eks:" + region + ":" + c.world.Account + ":cluster/" + name
}

// eksRefusal gives the codes of the REST services to what verifyHMAC refused in STS's.
func eksRefusal(r *Refusal) *Refusal {
	if code, ok := map[string]string{
		"InvalidClientTokenId":  "UnrecognizedClientException",
		"SignatureDoesNotMatch": "InvalidSignatureException",
		"RequestExpired":        "InvalidSignatureException",
	}[r.Code]; ok {
		r.Code = code
	} else {
		r.Code += "Exception"
	}
	return r
}
