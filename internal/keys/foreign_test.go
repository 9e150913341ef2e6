package keys

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// foreignNow is when the certificates in testdata/pki/foreign are valid.
var foreignNow = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)

func openAt(t *testing.T, now time.Time, certificate, key, other string) (*Key, error) {
	t.Helper()
	src := source(certificate, key, other, &asker{answer: "changeit"})
	src.Now = func() time.Time { return now }
	return Open(t.Context(), src)
}

func commonNames(certs []*x509.Certificate) []string {
	var all []string
	for _, c := range certs {
		all = append(all, c.Subject.CommonName)
	}
	return all
}

func TestOpenForeignFiles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		certificate, key, other string
		chain                   []string
		warning                 string // of the only one
	}{
		"PKCS#7":                          {"foreign/plain.p7b", "foreign/plain.key", "", []string{"plain"}, "serial 0x335c85ff95587cc4b92b2f1ede836e5a"},
		"PKCS#7 as intermediates":         {"ec256.pem", "ec256.pkcs8.key", "bundle.pem", []string{"ec256", "issuing", "middle"}, ""},
		"PBES1":                           {"foreign/plain.pem", "foreign/pbes1.key", "", []string{"plain"}, ""},
		"PEM in one line":                 {"foreign/one-line.pem", "foreign/plain.key", "", []string{"plain"}, ""},
		"a negative serial number":        {"foreign/negative-serial.pem", "foreign/plain.key", "", []string{"plain"}, "x509: negative serial number"},
		"the issuer's name as UTF8String": {"foreign/issuer-encoding.pem", "foreign/future-renewal.key", "foreign/issuer-encoding-ca.pem", []string{"enc", "Acme Issuing CA"}, ""},
		"ML-DSA":                          {"foreign/mldsa-issuer.pem", "foreign/future-renewal.key", "", []string{"pq", "PQ Issuing CA"}, ""},
		"seven issuers, one valid":        {"foreign/chain-many.pem", "foreign/chain-many.key", "", []string{"ren", "Issuing"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, err := openAt(t, foreignNow, c.certificate, c.key, c.other)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.chain, commonNames(k.Chain)); diff != "" {
				t.Errorf("chain (-want +got):\n%s", diff)
			}
			for _, one := range k.Chain {
				if !isValid(one, foreignNow) && c.certificate == "foreign/chain-many.pem" {
					t.Errorf("%s: %s", one.Subject, validity(one, foreignNow))
				}
			}
			if _, err := k.Check(foreignNow); err != nil && strings.HasPrefix(c.certificate, "foreign/") {
				t.Error(err)
			}
			var warnings []string
			for _, w := range k.Warnings {
				if !strings.Contains(w, "(mode ") {
					warnings = append(warnings, w)
				}
			}
			if c.warning == "" && warnings != nil || c.warning != "" && (len(warnings) != 1 || !strings.HasSuffix(warnings[0], c.warning)) {
				t.Errorf("warnings %q, want %q", warnings, c.warning)
			}
			verify(t, k)
		})
	}
}

// Of two certificates for one key the one that is valid is used, and the other once it begins.
func TestOpenRenewedCertificates(t *testing.T) {
	t.Parallel()
	serial := func(now time.Time) string {
		k, err := openAt(t, now, "foreign/future-renewal.pem", "foreign/future-renewal.key", "")
		if err != nil {
			t.Fatal(err)
		}
		shown, err := OpenCertificate(t.Context(), Source{Certificate: pki + "foreign/future-renewal.pem", Now: func() time.Time { return now }})
		if err != nil || !shown.Chain[0].Equal(k.Chain[0]) {
			t.Errorf("at %s: without the key another certificate is found, %v", now, err)
		}
		return k.Chain[0].SerialNumber.String()
	}
	certs := readCertificates(t, pki+"foreign/future-renewal.pem")
	first, second := certs[0], certs[1]
	if first.NotBefore.After(second.NotBefore) {
		first, second = second, first
	}
	for _, c := range []struct {
		now  time.Time
		want *x509.Certificate
	}{
		{first.NotBefore.Add(time.Minute), first},
		{second.NotBefore.Add(-time.Second), first},
		{second.NotBefore, second},
		{second.NotBefore.Add(time.Hour), second},
		{second.NotAfter.Add(time.Hour), second}, // both are over
	} {
		if got := serial(c.now); got != c.want.SerialNumber.String() {
			t.Errorf("at %s: serial number %s, want %s", c.now, got, c.want.SerialNumber)
		}
	}
}

func readCertificates(t *testing.T, file string) []*x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

func writeFile(t *testing.T, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Each way in which line breaks are lost, of one block and of several with a key.
func TestOpenWithoutLineBreaks(t *testing.T) {
	t.Parallel()
	chain, err := os.ReadFile(pki + "ec256.full-chain.pem")
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(pki + "ec256.pkcs8.key")
	if err != nil {
		t.Fatal(err)
	}
	whole := string(chain) + string(key)
	lost := func(with string) string { return strings.ReplaceAll(whole, "\n", with) }
	json := strings.NewReplacer("\n", `\n`, "/", `\/`, "+", `\u002B`, "=", `\u003d`).Replace(whole)
	for name, text := range map[string]string{
		`\n`:                       lost(`\n`),
		`\r\n`:                     lost(`\r\n`),
		`\\n`:                      lost(`\\n`),
		"quoted":                   `"` + lost(`\n`) + `"` + "\n",
		"a variable":               `CERT='` + lost(`\n`) + `'`,
		"as JSON has it":           `{"cert": "` + json + `"}`,
		"a blank":                  lost(" "),
		"tabs":                     lost("\t"),
		"nothing":                  lost(""),
		"carriage returns":         lost("\r"),
		"indented":                 "  " + lost("\n  "),
		"a blank line after each":  lost("\n\n"),
		"only between the blocks":  strings.ReplaceAll(whole, "-----\n-----", "----------"),
		"the first block alone":    strings.Replace(whole, string(chain[:len(chain)/4]), strings.ReplaceAll(string(chain[:len(chain)/4]), "\n", ""), 1),
		"UTF-8 byte-order mark":    "\uFEFF" + lost(`\n`),
		"beside text of its own":   "subject=CN=ec256 " + lost(" "),
		"with lines of other size": lost("") + "\n",
	} {
		if !strings.Contains(text, "-----BEGIN ") {
			t.Fatal(name)
		}
		file := writeFile(t, []byte(text))
		k, err := Open(t.Context(), Source{Certificate: file})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(k.Chain) != 3 {
			t.Errorf("%s: a chain of %d", name, len(k.Chain))
		}
		verify(t, k)
	}

	// What is not whole is not guessed at.
	line := strings.ReplaceAll(string(key), "\n", " ")
	at := strings.Index(line, "MI")
	for name, text := range map[string]string{
		"a letter is missing":         line[:at] + line[at+1:],
		"four letters are missing":    line[:at+40] + line[at+44:],
		"cut off":                     line[:len(line)/2],
		"other letters":               line[:at+8] + "*" + line[at+9:],
		"another end":                 strings.Replace(line, "END PRIVATE", "END PUBLIC", 1),
		"something else encoded":      "-----BEGIN PRIVATE KEY----- bm90aGluZw== -----END PRIVATE KEY-----",
		"encrypted the old way":       "-----BEGIN RSA PRIVATE KEY----- Proc-Type: 4,ENCRYPTED DEK-Info: DES-EDE3-CBC,8A8A8A8A8A8A8A8A MIIBAAA= -----END RSA PRIVATE KEY-----",
		"in quotes, a letter missing": `"` + line[:at] + line[at+1:] + `"`,
	} {
		_, err := openAt(t, foreignNow, "ec256.pem", writeFile(t, []byte(text)), "")
		e, ok := err.(*Error) //nolint:errorlint // Open returns it as it is
		if !ok || e.Reason != Malformed || !strings.HasSuffix(err.Error(), "its line breaks are lost") {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), line[at+8:at+20]) {
			t.Errorf("%s: the error quotes the key", name)
		}
	}
}

// Certificates in the forms that tools write.
func TestCertificateForms(t *testing.T) {
	t.Parallel()
	cert := readCertificates(t, pki+"ec256.pem")[0]
	bundle, _ := pem.Decode(mustRead(t, pki+"bundle.pem"))
	trust := []byte{0x30, 0x0c, 0x30, 0x0a, 0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 3, 2} // -addtrust clientAuth
	block := func(label string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}) }
	trusted := append(bytes.Clone(cert.Raw), trust...)
	for name, data := range map[string][]byte{
		"TRUSTED CERTIFICATE":               block("TRUSTED CERTIFICATE", trusted),
		"TRUSTED CERTIFICATE without trust": block("TRUSTED CERTIFICATE", cert.Raw),
		"TRUSTED CERTIFICATE as DER":        trusted,
		"TRUSTED CERTIFICATE in one line":   bytes.ReplaceAll(block("TRUSTED CERTIFICATE", trusted), []byte("\n"), nil),
		"PKCS7":                             block("PKCS7", bundle.Bytes),
		"PKCS#7 as CMS":                     block("CMS", bundle.Bytes),
		"PKCS#7 with a certificate's label": block("CERTIFICATE", bundle.Bytes), // as Windows has it
		"PKCS #7 SIGNED DATA":               block("PKCS #7 SIGNED DATA", bundle.Bytes),
		"PKCS#7 as DER":                     bundle.Bytes,
		"PKCS#7 as BER":                     indefinite(t, bundle.Bytes),
		"PKCS#7 as BER in PEM":              block("PKCS7", indefinite(t, bundle.Bytes)),
		"PKCS#7 beside the certificate":     append(block("CERTIFICATE", cert.Raw), block("PKCS7", bundle.Bytes)...),
		"PKCS#7 in one line":                bytes.ReplaceAll(block("PKCS7", bundle.Bytes), []byte("\n"), []byte(`\n`)),
	} {
		file := writeFile(t, data)
		k, err := Open(t.Context(), Source{Certificate: pki + "ec256.pem", Intermediates: file, PrivateKey: pki + "ec256.pkcs8.key"})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if strings.Contains(name, "7") && len(k.Chain) != 3 {
			t.Errorf("%s: a chain of %q", name, commonNames(k.Chain))
		}
		verify(t, k)
	}
	// One that has no certificate.
	empty := []byte{0x30, 0x23, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2, 0xa0, 0x16, 0x30, 0x14, 2, 1, 1, 0x31, 0,
		0x30, 0x0b, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1, 0x31, 0}
	_, err := Open(t.Context(), Source{Certificate: writeFile(t, empty)})
	if err == nil || !strings.HasSuffix(err.Error(), "no certificate found (found a PKCS#7 bundle)") {
		t.Errorf("an empty PKCS#7: %v", err)
	}
}

func mustRead(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// indefinite gives the outer SEQUENCE of DER no length.
func indefinite(t *testing.T, der []byte) []byte {
	t.Helper()
	var outer asn1.RawValue
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		t.Fatal(err)
	}
	return append(append([]byte{0x30, 0x80}, outer.Bytes...), 0, 0)
}

// negative gives a certificate a negative serial number; its signature no longer fits.
func negative(t *testing.T, c *x509.Certificate) []byte {
	t.Helper()
	der := bytes.Clone(c.Raw)
	old, err := asn1.Marshal(c.SerialNumber)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(der, old)
	der[at+2] = 0xff
	if _, err := x509.ParseCertificate(der); err == nil {
		t.Fatal("it is read")
	}
	return der
}

// A certificate that can't be read is left out, but for that of the key.
func TestOpenMalformedCertificates(t *testing.T) {
	t.Parallel()
	caKey, leafKey, otherKey := newKey(t), newKey(t), newKey(t)
	ca := issue(t, authorityNamed("ca"), caKey, nil, nil)
	leaf := issue(t, template("leaf"), leafKey, ca, caKey)
	other := issue(t, template("other"), otherKey, ca, caKey)
	pkcs8 := func(key crypto.Signer) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	encode := func(all ...[]byte) []byte {
		var out []byte
		for _, der := range all {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
		}
		return out
	}
	bad := negative(t, ca)
	for name, c := range map[string]struct {
		certs    [][]byte
		key      crypto.Signer
		wantErr  string
		warnings []string // the ends
	}{
		"a CA's":                {[][]byte{leaf.Raw, bad}, leafKey, "", []string{`leaving out certificate CN=ca (number 2 in FILE): it is malformed: x509: negative serial number`}},
		"a CA's, first":         {[][]byte{bad, leaf.Raw}, leafKey, "", []string{`leaving out certificate CN=ca (number 1 in FILE): it is malformed: x509: negative serial number`}},
		"no certificate at all": {[][]byte{leaf.Raw, {0x30, 0}}, leafKey, "", []string{`leaving out certificate (number 2 in FILE): it is malformed: x509: malformed tbs certificate`}},
		"thirty": {append(slices.Repeat([][]byte{bad}, 30), leaf.Raw), leafKey, "", []string{
			`leaving out certificate CN=ca (number 1 in FILE): it is malformed: x509: negative serial number`, `leaving out 29 more malformed certificates`}},
		"the leaf":                      {[][]byte{negative(t, leaf)}, leafKey, "malformed certificate (number 1 in the file): x509: negative serial number", nil},
		"the leaf, before its CA":       {[][]byte{negative(t, leaf), ca.Raw}, leafKey, "malformed certificate (number 1 in the file): x509: negative serial number", nil},
		"the leaf, beside another":      {[][]byte{other.Raw, negative(t, leaf)}, leafKey, "malformed certificate (number 2 in the file): x509: negative serial number", nil},
		"another's, and no leaf at all": {[][]byte{other.Raw, bad}, leafKey, "no certificate for the private key (ECDSA P-256) found: the file holds CN=other (ECDSA P-256)", nil},
	} {
		file := writeFile(t, append(encode(c.certs...), pkcs8(c.key)...))
		k, err := Open(t.Context(), Source{Certificate: file, Now: func() time.Time { return noon }})
		if c.wantErr != "" {
			if err == nil || !strings.HasSuffix(err.Error(), ": "+c.wantErr) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i := range k.Warnings {
			k.Warnings[i] = strings.ReplaceAll(k.Warnings[i], `"`+file+`"`, "FILE")
		}
		if diff := cmp.Diff(c.warnings, k.Warnings); diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", name, diff)
		}
		// Without the key it may be the malformed one that signs.
		id, err := Identify(Source{Certificate: file})
		if err != nil || id.Lookup == Hash(leaf) {
			t.Errorf("%s: looked up as %s, %v", name, id.Lookup, err)
		}
	}
	if _, err := OpenCertificate(t.Context(), Source{Certificate: writeFile(t, encode(negative(t, leaf), ca.Raw))}); err == nil ||
		!strings.HasSuffix(err.Error(), "malformed certificate (number 1 in the file): x509: negative serial number") {
		t.Errorf("without the key, a malformed leaf: %v", err)
	}
}

// rawName makes a name of one attribute in each RDN, with values of any kind.
func rawName(t *testing.T, values ...asn1.RawValue) []byte {
	t.Helper()
	var rdns []asn1.RawValue
	for i, v := range values {
		attribute, err := asn1.Marshal(struct {
			Type  asn1.ObjectIdentifier
			Value asn1.RawValue
		}{asn1.ObjectIdentifier{2, 5, 4, 10 - 7*(i%2)}, v})
		if err != nil {
			t.Fatal(err)
		}
		rdns = append(rdns, asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: attribute})
	}
	der, err := asn1.Marshal(rdns)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestNamesAreComparedByTheirCharacters(t *testing.T) {
	t.Parallel()
	text := func(tag int, s string) asn1.RawValue { return asn1.RawValue{Tag: tag, Bytes: []byte(s)} }
	utf8 := func(s string) asn1.RawValue { return text(asn1.TagUTF8String, s) }
	numbers := nameNumbers{}
	of := func(values ...asn1.RawValue) int { return numbers.of(rawName(t, values...)) }
	want := of(utf8("Acme Corp"), utf8("Müller CA"))
	for _, same := range [][]asn1.RawValue{
		{text(asn1.TagPrintableString, "Acme Corp"), utf8("Müller CA")},
		{text(asn1.TagIA5String, "ACME corp"), utf8("MÜLLER ca")},
		{utf8("  Acme   Corp "), text(asn1.TagT61String, "M\xfcller CA")},
		{text(asn1.TagBMPString, "\x00A\x00c\x00m\x00e\x00 \x00C\x00o\x00r\x00p"), text(28, "\x00\x00\x00M\x00\x00\x00\xfc\x00\x00\x00l\x00\x00\x00l\x00\x00\x00e\x00\x00\x00r\x00\x00\x00 \x00\x00\x00C\x00\x00\x00A")},
	} {
		if got := of(same...); got != want {
			t.Errorf("%v is another name", same)
		}
	}
	for _, other := range [][]asn1.RawValue{
		{utf8("Acme Corp")},
		{utf8("Müller CA"), utf8("Acme Corp")},
		{utf8("AcmeCorp"), utf8("Müller CA")},
		{utf8("Acme Corp"), utf8("Muller CA")},
		{utf8("Acme Corp"), utf8("Müller CA"), utf8("x")},
		{utf8("Acme Corp\x00"), utf8("Müller CA")},
		{utf8("Acme Corp"), {Tag: asn1.TagOctetString, Bytes: []byte("Müller CA")}},
		{},
	} {
		if got := of(other...); got == want {
			t.Errorf("%v is the same name", other)
		}
	}
}

// A leaf whose issuer is written in another way than the CA's subject.
func TestOrderChainByKeyAndSignature(t *testing.T) {
	t.Parallel()
	rootKey, caKey, leafKey := newKey(t), newKey(t), newKey(t)
	root := issue(t, authorityNamed("root"), rootKey, nil, nil)
	as := func(tag int, s string) []byte {
		return rawName(t, asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte("Acme")}, asn1.RawValue{Tag: tag, Bytes: []byte(s)})
	}
	authority := func(subject []byte, key crypto.Signer) *x509.Certificate {
		c := authorityNamed("")
		c.RawSubject = subject
		return issue(t, c, key, root, rootKey)
	}
	ca := authority(as(asn1.TagUTF8String, "Issuing CA"), caKey)
	impostor := authority(as(asn1.TagUTF8String, "Issuing CA"), newKey(t))
	for _, issuer := range [][]byte{as(asn1.TagPrintableString, "Issuing CA"), as(asn1.TagUTF8String, "ISSUING CA"), as(asn1.TagIA5String, "Issuing  ca ")} {
		for _, keyID := range [][]byte{nil, ca.SubjectKeyId} {
			parent := *ca
			parent.RawSubject, parent.SubjectKeyId = issuer, keyID
			leaf := issue(t, template("leaf"), leafKey, &parent, caKey)
			path, unused, err := orderChain(leaf, []*x509.Certificate{impostor, root, ca}, noon)
			if err != nil || len(path) != 1 || !path[0].Equal(ca) || len(unused) != 1 || !unused[0].Equal(impostor) {
				t.Errorf("issuer %q, key identifier %x: got %d above and %d unused, %v", issuer, keyID, len(path), len(unused), err)
			}
		}
	}
}

// Candidates that are too many to be sent: valid ones are preferred to others, then short chains.
func TestOrderChainPrefersValidAndShort(t *testing.T) {
	t.Parallel()
	rootKey, caKey, leafKey := newKey(t), newKey(t), newKey(t)
	serial := int64(500)
	ca := func(name string, key crypto.Signer, by string, byKey crypto.Signer, years int) *x509.Certificate {
		c := authorityNamed(name)
		serial++
		c.SerialNumber = big.NewInt(serial)
		c.NotBefore, c.NotAfter = noon.AddDate(years-1, 0, 0), noon.AddDate(years, 0, 1)
		return issue(t, c, key, authorityNamed(by), byKey)
	}
	leaf := issue(t, template("leaf"), leafKey, authorityNamed("ca"), caKey)
	valid := ca("ca", caKey, "root", rootKey, 1)
	expired := func(n int) (all []*x509.Certificate) {
		for i := range n {
			all = append(all, ca("ca", caKey, "root", rootKey, -2-i))
		}
		return all
	}
	check := func(name string, pool []*x509.Certificate, want ...*x509.Certificate) {
		t.Helper()
		path, unused, err := orderChain(leaf, pool, noon)
		if diff := cmp.Diff(names(want), names(path)); diff != "" || err != nil || len(unused) > 0 {
			t.Errorf("%s: %v, %q unused, path (-want +got):\n%s", name, err, names(unused), diff)
			return
		}
		for i := range want {
			if !path[i].Equal(want[i]) {
				t.Errorf("%s: certificate %d has serial number %s, want %s", name, i, path[i].SerialNumber, want[i].SerialNumber)
			}
		}
	}
	check("expired ones after", append([]*x509.Certificate{valid}, expired(6)...), valid)
	check("expired ones before", append(expired(6), valid), valid)
	check("two expired ones", append(expired(2), valid), valid)
	check("one not yet valid", []*x509.Certificate{ca("ca", caKey, "root", rootKey, 3), valid}, valid)
	old := expired(7)
	check("all are expired", old, old[0])

	// Two ways up: a short one over an expired certificate, a long one that is valid.
	keys := make([]crypto.Signer, 9)
	for i := range keys {
		keys[i] = newKey(t)
	}
	short := ca("ca", caKey, "short", keys[0], 1)
	shortTop := ca("short", keys[0], "root", rootKey, -1)
	way := func(n int) (all []*x509.Certificate) { // ca ← w1 ← … ← root
		all = append(all, ca("ca", caKey, "w1", keys[1], 1))
		for i := 1; i < n; i++ {
			by := "w" + string(rune('1'+i))
			if i == n-1 {
				by = "root"
			}
			all = append(all, ca("w"+string(rune('0'+i)), keys[i], by, keys[i+1], 1))
		}
		return all
	}
	four, six := way(4), way(6)
	check("a valid chain before a shorter expired one", append([]*x509.Certificate{short, shortTop}, four...), four...)
	check("one of six is too long", append(six, short, shortTop), short, shortTop)
	if _, _, err := orderChain(leaf, six, noon); err == nil {
		t.Error("a chain of six: no error")
	}
	five := way(5)
	check("five are not too many", five, five...)
	check("five, and a root", append([]*x509.Certificate{ca("root", rootKey, "root", rootKey, 1)}, five...), five...)

	// A CA that eight others have cross-signed: five of them.
	var crossed []*x509.Certificate
	for i := range 8 {
		crossed = append(crossed, ca("ca", caKey, "root "+string(rune('a'+i)), keys[i], 1))
	}
	check("cross-signed by eight", crossed, crossed[:5]...)
}

// What cert show says is what a session's key is held against.
func TestOpenCertificateAndOpenAgree(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"foreign/ed25519.pem"} {
		k, err := OpenCertificate(t.Context(), source(file, "", "", nil))
		if err != nil {
			t.Fatal(err)
		}
		_, err = k.Check(foreignNow)
		if e, ok := err.(*Error); !ok || e.Reason != UnsupportedKey { //nolint:errorlint // Check returns it as it is
			t.Errorf("%s: %v", file, err)
		}
	}
	if _, err := OpenCertificate(t.Context(), source("too-long.pem", "", "", nil)); err == nil ||
		!strings.HasSuffix(err.Error(), "6 or more certificates above it found, at most 5 are accepted") {
		t.Errorf("a chain of six: %v", err)
	}
}
