package serve

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/reachback/reachback/examples/internal/program"
)

// A Config is what the flags of a server say, and what quickstart needs beside.
type Config struct {
	Dir         string // keys, tokens, the SQLite database
	Listen      string // address of the TLS port
	PublicURL   string // base URL for users and hosts
	InstanceURL string // base URL of this very instance, for hosts; empty: PublicURL
	Roles       string // of gateway, broker and feed, with commas; empty: all three
	Seed        string // path of the seed file; empty: none
	SeedRaw     bool   // the pool of the built-in seed admits stock clients

	Certificate CertificateConfig
	Database    DatabaseConfig // of a broker
	SignIn      SignInConfig   // of a feed
	Signing     SigningConfig  // of a feed
	Broker      BrokerConfig   // of a gateway without a broker beside it
	Admin       AdminConfig

	// RawCalled is called at each call of a stock client, and does not block. Nil:
	// nobody wants to know.
	RawCalled func()
	Logger    *slog.Logger
}

// A CertificateConfig says what the TLS port shows. Without files it is a
// certificate of an authority of our own.
type CertificateConfig struct {
	CertFile, KeyFile string
}

// A DatabaseConfig says where a broker keeps what it knows.
type DatabaseConfig struct {
	DSN     string // sqlite:PATH or postgres://…; empty: reachback.db in Dir
	KeyFile string // seals the keys in the database; empty: "key" in Dir, for SQLite only
}

// A SignInConfig says who signs users in: DevIdP, or an OpenID Connect issuer.
type SignInConfig struct {
	DevIdP   bool // our own issuer, for demonstrations on loopback
	Issuer   string
	Audience string
	ClientID string // of users' programs; empty: they get their tokens elsewhere
	// ClientSecretFile is for issuers at which the page must be a confidential
	// client; the same client then serves programs only without it.
	ClientSecretFile string
}

// A BrokerConfig says how a gateway reaches its broker on another machine.
type BrokerConfig struct {
	URL   string
	CA    string // path of the CA file; empty: the system's
	Enrol string // path of a registration token, until enrolled
}

// An AdminConfig says where operators look and change things: on loopback, or
// anywhere with the three files. Without an address there is no such place.
type AdminConfig struct {
	Addr                        string
	CertFile, KeyFile, ClientCA string
}

// The roles of a server.
const (
	roleGateway = "gateway"
	roleBroker  = "broker"
	roleFeed    = "feed"
)

// A plan is a Config whose flags fit together.
type plan struct {
	*Config
	gateway, broker, feed bool
	public, instance      *url.URL
	brokerURL             *url.URL // of a gateway apart; nil otherwise
}

// check refuses flags that do not fit together, with a [program.UsageError]. It
// looks at nothing else.
func (c *Config) check() (*plan, error) {
	p := &plan{Config: c}
	if err := p.readRoles(); err != nil {
		return nil, err
	}
	if err := p.readURLs(); err != nil {
		return nil, err
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return nil, program.UsageError(fmt.Sprintf("flag -listen: %q is not HOST:PORT", c.Listen))
	}
	if (c.Certificate.CertFile == "") != (c.Certificate.KeyFile == "") {
		return nil, program.UsageError("flags -tls-cert and -tls-key come together")
	}
	if (c.Signing.CertFile == "") != (c.Signing.KeyFile == "") {
		return nil, program.UsageError("flags -sign-cert and -sign-key come together")
	}
	if err := p.checkPlaces(); err != nil {
		return nil, err
	}
	if a := c.Admin; a.Addr == "" && a.CertFile+a.KeyFile+a.ClientCA != "" {
		return nil, program.UsageError("flags -admin-cert, -admin-key and -admin-client-ca come with -admin")
	}
	if p.broker {
		if err := c.Database.check(); err != nil {
			return nil, err
		}
	}
	if p.feed {
		if err := c.SignIn.check(); err != nil {
			return nil, err
		}
		if c.SignIn.DevIdP {
			for _, host := range []string{hostOf(c.Listen), p.public.Hostname()} {
				if !isLoopback(host) {
					return nil, program.UsageError(fmt.Sprintf("flag -dev-idp is for demonstrations on a loopback address, and %q is not one", host))
				}
			}
		}
	}
	return p, nil
}

func (p *plan) readRoles() error {
	p.gateway, p.broker, p.feed = p.Roles == "", p.Roles == "", p.Roles == ""
	if p.Roles != "" {
		for _, r := range strings.Split(p.Roles, ",") {
			role := map[string]*bool{roleGateway: &p.gateway, roleBroker: &p.broker, roleFeed: &p.feed}[r]
			if role == nil || *role {
				return program.UsageError(fmt.Sprintf("flag -roles: %q is not a list of gateway, broker and feed, each once at most", p.Roles))
			}
			*role = true
		}
	}
	if p.feed && !p.broker {
		return program.UsageError("flag -roles: a feed needs its broker in the same process: broker,feed")
	}
	return nil
}

func (p *plan) readURLs() (err error) {
	if p.public, err = program.Origin("-public-url", p.PublicURL); err != nil {
		return err
	}
	p.instance = p.public
	if p.InstanceURL != "" {
		if p.instance, err = program.Origin("-instance-url", p.InstanceURL); err != nil {
			return err
		}
	}
	if p.apart() {
		if p.Broker.URL == "" {
			return program.UsageError("flag -broker is required by a gateway without a broker beside it")
		}
		p.brokerURL, err = program.Origin("-broker", p.Broker.URL)
	}
	return err
}

// apart reports whether this is a gateway whose broker is elsewhere.
func (p *plan) apart() bool { return p.gateway && !p.broker }

// checkPlaces refuses a flag that the roles have no use for: whoever sets it
// expects something that would not happen.
func (p *plan) checkPlaces() error {
	signIn := &p.SignIn
	for _, f := range []struct {
		name string
		set  bool
		of   bool
		role string
	}{
		{"-broker", p.Broker.URL != "", p.apart(), "a gateway without a broker beside it"},
		{"-ca", p.Broker.CA != "", p.apart(), "a gateway without a broker beside it"},
		{"-enrol", p.Broker.Enrol != "", p.apart(), "a gateway without a broker beside it"},
		{"-instance-url", p.InstanceURL != "", p.gateway, "a gateway"},
		{"-db", p.Database.DSN != "", p.broker, "a broker"},
		{"-key-file", p.Database.KeyFile != "", p.broker, "a broker"},
		{"-seed", p.Seed != "", p.broker, "a broker"},
		{"-dev-idp", signIn.DevIdP, p.feed, "a feed"},
		{"-oidc-issuer", signIn.Issuer != "", p.feed, "a feed"},
		{"-oidc-audience", signIn.Audience != "", p.feed, "a feed"},
		{"-oidc-client-id", signIn.ClientID != "", p.feed, "a feed"},
		{"-oidc-client-secret-file", signIn.ClientSecretFile != "", p.feed, "a feed"},
		{"-sign-cert", p.Signing.CertFile != "", p.feed, "a feed"},
	} {
		if f.set && !f.of {
			return program.UsageError(fmt.Sprintf("flag %s is for %s, which -roles does not make of this process", f.name, f.role))
		}
	}
	return nil
}

func (c *DatabaseConfig) check() error {
	scheme, _, _ := strings.Cut(c.DSN, ":")
	switch {
	case c.DSN == "" || scheme == "sqlite" && c.DSN != "sqlite:":
		return nil
	case !slices.Contains([]string{"postgres", "postgresql"}, scheme):
		// The value may hold a password, so it is not repeated.
		return program.UsageError("flag -db is neither sqlite:PATH nor postgres://…")
	case c.KeyFile == "":
		return program.UsageError("flag -key-file is required with PostgreSQL: it seals the installation's keys, and all brokers have the same")
	}
	return nil
}

func (c *SignInConfig) check() error {
	switch {
	case c.DevIdP && (c.Issuer != "" || c.Audience != "" || c.ClientID != "" || c.ClientSecretFile != ""):
		return program.UsageError("flag -dev-idp is an issuer, and -oidc-… another one: only one of them")
	case c.DevIdP:
		return nil
	case c.Issuer == "":
		return program.UsageError("flag -oidc-issuer is required: nobody could sign in; -dev-idp is one for demonstrations")
	case !issuerURL(c.Issuer):
		return program.UsageError(fmt.Sprintf("flag -oidc-issuer: %q is not the https URL of an issuer", c.Issuer))
	case c.ClientSecretFile != "" && c.ClientID == "":
		return program.UsageError("flag -oidc-client-secret-file is the secret of -oidc-client-id, which is missing")
	case c.Audience == "":
		return program.UsageError("flag -oidc-audience is required with -oidc-issuer: tokens for other services would do")
	}
	return nil
}

// issuerURL reports whether s can be an issuer. Whoever is on the way to one at plain
// http could sign in as anybody; only this machine is no way.
func issuerURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname())
}

// hostOf is the host of an address to listen on; empty where it is none.
func hostOf(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	return host
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() || host == "localhost"
}
