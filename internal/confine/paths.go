package confine

// Access is all that a process keeps. Paths that are not there are left out.
type Access struct {
	// Read are files, and folders with all that is below them.
	Read []string
	// Named are files that may be replaced while the process runs, as a renewed certificate is: the folders that lead to them can be
	// read, too.
	Named []string
	// Write are folders with all that is below them.
	Write []string
	// Home is the person's, which is not opened for a file that lies right in it.
	Home string
	// Ports are those that a TCP connection may go to, from any address.
	Ports []uint16
}

// System is what a TLS connection to a host with a name reads: the resolver's
// files, and the roots in all the places where crypto/x509 looks.
func System() []string {
	return []string{
		"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/services", "/etc/mdns.allow", "/run/systemd/resolve",
		"/etc/ssl/certs", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem", "/etc/pki", "/etc/ca-certificates", "/usr/share/ca-certificates",
		"/usr/local/share/ca-certificates", "/usr/share/pki", "/var/lib/ca-certificates", "/etc/ssl/certs/ca-certificates.crt",
		"/etc/localtime", "/usr/share/zoneinfo",
	}
}
