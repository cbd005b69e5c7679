package reachback

import (
	"errors"
	"net/http"
)

// The codes. Their texts and HTTP statuses are in the table below, cause and
// remedy in SPEC.md, section 8.
const (
	// Requests of any kind.

	CodeBadRequest         Code = "bad_request"
	CodeNotFound           Code = "not_found"
	CodeMethodNotAllowed   Code = "method_not_allowed"
	CodeCrossOrigin        Code = "cross_origin"
	CodeVersionUnsupported Code = "version_unsupported"
	CodeRateLimited        Code = "rate_limited"
	CodeUnavailable        Code = "unavailable"
	CodeDraining           Code = "draining"
	CodeInternal           Code = "internal"

	// Tokens of users and of connections.

	CodeTokenMissing     Code = "token_missing"
	CodeTokenInvalid     Code = "token_invalid"
	CodeTokenExpired     Code = "token_expired"
	CodeTokenNotYetValid Code = "token_not_yet_valid"
	CodeTokenReplayed    Code = "token_replayed"
	CodeTokenStale       Code = "token_stale"
	CodeWrongAudience    Code = "wrong_audience"
	CodeTokenTooLong     Code = "token_too_long"
	CodeSignInFailed     Code = "sign_in_failed"
	CodeRawNotAllowed    Code = "raw_not_allowed"

	// Resources and placement.

	CodeResourceNotFound  Code = "resource_not_found"
	CodeNotAssigned       Code = "not_assigned"
	CodeWrongResource     Code = "wrong_resource"
	CodePoolNotFound      Code = "pool_not_found"
	CodeInUse             Code = "in_use"
	CodeNoHost            Code = "no_host"
	CodeNoGateway         Code = "no_gateway"
	CodeHostsFull         Code = "hosts_full"
	CodeHostTimeout       Code = "host_timeout"
	CodeHostRefused       Code = "host_refused"
	CodeTargetUnavailable Code = "target_unavailable"
	CodeHostNotConnected  Code = "host_not_connected"
	CodeNoHandler         Code = "no_handler"
	CodeNoSessionControl  Code = "no_session_control"

	// Gateways, calls and answers.

	CodeGatewayUnknown       Code = "gateway_unknown"
	CodeGatewayRevoked       Code = "gateway_revoked"
	CodeGatewayURLTaken      Code = "gateway_url_taken"
	CodeGatewayUnreachable   Code = "gateway_unreachable"
	CodeBrokerUnreachable    Code = "broker_unreachable"
	CodeCertificateUntrusted Code = "certificate_untrusted"
	CodeTooManyWaiting       Code = "too_many_waiting"
	CodeTicketInvalid        Code = "ticket_invalid"
	CodeWrongHost            Code = "wrong_host"
	CodeWrongRole            Code = "wrong_role"

	// Certificates and enrolment.

	CodeCertificateMissing    Code = "certificate_missing"
	CodeCertificateInvalid    Code = "certificate_invalid"
	CodeCertificateExpired    Code = "certificate_expired"
	CodeHostUnknown           Code = "host_unknown"
	CodeHostRevoked           Code = "host_revoked"
	CodeRegistrationInvalid   Code = "registration_invalid"
	CodeRegistrationExpired   Code = "registration_expired"
	CodeRegistrationUsedUp    Code = "registration_used_up"
	CodeRegistrationWrongPool Code = "registration_wrong_pool"
	CodeNameTaken             Code = "name_taken"
	CodeCSRInvalid            Code = "csr_invalid"

	// Control channels.

	CodeSuperseded      Code = "superseded"
	CodeDuplicateHost   Code = "duplicate_host"
	CodeHeartbeatLost   Code = "heartbeat_lost"
	CodeMessageTooLarge Code = "message_too_large"
	CodeRestarting      Code = "restarting"

	// Sessions and paths.

	CodeClosed            Code = "closed"
	CodePathLost          Code = "path_lost"
	CodeClientLost        Code = "client_lost"
	CodeHostLost          Code = "host_lost"
	CodeStalled           Code = "stalled"
	CodeKilled            Code = "killed"
	CodeProtocolError     Code = "protocol_error"
	CodeFrameTooLarge     Code = "frame_too_large"
	CodeWindowExceeded    Code = "window_exceeded"
	CodeGrantInvalid      Code = "grant_invalid"
	CodeGrantExpired      Code = "grant_expired"
	CodeGrantMismatch     Code = "grant_mismatch"
	CodeHostKeyMismatch   Code = "host_key_mismatch"
	CodeClientKeyMismatch Code = "client_key_mismatch"
)

// codes holds, for every code, the HTTP status of a refusal and its fixed text.
var codes = map[Code]struct {
	status int
	text   string
}{
	CodeBadRequest:            {http.StatusBadRequest, "the request is malformed"},
	CodeNotFound:              {http.StatusNotFound, "there is nothing at this address"},
	CodeMethodNotAllowed:      {http.StatusMethodNotAllowed, "another method is needed at this address"},
	CodeCrossOrigin:           {http.StatusForbidden, "a page of another origin made the request"},
	CodeVersionUnsupported:    {http.StatusUpgradeRequired, "the peer speaks no version of the protocol that this program knows"},
	CodeRateLimited:           {http.StatusTooManyRequests, "too many attempts; slow down"},
	CodeUnavailable:           {http.StatusServiceUnavailable, "the service cannot answer now; try again"},
	CodeDraining:              {http.StatusServiceUnavailable, "the service is going down and takes nothing new"},
	CodeInternal:              {http.StatusInternalServerError, "an internal error; the log of the answering program has it under the correlation id"},
	CodeTokenMissing:          {http.StatusUnauthorized, "no bearer token was shown"},
	CodeTokenInvalid:          {http.StatusUnauthorized, "the token is malformed or its signature does not verify"},
	CodeTokenExpired:          {http.StatusUnauthorized, "the token has expired"},
	CodeTokenNotYetValid:      {http.StatusUnauthorized, "the token is not valid yet; compare the clocks"},
	CodeTokenReplayed:         {http.StatusForbidden, "the connection token was already used"},
	CodeTokenStale:            {http.StatusUnauthorized, "the connection token was issued before the broker last started"},
	CodeWrongAudience:         {http.StatusUnauthorized, "the token is meant for another service"},
	CodeTokenTooLong:          {http.StatusForbidden, "the connection token would be longer than clients take"},
	CodeSignInFailed:          {http.StatusForbidden, "the sign-in was not completed"},
	CodeRawNotAllowed:         {http.StatusForbidden, "the host pool does not admit raw calls"},
	CodeResourceNotFound:      {http.StatusNotFound, "no such resource is assigned to this user"},
	CodeNotAssigned:           {http.StatusForbidden, "the resource is not assigned to this user"},
	CodeWrongResource:         {http.StatusForbidden, "the token is for another resource"},
	CodePoolNotFound:          {http.StatusNotFound, "there is no host pool by this name"},
	CodeInUse:                 {http.StatusConflict, "something else depends on it, or has it"},
	CodeNoHost:                {http.StatusServiceUnavailable, "no session host of the pool is ready"},
	CodeNoGateway:             {http.StatusServiceUnavailable, "no gateway is ready"},
	CodeHostsFull:             {http.StatusServiceUnavailable, "every session host of the pool is at its session limit"},
	CodeHostTimeout:           {http.StatusGatewayTimeout, "no session host answered in time"},
	CodeHostRefused:           {http.StatusBadGateway, "the session host refused the call"},
	CodeTargetUnavailable:     {http.StatusBadGateway, "the session host is up, its RDP server does not answer"},
	CodeHostNotConnected:      {http.StatusServiceUnavailable, "the session host has no control channel now"},
	CodeNoHandler:             {http.StatusNotImplemented, "the peer has no handler for application messages"},
	CodeNoSessionControl:      {http.StatusNotImplemented, "the session host knows nothing of its user sessions"},
	CodeGatewayUnknown:        {http.StatusForbidden, "the gateway, or its URL, is not registered at the broker"},
	CodeGatewayRevoked:        {http.StatusForbidden, "the gateway was revoked"},
	CodeGatewayURLTaken:       {http.StatusConflict, "another gateway is registered under this URL"},
	CodeGatewayUnreachable:    {http.StatusBadGateway, "no gateway could be reached"},
	CodeBrokerUnreachable:     {http.StatusBadGateway, "the broker could not be reached"},
	CodeCertificateUntrusted:  {http.StatusBadGateway, "the server's certificate is not from a trusted authority"},
	CodeTooManyWaiting:        {http.StatusTooManyRequests, "too many calls of this user or address are waiting"},
	CodeTicketInvalid:         {http.StatusForbidden, "no call waits for this ticket"},
	CodeWrongHost:             {http.StatusForbidden, "the call was given to another session host"},
	CodeWrongRole:             {http.StatusForbidden, "the certificate or registration token is for another role"},
	CodeCertificateMissing:    {http.StatusUnauthorized, "a client certificate is required"},
	CodeCertificateInvalid:    {http.StatusForbidden, "the client certificate was not issued by this installation"},
	CodeCertificateExpired:    {http.StatusForbidden, "the client certificate has expired"},
	CodeHostUnknown:           {http.StatusForbidden, "the session host is not enrolled here"},
	CodeHostRevoked:           {http.StatusForbidden, "the session host was revoked"},
	CodeRegistrationInvalid:   {http.StatusForbidden, "the registration token is not known"},
	CodeRegistrationExpired:   {http.StatusForbidden, "the registration token has expired"},
	CodeRegistrationUsedUp:    {http.StatusForbidden, "the registration token was used as often as it may be"},
	CodeRegistrationWrongPool: {http.StatusForbidden, "the registration token is for another host pool, or for any: then name one"},
	CodeNameTaken:             {http.StatusConflict, "another session host has this name"},
	CodeCSRInvalid:            {http.StatusBadRequest, "the certificate signing request is malformed or not for a P-256 key"},
	CodeSuperseded:            {http.StatusConflict, "a newer control channel of the same host took over"},
	CodeDuplicateHost:         {http.StatusConflict, "the host's channel was replaced too often: two machines share one identity"},
	CodeHeartbeatLost:         {http.StatusRequestTimeout, "the peer fell silent"},
	CodeMessageTooLarge:       {http.StatusRequestEntityTooLarge, "a message is longer than 64 KiB"},
	CodeRestarting:            {http.StatusServiceUnavailable, "the peer is restarting; connect again after the time it named"},
	CodeClosed:                {http.StatusGone, "the session was closed"},
	CodePathLost:              {http.StatusBadGateway, "the session's path was lost"},
	CodeClientLost:            {http.StatusBadGateway, "the client's leg broke"},
	CodeHostLost:              {http.StatusBadGateway, "the session host's leg broke"},
	CodeStalled:               {http.StatusGatewayTimeout, "the peer took no bytes for too long"},
	CodeKilled:                {http.StatusForbidden, "an operator ended the session"},
	CodeProtocolError:         {http.StatusBadRequest, "the peer broke the protocol"},
	CodeFrameTooLarge:         {http.StatusRequestEntityTooLarge, "a frame is longer than its type allows"},
	CodeWindowExceeded:        {http.StatusRequestEntityTooLarge, "the peer sent more than the receive window"},
	CodeGrantInvalid:          {http.StatusForbidden, "the grant is malformed or not signed by the broker"},
	CodeGrantExpired:          {http.StatusForbidden, "the grant has expired"},
	CodeGrantMismatch:         {http.StatusForbidden, "the grant is for another call, user, resource or mode"},
	CodeHostKeyMismatch:       {http.StatusForbidden, "the peer does not hold the key of the session host that the grant names"},
	CodeClientKeyMismatch:     {http.StatusForbidden, "the peer does not hold the client key that the summon names"},
}

// maxCode is the longest code of this or any later version.
const maxCode = 64

// Valid reports whether c has the form of a code, of this version or a later one:
// 1 to 64 of a-z, 0-9 and "_". Codes come from peers and go to terminals and logs.
func (c Code) Valid() bool {
	if len(c) > maxCode {
		return false
	}
	for _, b := range []byte(c) {
		if (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '_' {
			return false
		}
	}
	return c != ""
}

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes what is [Code.Valid],
// and no code at all.
func (c *Code) UnmarshalText(b []byte) error {
	if len(b) > 0 && !Code(b).Valid() {
		return errNotACode
	}
	*c = Code(b)
	return nil
}

var errNotACode = errors.New("not a code")

// Text returns the fixed text of c, or "" when c is not a code of this version.
func (c Code) Text() string { return codes[c].text }

// Status returns the HTTP status of a refusal with code c; 500 when c is not a
// code of this version.
func (c Code) Status() int {
	if s := codes[c].status; s != 0 {
		return s
	}
	return http.StatusInternalServerError
}
