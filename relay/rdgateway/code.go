package rdgateway

import (
	"fmt"

	"github.com/reachback/reachback"
)

// An hresult is a status as the RD Gateway protocol has them ([MS-TSGU] 2.2.6). Bit
// 31 says that it is a failure; FreeRDP looks at nothing else, so that the codes
// that the specification prints with 16 bits have it here too.
type hresult uint32

const (
	ok hresult = 0
	// gracefulDisconnect ends a channel regularly, and is no failure.
	gracefulDisconnect hresult = 0x000004CA

	connectionAborted   hresult = 0x800704D4
	internalError       hresult = 0x800759D8
	rapAccessDenied     hresult = 0x800759DA // the computer is not for this user
	napAccessDenied     hresult = 0x800759DB // the user may not use the gateway
	connectFailed       hresult = 0x800759DD
	alreadyDisconnected hresult = 0x800759DF
	maxConnections      hresult = 0x800759E6
	capabilityMismatch  hresult = 0x800759E9
	sessionTimeout      hresult = 0x800759F6
	cookieBadPacket     hresult = 0x800759F7
	cookieDenied        hresult = 0x800759F8
	unsupportedAuth     hresult = 0x800759F9
	reauthAuthnFailed   hresult = 0x800759FA
)

func (s hresult) String() string { return fmt.Sprintf("0x%08X", uint32(s)) }

// statuses is what a stock client is told of a refusal, and of an end other than
// the regular one. The protocol has fewer codes than we have, so each tells users
// what to do rather than which code it was; the log has that. What is not here is an
// internal error.
//
//	what is the matter           clients see
//	a new file is needed         0x800759F8 cookie denied; replayed 0x800759FA; cut or changed 0x800759F7
//	the file is for another one  0x800759DA computer not allowed
//	the user or host may not     0x800759DB user not allowed; killed and revoked too
//	no host to be had now        0x800759DD cannot connect
//	too many at once             0x800759E6 too many connections
//	the gateway goes down        0x800704D4 connection aborted
//	the session's host is gone   0x800759DF already disconnected
//	nobody took bytes            0x800759F6 session timed out
//	the client is of a later version 0x800759E9; signs in without a cookie 0x800759F9
var statuses = map[reachback.Code]hresult{
	reachback.CodeTokenMissing: cookieBadPacket,
	reachback.CodeTokenInvalid: cookieBadPacket,

	reachback.CodeTokenExpired:     cookieDenied,
	reachback.CodeTokenNotYetValid: cookieDenied,
	reachback.CodeTokenStale:       cookieDenied,
	reachback.CodeWrongAudience:    cookieDenied,
	reachback.CodeTokenReplayed:    reauthAuthnFailed,

	reachback.CodeWrongResource:    rapAccessDenied,
	reachback.CodeResourceNotFound: rapAccessDenied,
	reachback.CodeNotAssigned:      rapAccessDenied,
	reachback.CodeRawNotAllowed:    rapAccessDenied,

	reachback.CodeKilled:      napAccessDenied,
	reachback.CodeHostRevoked: napAccessDenied,
	reachback.CodeWrongRole:   napAccessDenied,

	reachback.CodeNoHost:            connectFailed,
	reachback.CodeHostsFull:         connectFailed,
	reachback.CodeHostTimeout:       connectFailed,
	reachback.CodeHostRefused:       connectFailed,
	reachback.CodeTargetUnavailable: connectFailed,
	reachback.CodeHostNotConnected:  connectFailed,
	reachback.CodeUnavailable:       connectFailed,
	reachback.CodeBrokerUnreachable: connectFailed,

	reachback.CodeRateLimited:    maxConnections,
	reachback.CodeTooManyWaiting: maxConnections,

	reachback.CodeDraining:   connectionAborted,
	reachback.CodeRestarting: connectionAborted,

	reachback.CodeHostLost:   alreadyDisconnected,
	reachback.CodeClientLost: alreadyDisconnected,
	reachback.CodePathLost:   alreadyDisconnected,
	reachback.CodeStalled:    sessionTimeout,

	reachback.CodeVersionUnsupported: capabilityMismatch,

	reachback.CodeClosed: gracefulDisconnect,
}

func statusOf(c reachback.Code) hresult {
	if s, known := statuses[c]; known {
		return s
	}
	return internalError
}

// closeCodeOf is the status of a WebSocket's Close frame (RFC 6455, section 7.4.1).
func closeCodeOf(c reachback.Code) uint16 {
	switch c {
	case reachback.CodeClosed:
		return 1000
	case reachback.CodeDraining, reachback.CodeRestarting:
		return 1001 // going away
	case reachback.CodeProtocolError, reachback.CodeBadRequest:
		return 1002
	case reachback.CodeKilled, reachback.CodeHostRevoked:
		return 1008 // against a policy
	}
	if s := statusOf(c); s == rapAccessDenied || s == napAccessDenied || s == cookieDenied || s == cookieBadPacket {
		return 1008
	}
	return 1011 // the server could not go on
}
