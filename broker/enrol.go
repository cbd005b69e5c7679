package broker

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"time"

	strict "github.com/go-jose/go-jose/v4/json"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/internal/carrier"
)

const (
	maxEnrolBody = 16 << 10
	enrolWithin  = 5 * time.Second
)

// enrolRequest is the body of a request to enrol (SPEC.md, section 7).
type enrolRequest struct {
	Token string `json:"token"`
	CSR   []byte `json:"csr"` // PKCS #10, DER
	Name  string `json:"name,omitempty"`
	Pool  string `json:"pool,omitempty"`
}

// enrolAnswer is the body of its answer. Code is name_taken or empty.
type enrolAnswer struct {
	Host        string         `json:"host"`
	Name        string         `json:"name"`
	Pool        string         `json:"pool"`
	Certificate []byte         `json:"certificate"` // DER
	Code        reachback.Code `json:"code,omitempty"`
}

func (b *Broker) serveEnrol(w http.ResponseWriter, r *http.Request) {
	a, err := b.enrol(w, r)
	if err != nil {
		b.deny(w, r, "enrolment refused", err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(a)
}

func remoteAddr(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr) // of anything else: the zero address, one bucket
	return ap.Addr()
}

func (b *Broker) enrol(w http.ResponseWriter, r *http.Request) (*enrolAnswer, error) {
	if b.failures.Blocked(remoteAddr(r), time.Now()) {
		return nil, reachback.Refuse(reachback.CodeRateLimited)
	}
	if err := carrier.CheckMethod(w, r, http.MethodPost); err != nil {
		return nil, err
	}
	if r.Header.Get("Origin") != "" || r.TLS == nil || r.ContentLength > maxEnrolBody {
		return nil, reachback.Refuse(reachback.CodeBadRequest)
	}
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(enrolWithin))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEnrolBody))
	if err != nil {
		return nil, reachback.Refuse(reachback.CodeBadRequest)
	}
	req, key, err := parseEnrol(body)
	if err != nil {
		return nil, err
	}
	id, hash, ok := parseRegistrationToken(req.Token)
	if !ok {
		return nil, reachback.Refuse(reachback.CodeRegistrationInvalid)
	}
	thumb, err := thumbprint(key)
	if err != nil {
		return nil, reachback.Refuse(reachback.CodeCSRInvalid)
	}
	got, err := b.dir.Enrol(r.Context(), &EnrolRequest{Registration: id, Hash: hash, Key: thumb, Name: req.Name, Pool: req.Pool})
	if err != nil {
		return nil, err
	}
	cert, err := b.keys.hosts.identityCertificate(got.ID, key, time.Now())
	if err != nil {
		return nil, err
	}
	a := &enrolAnswer{Host: got.ID, Name: got.Name, Pool: got.Pool, Certificate: cert}
	if got.NameTaken {
		a.Code = reachback.CodeNameTaken
	}
	b.counters.enrolled.Add(1)
	b.log().Info("host enrolled", "host", a.Host, "name", a.Name, "pool", a.Pool, "registration", id, "remote", r.RemoteAddr, "code", a.Code)
	return a, nil
}

// parseEnrol decodes a request to enrol and checks everything that needs no
// state. The signature, the costly part, comes last.
func parseEnrol(body []byte) (*enrolRequest, *ecdsa.PublicKey, error) {
	req := &enrolRequest{}
	// This decoder refuses a key that stands twice.
	if err := strict.Unmarshal(body, req); err != nil || req.Token == "" || len(req.CSR) == 0 {
		return nil, nil, reachback.Refuse(reachback.CodeBadRequest)
	}
	if req.Name != "" && !validName(req.Name) || req.Pool != "" && !idPattern.MatchString(req.Pool) {
		return nil, nil, reachback.Refuse(reachback.CodeBadRequest)
	}
	key, err := parseCSR(req.CSR)
	if err != nil {
		return nil, nil, reachback.Refuse(reachback.CodeCSRInvalid)
	}
	return req, key, nil
}

// validName reports whether a host may be called so: what host names are made of.
func validName(name string) bool {
	if name == "" || len(name) > 63 {
		return false
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// renew issues a host's next certificate, for the key that it was enrolled with.
func (b *Broker) renew(ctx context.Context, host string, csr []byte) ([]byte, error) {
	key, err := parseCSR(csr)
	if err != nil {
		return nil, reachback.Refuse(reachback.CodeCSRInvalid)
	}
	row, err := b.dir.Host(ctx, host)
	if err != nil {
		return nil, err
	}
	if thumb, err := thumbprint(key); err != nil || thumb != row.Key {
		return nil, reachback.Refuse(reachback.CodeCSRInvalid)
	}
	cert, err := b.keys.hosts.identityCertificate(host, key, time.Now())
	if err != nil {
		return nil, err
	}
	b.counters.renewed.Add(1)
	b.log().Info("identity certificate renewed", "host", host)
	return cert, nil
}

// certificateKey is the thumbprint of a certificate's key.
func certificateKey(c *x509.Certificate) (Thumbprint, error) {
	key, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return Thumbprint{}, errors.New("the key is not on P-256")
	}
	return thumbprint(key)
}
