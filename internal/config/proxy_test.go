package config

import (
	"net/http"
	"strings"
	"testing"
)

// What people write into HTTPS_PROXY: "" is accepted, else a part of the error.
func TestProxyAddresses(t *testing.T) {
	t.Parallel()
	const form, encode, space = "a URL such as http://proxy:3128 is needed", "must be encoded; write @ as %40", "white space"
	for address, want := range map[string]string{
		"http://proxy:3128": "", "proxy:3128": "", "proxy": "", "localhost:3128": "", "127.0.0.1:3128": "", "[::1]:3128": "", "https://[::1]:1": "",
		"http://proxy/": "", "HTTP://proxy:3128": "", "https://proxy": "", "socks5://proxy": "", "socks5h://planted:pw@proxy:1": "",
		"http://planted:p%40@proxy/": "", "planted:pw@proxy:3128": "", "http://planted@proxy": "", "http://planted:@proxy": "", "http://planted:a:b@proxy": "",
		"http://DOMAIN%5Cplanted:100%25@proxy:3128": "", "http://planted:p!$&'()*+,;=~@proxy": "",

		"http://proxy:3128 ": space, " http://proxy:3128": space, "http://proxy:3128\r": space, "http://proxy:3128\n": space, "\thttp://proxy:3128": space,
		" proxy:3128": space, " ": space, "http://planted:pw@proxy:3128 ": space, "http://proxy:\u00a03128\u00a0": space,
		"http://planted:p w@proxy:3128": space, "http://pro xy:3128": space, "http://planted:p\x01@proxy": "control character",
		`"http://planted:pw@proxy:3128"`: "quotation marks", `'proxy:3128'`: "quotation marks",

		`http://DOMAIN\planted:pw@proxy:3128`: "a backslash in the user name; write it as %5C", `DOMAIN\planted:pw@proxy:3128`: "a backslash in the user name",
		`http://planted:p\w@proxy:3128`: encode,
		"http://planted:p@ss@proxy":     encode, "planted:p@ss@proxy:3128": encode, "http://planted@example.org:pw@proxy:3128": encode, "http://planted:@@proxy": encode,
		"http://planted:p#w@proxy": encode, "http://planted:p@ss#w@proxy": encode, "http://planted#:w@proxy": encode, "http://planted:#@proxy": encode,
		"http://planted:1/w@proxy": encode, "http://planted:p/w@proxy": encode, "http://planted:p?w@proxy": encode,
		"http://planted:%zz@proxy": "a percent sign that must be encoded", "http://planted:100%@proxy": "a percent sign that must be encoded", "http://planted:%4@proxy:1": "a percent sign that must be encoded",

		"http://": form, "://proxy:3128": form, "//proxy:3128": form, "http:/proxy:3128": form, "http:proxy:3128": form, "http://:3128": form, ":3128": form,
		"http://proxy:port": form, "http://proxy:99999": form, "http://proxy:0": form, "http://proxy:": form, "http://proxy#x": form, "http://proxy?x": form, "http://proxy?": form,
		"ftp://proxy:3128": "supported: http, https, socks5, socks5h", "socks4://planted:pw@proxy": "supported: http", "http//planted:pw@proxy": encode,
		"http://http://proxy:3128": form, "direct": "", "http://planted:pw|x@proxy": form,
	} {
		for _, variable := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
			_, err := proxy(env(variable, address))
			if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), "invalid "+variable+": ") || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s=%q: got %v, want %q", variable, address, err, want)
			}
			if err != nil && strings.Contains(err.Error(), "planted") {
				t.Errorf("%q is quoted: %v", address, err)
			}
		}
	}
}

// As Go's other clients, kubectl among them, choose.
func TestProxyVariables(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		pairs []string
		want  string
	}{
		"upper case wins":             {[]string{"HTTPS_PROXY", "http://upper:1", "https_proxy", "http://lower:1"}, "http://upper:1"},
		"what loses is not judged":    {[]string{"HTTPS_PROXY", "http://upper:1", "https_proxy", "http://lower:1 "}, "http://upper:1"},
		"lower case":                  {[]string{"https_proxy", "lower:1"}, "http://lower:1"},
		"that of http is not used":    {[]string{"HTTP_PROXY", "http://proxy:1"}, ""},
		"ALL_PROXY is not used":       {[]string{"ALL_PROXY", "http://proxy:1", "all_proxy", "http://proxy:1"}, ""},
		"no_proxy in lower case":      {[]string{"HTTPS_PROXY", "http://proxy:1", "no_proxy", ".example"}, ""},
		"blanks in NO_PROXY":          {[]string{"HTTPS_PROXY", "http://proxy:1", "NO_PROXY", "x.test , a.example \r\n"}, ""},
		"NO_PROXY of everything":      {[]string{"HTTPS_PROXY", "http://proxy:1", "NO_PROXY", "*"}, ""},
		"NO_PROXY of another":         {[]string{"HTTPS_PROXY", "http://proxy:1", "NO_PROXY", "b.example,example.a"}, "http://proxy:1"},
		"with a user and a password":  {[]string{"HTTPS_PROXY", "http://D%5Cu:p%40%23%25@proxy:1"}, "http://D%5Cu:p%40%23%25@proxy:1"},
		"SOCKS with names at the far": {[]string{"HTTPS_PROXY", "socks5h://proxy"}, "socks5h://proxy"},
	} {
		choose, err := proxy(env(row.pairs...))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r, _ := http.NewRequest(http.MethodGet, "https://a.example", nil)
		got := ""
		if u, err := choose(r); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if u != nil {
			got = u.Scheme + "://" + u.Host
			if u.User != nil {
				got = u.Scheme + "://" + u.User.String() + "@" + u.Host
			}
		}
		if got != row.want && !strings.HasPrefix(name, "with a user") {
			t.Errorf("%s: got %q, want %q", name, got, row.want)
		}
		if u, _ := choose(r); strings.HasPrefix(name, "with a user") {
			if password, _ := u.User.Password(); u.User.Username() != `D\u` || password != "p@#%" {
				t.Errorf("%s: got %q, %q", name, u.User.Username(), password)
			}
		}
	}
}
