package main

import (
	"crypto/x509"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/feed"
)

func setVerify(f *flag.FlagSet) func(*program.Program, []string) error {
	var o feed.VerifyOptions
	roots := f.String("roots", "", "`file` with the authorities to trust, PEM; the system's by default")
	f.Func("publisher", "accept only the publisher whose certificate has this `thumbprint`, SHA-1 or SHA-256; can be given several times", func(s string) error {
		o.Publishers = append(o.Publishers, s)
		return feed.CheckThumbprint(s)
	})
	f.BoolVar(&o.AllowUncovered, "allow-uncovered", false, "accept files with settings that the signer could have covered and did not")
	validFor := f.Duration("valid-for", 0, "refuse signatures that expire within this `duration`")
	return func(p *program.Program, files []string) error {
		if *validFor < 0 {
			return program.UsageError("verify: flag -valid-for is less than nothing")
		}
		if *roots != "" {
			pem, err := os.ReadFile(*roots)
			if err != nil {
				return err
			}
			o.Roots = x509.NewCertPool()
			if !o.Roots.AppendCertsFromPEM(pem) {
				return fmt.Errorf("%s holds no certificate", *roots)
			}
		}
		o.CurrentTime = time.Now()
		return each(p, files, func(file string) error { return verify(p, o, *validFor, file) })
	}
}

func verify(p *program.Program, o feed.VerifyOptions, validFor time.Duration, file string) error {
	f, err := read(file)
	if err != nil {
		return err
	}
	s, err := f.Verify(o)
	if err != nil {
		return err
	}
	if o.CurrentTime.Add(validFor).After(s.NotAfter) {
		return fmt.Errorf("the signature of %q is right, but expires at %s", s.Publisher, stamp(s.NotAfter))
	}
	leaf, root := s.Chain[0], s.Chain[len(s.Chain)-1]
	p.Event("verified", "file", file, "publisher", s.Publisher, "subject", leaf.Subject.String(), "thumbprint", feed.Thumbprint(leaf),
		"root", root.Subject.String(), "expires", stamp(s.NotAfter), "covered", s.Covered, "uncovered", list(s.Uncovered), "unsignable", list(s.Unsignable))
	return nil
}

// list is a list in JSON also when it is empty.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
