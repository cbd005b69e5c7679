package oidc_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/reachback/reachback"
	"github.com/reachback/reachback/broker/oidc"
)

// A verifier, which is a broker.Verifier, takes the token of a user, and not one
// that is for another service.
func ExampleVerifier() {
	issuer := httptest.NewTLSServer(&idp{keys: []jose.JSONWebKey{public("1", ecKey())}})
	defer issuer.Close()

	v := &oidc.Verifier{
		Issuer:   issuer.URL + "/tenant",
		Audience: "reachback:feed",
		Claims:   oidc.Claims{Groups: "roles", FixedTenant: "acme"},
		HTTP:     issuer.Client(), // trusts the test's certificate
	}
	defer v.Close()
	if err := v.Check(context.Background()); err != nil {
		fmt.Println(err)
		return
	}

	for _, audience := range []string{"reachback:feed", "payroll"} {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: ecKey(), KeyID: "1"}}, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		token, err := jwt.Signed(signer).Claims(map[string]any{
			"iss": v.Issuer, "aud": audience, "sub": "248289761001", "name": "Alice",
			"roles": []string{"staff"}, "exp": time.Now().Add(time.Hour).Unix(),
		}).Serialize()
		if err != nil {
			fmt.Println(err)
			return
		}
		user, err := v.Verify(context.Background(), token)
		if err != nil {
			fmt.Println(reachback.CodeOf(err))
			continue
		}
		fmt.Println(user.Subject, user.Tenant, user.Groups, user.Name)
	}
	// Output:
	// 248289761001 acme [staff] Alice
	// wrong_audience
}
