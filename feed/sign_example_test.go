package feed_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/reachback/reachback/feed"
)

func ExampleRDPFile_Sign() {
	publisher, err := examplePublisher()
	if err != nil {
		fmt.Println(err)
		return
	}
	signer, err := feed.NewSigner(publisher, time.Now())
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := feed.ParseRDP([]byte("full address:s:pc.example.test\r\nredirectclipboard:i:0\r\nscreen mode id:i:2\r\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := f.Sign(signer, time.Now()); err != nil {
		fmt.Println(err)
		return
	}

	trusted := x509.NewCertPool()
	trusted.AddCert(signer.Certificate())
	signature, err := f.Verify(feed.VerifyOptions{Roots: trusted})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(signature.Publisher, "signed", strings.Join(signature.Covered, ", "))

	f.Set("screen mode id", 'i', "1") // how it is shown is the user's
	_, err = f.Verify(feed.VerifyOptions{Roots: trusted})
	fmt.Println(err)
	f.Set("redirectclipboard", 'i', "1")
	_, err = f.Verify(feed.VerifyOptions{Roots: trusted})
	fmt.Println(err)
	// Output:
	// Contoso signed full address, alternate full address, redirectclipboard
	// <nil>
	// feed: the signature of the .rdp file is not of these settings: they were changed after it was signed
}

// examplePublisher is what tls.LoadX509KeyPair reads from a publisher's files.
func examplePublisher() (tls.Certificate, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Contoso"}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
