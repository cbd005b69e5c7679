package broker

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"io"
	"net/http"
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
	Token string    `json:"token"`
	CSR   []byte    `json:"csr"` // PKCS #10, DER
	Role  Role      `json:"role,omitempty"`
	Name  string    `json:"name,omitempty"`
	Pool  string    `json:"pool,omitempty"` // of a host
	URL   string    `json:"url,omitempty"`  // of a gateway
	Old   *keyProof `json:"old,omitempty"`
}

// enrolAnswer is the body of its answer. Code is name_taken or empty.
type enrolAnswer struct {
	Host        string         `json:"host,omitempty"`
	Gateway     string         `json:"gateway,omitempty"`
	Name        string         `json:"name"`
	Pool        string         `json:"pool,omitempty"`
	URL         string         `json:"url,omitempty"`
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

func (b *Broker) enrol(w http.ResponseWriter, r *http.Request) (*enrolAnswer, error) {
	if b.failures.Blocked(carrier.Remote(r).Addr(), time.Now()) {
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
	asked, err := parseEnrol(body)
	if err != nil {
		return nil, err
	}
	var a *enrolAnswer
	if asked.role == RoleGateway {
		a, err = b.enrolGateway(r.Context(), asked)
	} else {
		a, err = b.enrolHost(r.Context(), asked)
	}
	b.recordEnrolment(asked, a, err, r.RemoteAddr)
	if err != nil {
		return nil, err
	}
	b.counters.enrolled.Add(1)
	b.log().Info(string(asked.role)+" enrolled", string(asked.role), a.Host+a.Gateway, "name", a.Name, "pool", a.Pool, "url", a.URL,
		"registration", asked.Registration, "replaces_key", asked.OldKey != Thumbprint{}, "remote", r.RemoteAddr, "code", a.Code)
	return a, nil
}

func (b *Broker) enrolHost(ctx context.Context, asked *enrolment) (*enrolAnswer, error) {
	got, err := b.dir.Enrol(ctx, &asked.EnrolRequest)
	if err != nil {
		return nil, err
	}
	if c := b.channel(got.ID); c != nil && asked.OldKey != (Thumbprint{}) {
		c.end(reachback.Refuse(reachback.CodeSuperseded), true) // it is the old key's
	}
	a := &enrolAnswer{Host: got.ID, Name: got.Name, Pool: got.Pool}
	if got.NameTaken {
		a.Code = reachback.CodeNameTaken
	}
	a.Certificate, err = b.keys.hosts.identityCertificate(RoleHost, got.ID, asked.key, time.Now())
	return a, err
}

func (b *Broker) enrolGateway(ctx context.Context, asked *enrolment) (*enrolAnswer, error) {
	got, err := b.dir.EnrolGateway(ctx, &asked.EnrolRequest)
	if err != nil {
		return nil, err
	}
	b.fleet.changed()
	b.mu.Lock()
	g := b.gateways[got.ID]
	b.mu.Unlock()
	if g != nil && (asked.OldKey != (Thumbprint{}) || g.row.URL != got.URL) {
		g.end(reachback.Refuse(reachback.CodeSuperseded), true) // it is the old key's, or the old URL's
	}
	a := &enrolAnswer{Gateway: got.ID, Name: got.Name, URL: got.URL}
	a.Certificate, err = b.keys.hosts.identityCertificate(RoleGateway, got.ID, asked.key, time.Now())
	return a, err
}

// An enrolment is a request to enrol of which everything has been checked that
// needs no state.
type enrolment struct {
	EnrolRequest
	role Role
	key  *ecdsa.PublicKey // that of Key
}

// parseEnrol decodes a request to enrol and checks it. The signatures, the costly
// part, come last.
func parseEnrol(body []byte) (*enrolment, error) {
	bad := reachback.Refuse(reachback.CodeBadRequest)
	req := &enrolRequest{}
	// This decoder refuses a key that stands twice.
	if err := strict.Unmarshal(body, req); err != nil || req.Token == "" || len(req.CSR) == 0 || req.Name != "" && !validName(req.Name) {
		return nil, bad
	}
	e := &enrolment{role: req.Role}
	e.Name, e.Pool = req.Name, req.Pool
	switch req.Role {
	case "", RoleHost:
		e.role = RoleHost
		if req.URL != "" || req.Pool != "" && !idPattern.MatchString(req.Pool) {
			return nil, bad
		}
	case RoleGateway:
		var ok bool
		if e.URL, ok = gatewayURL(req.URL); !ok || req.Pool != "" {
			return nil, bad
		}
	default:
		return nil, bad
	}
	var ok bool
	if e.Registration, e.Hash, ok = parseRegistrationToken(req.Token); !ok {
		return nil, reachback.Refuse(reachback.CodeRegistrationInvalid)
	}
	var err error
	if e.key, err = parseCSR(req.CSR); err == nil {
		e.Key, err = thumbprint(e.key)
	}
	if err == nil && req.Old != nil {
		e.OldKey, err = req.Old.check(req.CSR)
	}
	if err != nil {
		return nil, reachback.Refuse(reachback.CodeCSRInvalid)
	}
	return e, nil
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
	row, err := b.dir.Host(ctx, host)
	if err != nil {
		return nil, err
	}
	return b.renewFor(RoleHost, host, row.Key, csr)
}

// renewFor is renew, once the row with the key has been found.
func (b *Broker) renewFor(role Role, id string, enrolled Thumbprint, csr []byte) ([]byte, error) {
	if !b.repeats.Allow("renew "+id, time.Now()) { // a signature each
		return nil, reachback.Refuse(reachback.CodeRateLimited)
	}
	key, err := parseCSR(csr)
	if err != nil {
		return nil, reachback.Refuse(reachback.CodeCSRInvalid)
	}
	if thumb, err := thumbprint(key); err != nil || thumb != enrolled {
		return nil, reachback.Refuse(reachback.CodeCSRInvalid)
	}
	cert, err := b.keys.hosts.identityCertificate(role, id, key, time.Now())
	if err != nil {
		return nil, err
	}
	b.counters.renewed.Add(1)
	b.log().Info("identity certificate renewed", string(role), id)
	return cert, nil
}
