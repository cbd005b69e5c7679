// Package api is the bodies of the admin API, as the server that answers it and
// the program that asks have them. The tags become the API's OpenAPI document:
// doc is a field's description and example one of its values.
package api

import (
	"fmt"

	"github.com/reachback/reachback"
)

// Prefix is what the path of every operation begins with.
const Prefix = "/api/v1"

// An Error is the body of every refusal. Its code is one of SPEC.md, section 8.
type Error struct {
	Code          string `json:"code" doc:"What was refused and why, for programs. SPEC.md, section 8, has all codes with cause and remedy." example:"not_found"`
	Message       string `json:"message" doc:"The same for people." example:"there is nothing at this address"`
	CorrelationID string `json:"correlation_id,omitempty" doc:"Finds the refusal in the server's log." example:"5e8f1c0a9d3b47f2a6c1d4e7b8f90213"`
}

func (e *Error) Error() string { return fmt.Sprintf("%s (%s)", e.Message, e.Code) }

// GetStatus returns the HTTP status of the refusal.
func (e *Error) GetStatus() int { return reachback.Code(e.Code).Status() }

// A Workspace is what a tenant's users subscribe to.
type Workspace struct {
	Tenant string `json:"tenant" doc:"The tenant; empty where there is but one." example:"contoso"`
	Title  string `json:"title" doc:"The title that users see; empty: the feed's own." example:"Contoso desktops"`
}

// A Switch is on or off.
type Switch struct {
	On bool `json:"on" doc:"Whether it is to be on." example:"true"`
}
