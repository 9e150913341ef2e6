package config

// LoadNetwork is Load for an administrator, whose credentials and region are the
// SDK's affair: proxy, roots, endpoints and their kinds.
func LoadNetwork(getenv func(string) string) (Config, error) {
	s := source{flags: map[string]string{}, getenv: getenv}
	c := Config{TLS: TLS{CABundle: s.expand(getenv("AWS_CA_BUNDLE"))}, Endpoints: map[string]string{}}
	err := s.checkPaths()
	if err == nil {
		err = s.checkHome()
	}
	for _, name := range PathVariables() { // the SDK's are read with its credentials
		if err == nil {
			err = CheckPathList(name, getenv(name))
		}
	}
	if err != nil {
		return Config{}, err
	}
	if c.Proxy, err = proxy(getenv); err != nil {
		return Config{}, err
	}
	if c.UseFIPS, err = s.env("AWS_USE_FIPS_ENDPOINT"); err != nil {
		return Config{}, err
	}
	if c.UseDualStack, err = s.env("AWS_USE_DUALSTACK_ENDPOINT"); err != nil {
		return Config{}, err
	}
	ignore, err := s.env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
	if err != nil || ignore {
		return c, err
	}
	// By the SDK's names of the services: AWS_ENDPOINT_URL_<SERVICE>.
	for service, variable := range map[string]string{
		"sts": "AWS_ENDPOINT_URL_STS", "eks": "AWS_ENDPOINT_URL_EKS", "cloudformation": "AWS_ENDPOINT_URL_CLOUDFORMATION",
		"acm-pca": "AWS_ENDPOINT_URL_ACM_PCA", "rolesanywhere": "AWS_ENDPOINT_URL_ROLESANYWHERE",
		"cloudtrail": "AWS_ENDPOINT_URL_CLOUDTRAIL", "logs": "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "athena": "AWS_ENDPOINT_URL_ATHENA",
	} {
		if getenv(variable) == "" {
			variable = "AWS_ENDPOINT_URL"
		}
		if c.Endpoints[service], err = checkEndpoint(getenv(variable), variable); err != nil {
			return Config{}, err
		}
	}
	return c, nil
}
