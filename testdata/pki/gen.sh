#!/bin/sh
# Makes the fixtures of this folder anew, by OpenSSL 3. Not run by the tests.
#
# A file's name says how it was made; README.md says what the kinds are for.
set -eu
cd "$(dirname "$0")"
rm -f -- *.pem *.der *.p12 *.key
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

pass=open-sesame
from=20260101000000Z
until=21251231235959Z

# issue NAME SUBJECT ISSUER EXTENSIONS [HASH]: signs NAME.key's certificate; ISSUER "self" is a root.
issue() {
	printf '%s\n' "$4" >"$tmp/$1.ext"
	openssl req -new -config /dev/null -key "$tmp/$1.key" -subj "$2" -out "$tmp/$1.csr"
	: >"$tmp/index"
	if [ "$3" = self ]; then signer=$1; else signer=$3; fi
	printf '[ca]\ndatabase=%s\nnew_certs_dir=%s\npolicy=any\nunique_subject=no\nrand_serial=yes\n[any]\ncommonName=supplied\norganizationName=optional\n' \
		"$tmp/index" "$tmp" >"$tmp/ca.cnf"
	if [ "$3" = self ]; then from_ca=-selfsign; else from_ca="-cert $tmp/$3.crt"; fi
	# shellcheck disable=SC2086 # from_ca is two words
	openssl ca -batch -notext -config "$tmp/ca.cnf" -name ca $from_ca -keyfile "$tmp/$signer.key" -in "$tmp/$1.csr" \
		-md "${5:-sha256}" -startdate "$from" -enddate "$until" -preserveDN -extfile "$tmp/$1.ext" -out "$tmp/$1.crt" 2>"$tmp/log" ||
		{ cat "$tmp/log" >&2; exit 1; }
}

ec() { openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:$2" -out "$tmp/$1.key"; }
rsa() { openssl genrsa -out "$tmp/$1.key" "$2" 2>/dev/null; }

id='subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid'
ca="basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
$id"
client="basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
$id"

# The authorities: root → middle → issuing, and old-root, which cross-signed root's key.
for name in root old-root middle issuing; do ec "$name" P-256; done
issue root /CN=root self "$ca"
issue old-root /CN=old-root self "$ca"
issue middle /CN=middle root "$ca"
issue issuing /CN=issuing middle "$ca"
cp "$tmp/root.key" "$tmp/cross.key"
issue cross /CN=root old-root "$ca"

# The clients, one for each kind of key.
rsa rsa2048 2048
rsa rsa3072 3072
rsa rsa4096 4096
for curve in 256 384 521; do ec "ec$curve" "P-$curve"; done
for name in rsa2048 rsa3072 rsa4096 ec256 ec384 ec521; do
	issue "$name" "/O=Example/CN=$name" issuing "$client"
	cp "$tmp/$name.crt" "$name.pem"
	cp "$tmp/$name.key" "$name.pkcs8.key"
	openssl pkey -traditional -in "$tmp/$name.key" -out "$name.traditional.key"
done
cp "$tmp/root.crt" root.pem
cp "$tmp/issuing.crt" issuing.pem

# A second certificate for the same key, as a renewal leaves it; and somebody else's.
cp "$tmp/ec256.key" "$tmp/renewed.key"
until=21261231235959Z issue renewed /O=Example/CN=ec256 issuing "$client"
ec other P-256
issue other /O=Example/CN=other issuing "$client"
cp "$tmp/renewed.crt" ec256.renewed.pem
cp "$tmp/other.crt" other.pem

# EC keys as "openssl ecparam -genkey" writes them, with the parameters before.
{ openssl ecparam -name prime256v1; cat ec256.traditional.key; } >ec256.ecparam.key

# DER.
openssl x509 -in ec256.pem -outform DER -out ec256.der
openssl pkcs8 -topk8 -nocrypt -in "$tmp/ec256.key" -outform DER -out ec256.pkcs8.der
openssl ec -in "$tmp/ec256.key" -outform DER -out ec256.sec1.der 2>/dev/null
openssl rsa -traditional -in "$tmp/rsa2048.key" -outform DER -out rsa2048.pkcs1.der 2>/dev/null

# Encrypted PKCS#8.
pkcs8() { openssl pkcs8 -topk8 -in "$tmp/ec256.key" -passout "pass:$pass" "$@"; }
for prf in SHA1 SHA224 SHA256 SHA384 SHA512; do
	pkcs8 -v2 aes-256-cbc -v2prf "hmacWith$prf" -out "ec256.$(echo "$prf" | tr A-Z a-z).enc.key"
done
for cipher in aes-128-cbc aes-192-cbc des3; do pkcs8 -v2 "$cipher" -out "ec256.$cipher.enc.key"; done
pkcs8 -scrypt -out ec256.scrypt.enc.key
pkcs8 -v2 aes-256-cbc -iter 10000001 -out ec256.costly.enc.key
pkcs8 -v2 aes-256-cbc -outform DER -out ec256.enc.der
openssl pkcs8 -topk8 -in "$tmp/rsa2048.key" -passout "pass:$pass" -out rsa2048.enc.key
# Not supported: PBES1, a cipher that nobody uses, and traditional PEM encryption.
pkcs8 -v1 PBE-SHA1-3DES -out ec256.pbes1.enc.key
pkcs8 -v2 camellia-256-cbc -out ec256.camellia.enc.key
openssl ec -in "$tmp/ec256.key" -aes256 -passout "pass:$pass" -out ec256.traditional.enc.key 2>/dev/null

# PKCS#12.
cat "$tmp/issuing.crt" "$tmp/middle.crt" "$tmp/root.crt" >"$tmp/above.crt"
p12() { out=$1; shift; openssl pkcs12 -export -inkey "$tmp/ec256.key" -in ec256.pem -out "$out" "$@"; }
p12 ec256.p12 -passout "pass:$pass"
p12 ec256.chain.p12 -passout "pass:$pass" -certfile "$tmp/above.crt" -name "the client"
p12 ec256.empty-password.p12 -passout pass:
p12 ec256.plain.p12 -passout pass: -keypbe NONE -certpbe NONE -nomac
p12 ec256.sha512.p12 -passout "pass:$pass" -macalg sha512 -keypbe aes-128-cbc -certpbe aes-192-cbc
p12 ec256.legacy.p12 -passout "pass:$pass" -legacy
p12 ec256.legacy-chain.p12 -passout "pass:$pass" -legacy -certfile "$tmp/above.crt"
p12 ec256.legacy-empty-password.p12 -passout pass: -legacy
p12 ec256.costly.p12 -passout "pass:$pass" -iter 10000001
p12 ec256.costly-mac.p12 -passout pass: -keypbe NONE -certpbe NONE -maciter -iter 10000001
p12 ec256.no-mac.p12 -passout "pass:$pass" -nomac
openssl pkcs12 -export -nocerts -inkey "$tmp/ec256.key" -passout "pass:$pass" -out no-certificate.p12 2>/dev/null
openssl pkcs12 -export -nokeys -in "$tmp/above.crt" -passout "pass:$pass" -out no-key.p12
openssl pkcs12 -export -inkey "$tmp/rsa2048.key" -in rsa2048.pem -passout "pass:$pass" -out rsa2048.p12

# Bundles.
cat "$tmp/issuing.crt" "$tmp/middle.crt" >intermediates.pem
cat ec256.pem intermediates.pem root.pem >ec256.full-chain.pem
cat root.pem intermediates.pem ec256.pem >ec256.ca-first.pem
cat "$tmp/middle.crt" other.pem ec256.pem "$tmp/issuing.crt" "$tmp/middle.crt" >ec256.out-of-order.pem
cat ec256.pem "$tmp/cross.crt" intermediates.pem >ec256.cross-signed.pem
cat ec256.pem ec256.renewed.pem >ec256.both.pem
cat ec256.pkcs8.key ec256.pem >ec256.with-key.pem
openssl x509 -in ec256.pem -text >ec256.text.pem
openssl pkcs12 -in ec256.chain.p12 -passin "pass:$pass" -nodes >ec256.bag-attributes.pem
sed 's/$/\r/' ec256.full-chain.pem >ec256.crlf.pem
sed 's/$/\r/' ec256.pkcs8.key >ec256.crlf.key
printf '\357\273\277%s' "$(cat ec256.pem)" >ec256.bom.pem # no newline at the end, too
printf '\357\273\277%s' "$(cat ec256.pkcs8.key)" >ec256.bom.key
{ printf '\377\376'; iconv -t UTF-16LE ec256.pem; } >ec256.utf16.pem
{ printf '\376\377'; iconv -t UTF-16BE ec256.pkcs8.key; } >ec256.utf16.key

# A line of six intermediates.
cp "$tmp/root.crt" "$tmp/i0.crt"; cp "$tmp/root.key" "$tmp/i0.key"
: >"$tmp/long"
for i in 1 2 3 4 5 6; do
	ec "i$i" P-256
	issue "i$i" "/CN=i$i" "i$((i - 1))" "$ca"
	cat "$tmp/i$i.crt" >>"$tmp/long"
done
ec leaf P-256
issue leaf /CN=leaf i6 "$client"
cat "$tmp/leaf.crt" "$tmp/leaf.key" "$tmp/long" >too-long.pem
issue leaf /CN=leaf i5 "$client"
cat "$tmp/leaf.crt" "$tmp/leaf.key" "$tmp/long" >long-enough.pem

# What must be refused.
rsa rsa1024 1024
openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out "$tmp/rsa-pss.key" 2>/dev/null
openssl genpkey -algorithm ED25519 -out "$tmp/ed25519.key"
ec ec224 P-224
for name in rsa1024 rsa-pss ed25519 ec224; do cp "$tmp/$name.key" "$name.key"; done
openssl pkey -traditional -in "$tmp/ec224.key" -out ec224.traditional.key
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit -out ec256.explicit.key
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 -out secp256k1.key
# ec256 once more, but with a signature of SHA-224 and of SHA-1, which crypto/x509 does not make.
cp "$tmp/ec256.key" "$tmp/weak.key"
issue weak /O=Example/CN=ec256 issuing "$client" sha224
cp "$tmp/weak.crt" ec256.sha224.pem
issue weak /O=Example/CN=ec256 issuing "$client" sha1
cp "$tmp/weak.crt" ec256.sha1.pem
issue issuing /CN=issuing middle "$ca" sha1
cat ec256.pem "$tmp/issuing.crt" "$tmp/middle.crt" >ec256.sha1-intermediate.pem
# Version 1: without extensions.
openssl x509 -req -in "$tmp/ec256.csr" -CA issuing.pem -CAkey "$tmp/issuing.key" -days 36000 -out ec256.v1.pem 2>/dev/null
# Not certificates, not private keys.
cp "$tmp/ec256.csr" request.pem
openssl req -in request.pem -outform DER -out request.der
openssl pkey -in "$tmp/ec256.key" -pubout -out public.pem
openssl crl2pkcs7 -nocrl -certfile intermediates.pem -out bundle.pem
chmod 644 -- *
chmod 755 gen.sh
