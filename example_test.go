package reachback_test

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/reachback/reachback"
)

// A program that opens resources tells apart what its user can do something about.
func ExampleCodeOf() {
	dial := func(resource string) error {
		return fmt.Errorf("transport: dial %s: %w", resource, reachback.Refuse(reachback.CodeHostsFull))
	}
	err := dial("desktop")
	switch reachback.CodeOf(err) {
	case "":
		fmt.Println("connected")
	case reachback.CodeNoHost, reachback.CodeHostsFull:
		fmt.Println("come back later:", err)
	case reachback.CodeTokenExpired:
		fmt.Println("sign in again")
	default:
		fmt.Println(err)
	}
	// Output: come back later: transport: dial desktop: every session host of the pool is at its session limit (hosts_full)
}

// An Error compares by its code, so errors.Is finds it in any tree.
func ExampleError() {
	err := errors.Join(
		errors.New("first gateway: timeout"),
		&reachback.Error{Code: reachback.CodeKilled, Message: "maintenance", CorrelationID: "5f2c"},
	)
	fmt.Println(errors.Is(err, reachback.Refuse(reachback.CodeKilled)))
	// Output: true
}

// A refusal looks like this in the body of an HTTP answer, whose status is the code's.
func ExampleRefuse() {
	e := reachback.Refuse(reachback.CodeResourceNotFound)
	e.CorrelationID = "5f2c"
	b, _ := json.Marshal(e)
	fmt.Println(e.Code.Status(), string(b))
	// Output: 404 {"code":"resource_not_found","message":"no such resource is assigned to this user","correlation_id":"5f2c"}
}
