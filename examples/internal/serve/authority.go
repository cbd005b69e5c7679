package serve

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/reachback/reachback/examples/internal/program"
)

const (
	caFile        = "ca.pem"
	authorityFile = "authority.pem"
	authorityLife = 10 * 365 * 24 * time.Hour
	ownCertLife   = 365 * 24 * time.Hour
	backdated     = time.Minute // for clocks that are a little behind
)

// An ownAuthority issues the certificate of a gateway apart that was given none.
// It is constrained to the gateway's names: who trusts it, trusts this gateway for
// nothing else, above all not to be the broker or the feed.
type ownAuthority struct {
	file  string // with its certificate, for -ca of others
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	names []string
}

// openOwnAuthority reads the authority in dir, or makes one where there is none
// for these names.
func openOwnAuthority(dir string, names ...string) (*ownAuthority, error) {
	slices.Sort(names)
	a := &ownAuthority{names: slices.Compact(names)}
	path := filepath.Join(dir, authorityFile)
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = a.create(dir)
	case err == nil:
		if err = a.parse(data); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if !a.permits() {
			err = a.create(dir)
		}
	}
	if err != nil {
		return nil, err
	}
	a.file, err = program.WriteFile(dir, caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
	return a, err
}

func (a *ownAuthority) create(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	tmpl, err := a.template("reachback gateway "+a.names[0], authorityLife)
	if err != nil {
		return err
	}
	tmpl.IsCA, tmpl.BasicConstraintsValid = true, true
	tmpl.KeyUsage = x509.KeyUsageCertSign
	tmpl.PermittedDNSDomainsCritical = true
	tmpl.PermittedDNSDomains, tmpl.PermittedIPRanges = constraints(a.names)
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	data = append(data, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	if _, err := program.WriteFile(dir, authorityFile, data); err != nil {
		return err
	}
	return a.parse(data)
}

// constraints returns what permits the names and no other. Where none of the names
// is of one kind, nothing of that kind is permitted.
func constraints(names []string) (dns []string, ips []*net.IPNet) {
	for _, n := range names {
		if ip := net.ParseIP(n); ip == nil {
			dns = append(dns, n)
		} else if v4 := ip.To4(); v4 != nil {
			ips = append(ips, &net.IPNet{IP: v4, Mask: net.CIDRMask(32, 32)})
		} else {
			ips = append(ips, &net.IPNet{IP: ip, Mask: net.CIDRMask(128, 128)})
		}
	}
	if dns == nil {
		dns = []string{"invalid"} // RFC 6761, section 6.4: nobody's
	}
	if ips == nil {
		ips = []*net.IPNet{{IP: net.IPv6unspecified, Mask: net.CIDRMask(128, 128)}}
	}
	return dns, ips
}

func (a *ownAuthority) parse(data []byte) error {
	pair, err := tls.X509KeyPair(data, data)
	if err != nil {
		return err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return errors.New("the key is of another kind")
	}
	a.key = key
	a.cert, err = x509.ParseCertificate(pair.Certificate[0])
	return err
}

// permits reports whether the authority is for these names, and has a year yet.
func (a *ownAuthority) permits() bool {
	dns, ips := constraints(a.names)
	return slices.Equal(a.cert.PermittedDNSDomains, dns) &&
		slices.EqualFunc(a.cert.PermittedIPRanges, ips, func(a, b *net.IPNet) bool { return a.String() == b.String() }) &&
		time.Now().Add(ownCertLife).Before(a.cert.NotAfter)
}

// issue is a certificate's load.
func (a *ownAuthority) issue() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	tmpl, err := a.template(a.names[0], ownCertLife)
	if err != nil {
		return tls.Certificate{}, err
	}
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, n := range a.names {
		if ip := net.ParseIP(n); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

func (a *ownAuthority) template(name string, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-backdated),
		NotAfter:     now.Add(life),
	}, nil
}
