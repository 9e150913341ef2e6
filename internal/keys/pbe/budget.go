// Package pbe decrypts what a password encrypts in PKCS#8 and PKCS#12 files, at a bounded cost.
//
// A file names the cost of its own password: how often a hash is repeated, how much memory scrypt needs. Every key
// derivation is charged to a Budget before it runs, and a file has one Budget, whatever it nests.
//
// Formats: RFC 8018 (PBES2, PBKDF2), RFC 7914 (scrypt), RFC 7292 appendices B and C (PKCS#12), RFC 2268 (RC2).
package pbe

import (
	"errors"
	"fmt"
	"math/big"
)

// Kinds of errors of this package and of those that read files with it.
var (
	ErrUnsupported   = errors.New("unsupported")
	ErrWrongPassword = errors.New("wrong password")
)

// Unsupported returns an ErrUnsupported that says of what.
func Unsupported(format string, args ...any) error {
	return fmt.Errorf("%w %w", ErrUnsupported, fmt.Errorf(format, args...))
}

// Limits are what the key derivations of one file may cost.
type Limits struct {
	// Iterations are those of all derivations, each times the blocks of hash output that it needs. OpenSSL writes 2,048
	// for each of two or three, Java 10,000, NSS 600,000; OWASP asks for up to 1,300,000.
	Iterations int
	// ScryptCost is the sum of N·r·p. A unit is 128 bytes, so that it bounds memory and time. OpenSSL writes 2^17.
	ScryptCost int
}

// DefaultLimits take some seconds and 256 MiB at most.
func DefaultLimits() Limits { return Limits{Iterations: 10_000_000, ScryptCost: 256 << 20 / 128} }

// Budget is what is left for a file.
type Budget struct {
	limits Limits
	spent  Limits
}

// Budget returns a full one.
func (l Limits) Budget() *Budget { return &Budget{limits: l} }

// iterate charges n iterations for size bytes of output of a hash, and returns n.
func (b *Budget) iterate(n *big.Int, size, hashSize int) (int, error) {
	if n.Sign() <= 0 {
		return 0, fmt.Errorf("malformed encryption: %s iterations", number(n))
	}
	if n.Cmp(big.NewInt(int64(b.limits.Iterations))) > 0 {
		return 0, Unsupported("encryption with %s iterations (supported: up to %d)", number(n), b.limits.Iterations)
	}
	blocks := (size + hashSize - 1) / hashSize
	count := int(n.Int64())
	total := b.spent.Iterations + count*blocks // neither can overflow: size is that of a key
	if total > b.limits.Iterations {
		return 0, Unsupported("encryption with %d iterations in all (supported: up to %d in a file)", total, b.limits.Iterations)
	}
	b.spent.Iterations = total
	return count, nil
}

// scrypt charges a derivation.
func (b *Budget) scrypt(n, r, p int) error {
	most := b.limits.ScryptCost
	// By division, since the product may overflow.
	if n > most || r > most/n || p > most/n/r {
		return Unsupported("scrypt cost N=%d, r=%d, p=%d (supported: N·r·p up to %d)", n, r, p, most)
	}
	if total := b.spent.ScryptCost + n*r*p; total > most {
		return Unsupported("scrypt cost of %d in all (supported: N·r·p up to %d in a file)", total, most)
	}
	b.spent.ScryptCost += n * r * p
	return nil
}

// number is n, or how long it is.
func number(n *big.Int) string {
	if n.BitLen() > 64 {
		return fmt.Sprintf("a number of %d bits of", n.BitLen())
	}
	return n.String()
}

// maxSalt is far above the 8 to 64 bytes that are in use.
const maxSalt = 1024

func checkSalt(salt []byte) error {
	if len(salt) > maxSalt {
		return Unsupported("salt of %d bytes (supported: up to %d)", len(salt), maxSalt)
	}
	return nil
}
