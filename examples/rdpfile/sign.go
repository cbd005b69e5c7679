package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/feed"
)

func setSign(f *flag.FlagSet) func(*program.Program, []string) error {
	cert := f.String("cert", "", "`file` with the publisher's certificate, PEM; others may follow in it as in -chain; required")
	key := f.String("key", "", "`file` with its RSA key, PEM; required")
	chain := f.String("chain", "", "`file` with the certificates of the authorities between -cert and a root, PEM, in this order")
	out := f.String("o", "", "`file` to write; by default the file that is signed is replaced")
	return func(p *program.Program, files []string) error {
		switch {
		case *cert == "" || *key == "":
			return program.UsageError("sign: flags -cert and -key are required")
		case *out != "" && len(files) > 1:
			return program.UsageError("sign: flag -o is for one file")
		}
		now := time.Now()
		s, err := loadSigner(*cert, *key, *chain, now)
		if err != nil {
			return err
		}
		return each(p, files, func(file string) error {
			to := file
			if *out != "" {
				to = *out
			}
			return sign(p, s, file, to, now)
		})
	}
}

// loadSigner reads a publisher's certificate and key, which fit each other.
func loadSigner(cert, key, chain string, now time.Time) (*feed.Signer, error) {
	certPEM, err := os.ReadFile(cert)
	if err != nil {
		return nil, err
	}
	keyPEM, err := os.ReadFile(key)
	if err != nil {
		return nil, err
	}
	if chain != "" {
		more, err := os.ReadFile(chain)
		if err != nil {
			return nil, err
		}
		certPEM = append(append(certPEM, '\n'), more...)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("-cert %s and -key %s: %w", cert, key, err)
	}
	return feed.NewSigner(pair, now)
}

func sign(p *program.Program, s *feed.Signer, from, to string, now time.Time) error {
	f, err := read(from)
	if err != nil {
		return err
	}
	if err := f.Sign(s, now); err != nil {
		return err
	}
	if err := replace(to, f.Encode()); err != nil {
		return err
	}
	p.Event("signed", "file", to, "publisher", s.Publisher(), "thumbprint", feed.Thumbprint(s.Certificate()), "expires", stamp(s.NotAfter()), "covered", scopeOf(f))
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
