// Command server runs gateway, broker and feed, together or each apart, behind one
// TLS port.
//
// A first try on one machine, with a user alice and a pool desktops:
//
//	server -dir srv -listen 127.0.0.1:8443 -public-url https://127.0.0.1:8443 -dev-idp
//
// It writes srv/ca.pem for -ca of the other programs, srv/registration.token for
// hosts, srv/gateway-registration.token for gateways apart, and srv/alice.token for
// a client. What it knows is in srv/reachback.db, sealed by srv/key.
//
// A broker with its feed, and a gateway on another machine:
//
//	server -roles broker,feed -dir srv -listen :443 -public-url https://rb.example.com -tls-cert … -tls-key … \
//	    -db postgres://reachback@db.example.com/reachback -key-file key -oidc-issuer https://idp.example.com -oidc-audience reachback
//	server -roles gateway -dir gw -listen :443 -public-url https://gw1.example.com -tls-cert … -tls-key … \
//	    -broker https://rb.example.com -enrol gateway-registration.token
//
// The password of the database is in its URL, in PGPASSWORD, or in the file that
// PGPASSFILE names. Secrets that are short, or look like a placeholder, are refused.
//
// A seed file is its tenant's whole setup: whenever it is read, at the start and on
// SIGHUP, it takes the place of what was changed through -admin. SIGHUP also reads
// the certificates again, those of -sign-cert too. What is broken then stays as it was.
//
// Standard output has the event "ready".
package main

import (
	"context"
	"flag"

	"github.com/reachback/reachback/examples/internal/program"
	"github.com/reachback/reachback/examples/internal/serve"
)

func main() {
	var cfg serve.Config
	program.Main("server", "runs gateway, broker and feed, together or each apart, behind one TLS port.", func(f *flag.FlagSet) {
		f.StringVar(&cfg.Dir, "dir", "", "`folder` of keys, tokens and the SQLite database; required")
		f.StringVar(&cfg.Listen, "listen", "", "`address` of the TLS port, host:port; required")
		f.StringVar(&cfg.PublicURL, "public-url", "", "base `URL` for users and hosts, https://host[:port]; required")
		f.StringVar(&cfg.InstanceURL, "instance-url", "", "base `URL` of this very gateway, which hosts dial; -public-url by default")
		f.StringVar(&cfg.Roles, "roles", "gateway,broker,feed", "`list` of what this process is; a feed needs its broker beside it")
		f.StringVar(&cfg.Certificate.CertFile, "tls-cert", "", "`file` with the public certificate chain, PEM; by default one of an own CA, in DIR/ca.pem")
		f.StringVar(&cfg.Certificate.KeyFile, "tls-key", "", "`file` with the key of -tls-cert, PEM")

		f.StringVar(&cfg.Broker.URL, "broker", "", "base `URL` of the broker, for -roles gateway")
		f.StringVar(&cfg.Broker.CA, "ca", "", "`file` with the authorities of the broker's certificate, PEM; the system's by default")
		f.StringVar(&cfg.Broker.Enrol, "enrol", "", "`file` with a gateway's registration token; needed until the gateway is enrolled")

		f.StringVar(&cfg.Database.DSN, "db", "", "`database`, sqlite:PATH or postgres://USER@HOST/NAME with the password in PGPASSWORD; by default SQLite in DIR")
		f.StringVar(&cfg.Database.KeyFile, "key-file", "", "`file` with the secret, 32 bytes or more, that seals the keys in the database; by default made in DIR, with PostgreSQL required")
		f.StringVar(&cfg.Seed, "seed", "", "JSON `file` with pools and resources (SPEC.md, section 7): the whole setup, which replaces that made through -admin")

		f.StringVar(&cfg.SignIn.Issuer, "oidc-issuer", "", "`URL` of the OpenID Connect issuer that signs users in")
		f.StringVar(&cfg.SignIn.Audience, "oidc-audience", "", "`audience` that its tokens must name")
		f.StringVar(&cfg.SignIn.ClientID, "oidc-client-id", "", "`id` of users' programs as a public client of the issuer, which the feed tells them; without it they bring tokens of their own")
		f.StringVar(&cfg.SignIn.ClientSecretFile, "oidc-client-secret-file", "", "`file` with that client's secret, for issuers that want one of the page; programs' sign-in needs none")
		f.BoolVar(&cfg.SignIn.DevIdP, "dev-idp", false, "be an issuer for the seed's users, or alice, for demonstrations on loopback")

		f.StringVar(&cfg.Signing.CertFile, "sign-cert", "", "`file` with the certificate chain that signs the .rdp files, PEM, RSA; without it they are not signed")
		f.StringVar(&cfg.Signing.KeyFile, "sign-key", "", "`file` with the key of -sign-cert, PEM")
		f.StringVar(&cfg.Admin.Addr, "admin", "", "`address` of the admin API, metrics and profiles: loopback, or any with the three flags below")
		f.StringVar(&cfg.Admin.CertFile, "admin-cert", "", "`file` with the certificate chain of -admin, PEM")
		f.StringVar(&cfg.Admin.KeyFile, "admin-key", "", "`file` with the key of -admin-cert, PEM")
		f.StringVar(&cfg.Admin.ClientCA, "admin-client-ca", "", "`file` with the authorities of operators' certificates, PEM")
	}, func(ctx context.Context, p *program.Program) error {
		if err := p.Require("dir", "listen", "public-url"); err != nil {
			return err
		}
		cfg.Logger = p.Logger
		s, err := serve.Open(ctx, &cfg)
		if err != nil {
			return err
		}
		stop := program.OnHangup(func() { s.Reload(ctx) })
		defer stop()
		return s.Serve(ctx, func() { p.Event("ready", s.Ready()...) })
	})
}
