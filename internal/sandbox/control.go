package sandbox

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/eks-x509/eks-x509/internal/minica"
)

// control serves /-/…, by which tests and people look into the sandbox and change it. AWS has no such thing.
func (s *Sandbox) control(w http.ResponseWriter, r *http.Request, at *realm) {
	if !slices.Contains(at.hosts, r.Host) {
		http.Error(w, "unexpected Host header", http.StatusMisdirectedRequest)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControlBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /-/healthz":
		fmt.Fprintln(w, "ok")
	case "GET /-/requests":
		reply(w, append([]Entry{}, s.Requests()...))
	case "GET /-/events":
		reply(w, map[string]any{"Records": append([]Event{}, s.Events()...)})
	case "GET /-/world":
		reply(w, s.World())
	case "PUT /-/world":
		world, err := ParseWorld(body)
		if err == nil {
			err = s.SetWorld(world)
		}
		done(w, err)
	case "GET /-/faults":
		for _, f := range s.Faults() {
			fmt.Fprintln(w, f)
		}
	case "PUT /-/faults":
		faults, err := ParseFaults(string(body))
		if err == nil {
			s.SetFaults(faults)
		}
		done(w, err)
	case "DELETE /-/faults":
		s.SetFaults(nil)
		done(w, nil)
	case "POST /-/revoke":
		serial, err := readSerial(body)
		if err == nil {
			err = s.Revoke(serial)
		}
		done(w, err)
	case "POST /-/reset":
		s.reset()
		done(w, nil)
	default:
		http.NotFound(w, r)
	}
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // the client has gone if this fails
}

func done(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// reset forgets requests and events seen so far; the files keep them.
func (s *Sandbox) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries, s.events, s.audit = history[Entry]{}, history[Event]{}, history[auditRecord]{}
}

func readSerial(body []byte) (*big.Int, error) {
	var in struct {
		Serial string `json:"serial"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, fmt.Errorf("malformed body: %w", err)
	}
	text, base := in.Serial, 10
	if hex, ok := strings.CutPrefix(strings.ToLower(text), "0x"); ok {
		text, base = hex, 16
	}
	serial, ok := new(big.Int).SetString(text, base)
	if !ok || serial.Sign() <= 0 {
		return nil, fmt.Errorf("malformed serial %q (want decimal, or hex after 0x)", in.Serial)
	}
	return serial, nil
}

// Revoke puts a certificate on the CRL of the CA that issued it, a private CA or else the sandbox's own, in every trust anchor of that CA.
func (s *Sandbox) Revoke(serial *big.Int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.world.clone()
	issuer, trusts, err := s.issuerOf(w, serial)
	if err != nil {
		return err
	}
	for i := range w.TrustAnchors {
		if a := &w.TrustAnchors[i]; trusts(a) {
			if err := a.revoke(issuer, serial, s.now()); err != nil {
				return err
			}
		}
	}
	return s.setWorld(w)
}

// issuerOf finds a CA by what it issued, and says which anchors trust it.
func (s *Sandbox) issuerOf(w *World, serial *big.Int) (*minica.Pair, func(*TrustAnchor) bool, error) {
	for _, ca := range w.CertificateAuthorities {
		for _, one := range ca.Issued {
			issued, err := parsePEM([]string{one.Certificate}, "CERTIFICATE", x509.ParseCertificate)
			if err != nil {
				return nil, nil, err
			}
			if issued[0].SerialNumber.Cmp(serial) == 0 {
				pair, err := ca.pair()
				return pair, func(a *TrustAnchor) bool { return a.AcmPcaARN == ca.ARN }, err
			}
		}
	}
	issuer := s.ca.Intermediate
	if serial.Cmp(issuer.Certificate.SerialNumber) == 0 {
		issuer = s.ca.Root
	}
	return issuer, func(a *TrustAnchor) bool { return slices.Contains(a.Certificates, s.ca.rootPEM()) }, nil
}

// revoke extends the issuer's CRL, or adds one.
func (a *TrustAnchor) revoke(issuer *minica.Pair, serial *big.Int, now time.Time) error {
	lists, err := a.revocationLists()
	if err != nil {
		return err
	}
	serials, at := []*big.Int{serial}, len(lists)
	for i, list := range lists {
		if string(list.RawIssuer) == string(issuer.Certificate.RawSubject) {
			at = i
			for _, entry := range list.RevokedCertificateEntries {
				serials = append(serials, entry.SerialNumber)
			}
		}
	}
	crl, err := issuer.CRL(serials, now)
	if err != nil {
		return err
	}
	if at == len(lists) {
		a.CRLs = append(a.CRLs, "")
	}
	a.CRLs[at] = string(crl)
	return nil
}
