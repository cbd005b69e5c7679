package serve

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/reachback/reachback/examples/internal/program"
)

// Each mistake is told by the flag that is wrong, before anything is touched.
func TestConfig_FlagsThatDoNotFit(t *testing.T) {
	const local = "127.0.0.1:8443"
	demo := SignInConfig{DevIdP: true}
	oidc := SignInConfig{Issuer: "https://idp.example.test", Audience: "reachback"}
	apart := BrokerConfig{URL: "https://broker.example.test"}
	tests := []struct {
		name string
		cfg  Config
		flag string // named by the error; empty: none
	}{
		{"everything, for a try", Config{SignIn: demo}, ""},
		{"everything", Config{SignIn: oidc}, ""},
		{"gateway and broker", Config{Roles: "gateway,broker"}, ""},
		{"broker and feed", Config{Roles: "broker,feed", SignIn: oidc}, ""},
		{"broker alone", Config{Roles: "broker"}, ""},
		{"gateway apart", Config{Roles: "gateway", Broker: apart, InstanceURL: "https://gw1.example.test"}, ""},
		{"issuer on this machine", Config{SignIn: SignInConfig{Issuer: "http://127.0.0.1:8080/realms/x", Audience: "a"}}, ""},
		{"PostgreSQL", Config{SignIn: oidc, Database: DatabaseConfig{DSN: "postgres://db/x", KeyFile: "key"}}, ""},

		{"no such role", Config{Roles: "gateway,relay"}, "-roles"},
		{"role twice", Config{Roles: "broker,broker"}, "-roles"},
		{"feed without its broker", Config{Roles: "feed", SignIn: oidc}, "-roles"},
		{"feed and gateway without broker", Config{Roles: "gateway,feed", SignIn: oidc, Broker: apart}, "-roles"},
		{"gateway without any broker", Config{Roles: "gateway"}, "-broker"},
		{"broker at plain http", Config{Roles: "gateway", Broker: BrokerConfig{URL: "http://b"}}, "-broker"},
		{"gateway with two brokers", Config{Roles: "gateway,broker", Broker: apart}, "-broker"},
		{"CA of a broker that is here", Config{SignIn: demo, Broker: BrokerConfig{CA: "ca.pem"}}, "-ca"},
		{"enrolment where there is nothing to enrol", Config{SignIn: demo, Broker: BrokerConfig{Enrol: "token"}}, "-enrol"},
		{"instance without gateway", Config{Roles: "broker", InstanceURL: "https://gw1.example.test"}, "-instance-url"},
		{"database of a gateway", Config{Roles: "gateway", Broker: apart, Database: DatabaseConfig{DSN: "sqlite:x"}}, "-db"},
		{"key of a gateway", Config{Roles: "gateway", Broker: apart, Database: DatabaseConfig{KeyFile: "key"}}, "-key-file"},
		{"seed of a gateway", Config{Roles: "gateway", Broker: apart, Seed: "seed.json"}, "-seed"},
		{"sign-in at a gateway", Config{Roles: "gateway", Broker: apart, SignIn: demo}, "-dev-idp"},
		{"sign-in without feed", Config{Roles: "broker", SignIn: oidc}, "-oidc-issuer"},
		{"nobody can sign in", Config{}, "-oidc-issuer"},
		{"two issuers", Config{SignIn: SignInConfig{DevIdP: true, Issuer: oidc.Issuer}}, "-dev-idp"},
		{"tokens for anybody", Config{SignIn: SignInConfig{Issuer: oidc.Issuer}}, "-oidc-audience"},
		{"issuer at plain http", Config{SignIn: SignInConfig{Issuer: "http://idp.example.test", Audience: "a"}}, "-oidc-issuer"},
		{"issuer is no URL", Config{SignIn: SignInConfig{Issuer: "idp", Audience: "a"}}, "-oidc-issuer"},
		{"certificate of no address", Config{SignIn: demo, Admin: AdminConfig{CertFile: "c"}}, "-admin"},
		{"demonstration for everybody", Config{SignIn: demo, Listen: "0.0.0.0:8443"}, "-dev-idp"},
		{"demonstration by a name for everybody", Config{SignIn: demo, PublicURL: "https://demo.example.test"}, "-dev-idp"},
		{"certificate without key", Config{SignIn: demo, Certificate: CertificateConfig{CertFile: "c"}}, "-tls-key"},
		{"signing certificate without key", Config{SignIn: demo, Signing: SigningConfig{CertFile: "c"}}, "-sign-key"},
		{"signed files without feed", Config{Roles: "broker", Signing: SigningConfig{CertFile: "c", KeyFile: "k"}}, "-sign-cert"},
		{"secret of no client", Config{SignIn: SignInConfig{Issuer: oidc.Issuer, Audience: "a", ClientSecretFile: "s"}}, "-oidc-client-id"},
		{"another kind of database", Config{SignIn: demo, Database: DatabaseConfig{DSN: "mysql://x"}}, "-db"},
		{"SQLite nowhere", Config{SignIn: demo, Database: DatabaseConfig{DSN: "sqlite:"}}, "-db"},
		{"shared database, key of one broker", Config{SignIn: demo, Database: DatabaseConfig{DSN: "postgres://db/x"}}, "-key-file"},
		{"URL at plain http", Config{SignIn: demo, PublicURL: "http://x"}, "-public-url"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.cfg.Listen == "" {
				tt.cfg.Listen = local
			}
			if tt.cfg.PublicURL == "" {
				tt.cfg.PublicURL = "https://" + local
			}
			_, err := tt.cfg.check()
			if tt.flag == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorAs(t, err, new(program.UsageError))
			require.ErrorContains(t, err, tt.flag)
		})
	}
}
